"""The kinds of policies, and their registry."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.learning.checkpoints import save_model
from stages.models.policies.ensemble import Ensemble
from stages.models.policies.recurrent import Recurrent
from stages.models.policies.registry import kind_of, load_policy, made_policy, policy_input, save_policy
from stages.models.policies.state import StateDesign, StateReader
from stages.models.policies.state_only import StateOnly
from stages.models.policies.two_stream import TwoStream
from stages.params import read_params

CONFIG = {"hidden": [5, 4], "cell": "gru", "dropout": 0.3, "window": 10, "actions": 3}


def policy(latent_shape=(6,), **changes) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(shapes={"latents": latent_shape}, **{**CONFIG, **changes})


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("latent_shape", [[6], [2, 3, 4]])
def test_shapes(cell, latent_shape):
    model = policy(latent_shape, cell=cell)
    assert model(torch.rand(7, 10, *latent_shape)).shape == (7, 3)
    assert [layer.hidden_size for layer in model.layers] == [5, 4]


def test_first_step_of_a_gru_by_hand():
    model = policy(hidden=[2]).eval()
    x = torch.rand(1, 1, 6)
    layer, normal = model.layers[0], functional.layer_norm(x[0, 0], (6,))
    reset, update, new = (layer.weight_ih_l0 @ normal + layer.bias_ih_l0).chunk(3)
    reset_h, update_h, new_h = layer.bias_hh_l0.chunk(3)
    new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
    hidden = (1 - torch.sigmoid(update + update_h)) * new
    assert torch.allclose(model(x)[0], model.output.weight @ hidden + model.output.bias, atol=1e-6)


def test_normalised_latents_forgive_shift_and_scale():
    model, x = policy().eval(), torch.rand(4, 10, 6)
    assert torch.allclose(model(x), model(3 * x + 7), atol=1e-3)


def test_a_window_does_not_know_what_came_before_it_or_beside_it():
    model, x = policy().eval(), torch.rand(4, 10, 6)
    model(torch.rand(4, 10, 6))
    alone = torch.cat([model(window[None]) for window in x])
    assert torch.allclose(model(x), alone, atol=1e-6)


def test_dropout_only_in_training():
    model, x = policy(), torch.rand(4, 10, 6)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_bad_input():
    with pytest.raises(ValueError, match=r"cell is 'rnn', expected one of \['gru', 'lstm'\]"):
        policy(cell="rnn")
    with pytest.raises(ValueError, match=r"made for latents \[B, T, 6\], found \[2, 10, 7\]"):
        policy()(torch.rand(2, 10, 7))


def test_round_trip_through_a_folder(tmp_path):
    saved, x = policy().eval(), torch.rand(4, 10, 6)
    save_policy(tmp_path / "policy", saved)
    loaded = load_policy(tmp_path / "policy")
    assert loaded.policies[0].config == saved.config and loaded.window == 10
    assert not loaded.training
    assert torch.equal(loaded(x), saved(x))
    config = {"kind": "recurrent", "members": 1, **saved.config}
    save_model(tmp_path / "policy", Ensemble([saved]), {**config, "hidden": [5, 8]})
    with pytest.raises(ValueError, match="holds weights of another model"):
        load_policy(tmp_path / "policy")
    save_model(tmp_path / "policy", saved, {"latent_shape": [6], **CONFIG})
    with pytest.raises(ValueError, match="a policy of an earlier version; train it again"):
        load_policy(tmp_path / "policy")


def test_the_default_policy_is_what_params_yaml_says():
    params = read_params()
    made = made_policy(params, {"latents": (params.latent_dim,), "frames": (1, 72, 128)}, fps=30.0).eval()
    assert {type(member) for member in made.policies} == {TwoStream}
    assert (made.window, made.step) == (params.sequence_length, 2)
    assert len(made.policies) == params.policy_members
    frames = torch.zeros(2, params.section("two_stream", TwoStream.Section).frames, 1, 72, 128, dtype=torch.uint8)
    assert made(torch.zeros(2, made.window, params.latent_dim), frames).shape == (2, len(params.actions))


def test_the_members_of_an_ensemble_learn_alone_and_decide_together(tmp_path):
    members, x = [policy(), policy()], torch.rand(4, 10, 6)
    torch.nn.init.normal_(members[1].output.weight)
    together = Ensemble(members)
    assert together.train()(x).shape == (2, 4, 3)
    together.train()(x)[0].sum().backward()
    assert members[0].output.weight.grad.any() and not members[1].output.weight.grad.any()
    expected = (members[0].eval()(x) + members[1].eval()(x)) / 2
    assert torch.allclose(together.eval()(x), expected, atol=1e-6)
    save_policy(tmp_path / "policy", together)
    assert torch.equal(load_policy(tmp_path / "policy")(x), together(x))


def test_kinds_are_known_by_name_and_read_what_the_params_say():
    with pytest.raises(ValueError, match="policy is 'forest'; the kinds are two_stream, recurrent"):
        kind_of("forest")
    other = read_params().model_copy(update={"policy_reads": "data/episodes.zarr"})
    with pytest.raises(ValueError, match="reads data/latents, but policy_reads is data/episodes.zarr: set both"):
        policy_input(other)


COLUMNS = ("player_x_px", "player_y_px", "thing_x_px", "thing_y_px", "turn_deg", "move_id", "health")
STATE = np.array(
    [
        [0, 0, 3, 4, 0, 7, 100],
        [0, 1, 3, 5, 90, 9, 50],
        [1, 0, np.nan, np.nan, 180, 9, 0],
        [1, 1, 5, 5, 180, 9, 50],
    ],
    np.float32,
)


def design(**changes) -> StateDesign:
    asked = {"read": COLUMNS, "lagged": (), "origin": "player"} | changes
    return StateDesign.from_training(STATE, COLUMNS, **asked)


def test_a_state_is_numbers_that_suit_a_network():
    numbers = StateReader(design(), window=2)._numbers(torch.from_numpy(STATE[[0, 1]])[None])[0]
    far = max(np.nanstd(STATE[:, i]) for i in range(4))
    # flag and number of four places, flag and two of the angle, flag and number of the health, five of the place, an id
    flags, turn, health, place = numbers[[0, 2, 4, 6, 8, 11]], numbers[9:11], numbers[12], numbers[13:18]
    assert flags.tolist() == [0] * 6 and health.item() == pytest.approx(0)
    assert turn.tolist() == pytest.approx([1, 0], abs=1e-6)
    assert place[:3].tolist() == pytest.approx([3 / far, 4 / far, 5 / far])
    assert place[3:].tolist() == pytest.approx([0.6, 0.8], abs=1e-3)


def test_what_is_absent_is_flagged_and_an_unknown_id_has_an_embedding_of_its_own():
    reader = StateReader(design(), window=1)
    absent = reader._numbers(torch.from_numpy(STATE[[2]])[None])[0]
    assert absent.isfinite().all() and absent[4] == 1 and absent[5] == 0
    ids = [reader._embedded("move_id", torch.tensor([value])) for value in (7.0, 9.0, 8.0, 99.0, float("nan"))]
    assert torch.equal(ids[2], ids[3]) and torch.equal(ids[3], ids[4])
    assert not torch.equal(ids[0], ids[1]) and not torch.equal(ids[0], ids[2])


def test_what_the_action_itself_changes_is_read_a_frame_late():
    reader = StateReader(design(read=("health", "turn_deg"), lagged=("health",), origin=""), window=2)
    rows = torch.from_numpy(STATE[[0, 1]])[None]
    changed = rows.clone()
    changed[0, 1, COLUMNS.index("health")] = 3
    assert torch.equal(reader(rows), reader(changed))
    with pytest.raises(ValueError, match="needs windows of 2 frames"):
        StateReader(design(lagged=("health",)), window=1)


def test_a_policy_with_a_state_hears_picture_and_state_and_comes_back_from_its_folder(tmp_path):
    shapes = {"latents": (6,), "state": (len(COLUMNS),)}
    model = Recurrent(shapes=shapes, state=design().as_json(), **CONFIG).eval()
    latents, state = torch.rand(4, 10, 6), torch.from_numpy(STATE[:1]).expand(4, 10, -1).clone()
    said = model(latents, state)
    assert model.reads == ("latents", "state") and said.shape == (4, 3)
    other = state.clone()
    other[..., -1] = 0
    assert not torch.equal(model(latents, other), said) and not torch.equal(model(latents + latents**2, state), said)
    save_policy(tmp_path / "policy", model)
    assert torch.allclose(load_policy(tmp_path / "policy")(latents, state), said)
    alone = StateOnly(shapes=shapes, state=design().as_json(), window=2, actions=3)
    assert alone.reads == ("state",) and alone(state[:, :2]).shape == (4, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"read": ("speed",)}, "state.columns names 'speed'; the columns of the recordings are: player_x_px"),
        ({"read": ("health",), "lagged": ("turn_deg",)}, "state.lagged names 'turn_deg', which is not among"),
        ({"read": ("health",)}, "state.origin is 'player', but state.columns has no player_x_"),
    ],
)
def test_a_state_that_cannot_be_read_is_told(changes, message):
    with pytest.raises(ValueError, match=message):
        design(**changes)


def test_a_column_that_tells_nothing_is_refused():
    for value, words in ((3.0, "is always 3"), (np.nan, "is never there")):
        rows = np.full((4, 1), value, np.float32)
        with pytest.raises(ValueError, match=words):
            StateDesign.from_training(rows, ("health",), read=("health",), lagged=(), origin="")
    with pytest.raises(ValueError, match="reads no picture: name what it reads in state.columns"):
        StateOnly(shapes={}, window=2, actions=3)
