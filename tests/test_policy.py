"""Tests of stages.models.policy."""

import pytest
import torch
from torch.nn import functional

from stages.learning.checkpoints import save_model
from stages.models.policy import RecurrentPolicy, load_policy

CONFIG = {"latent_shape": [6], "hidden": [5, 4], "cell": "gru", "dropout": 0.3}


def policy(**changes) -> RecurrentPolicy:
    torch.manual_seed(0)
    return RecurrentPolicy(**{**CONFIG, **changes}, actions=3)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("latent_shape", [[6], [2, 3, 4]])
def test_shapes(cell, latent_shape):
    model = policy(cell=cell, latent_shape=latent_shape)
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
    config = {**CONFIG, "actions": ["LEFT", "RIGHT", "SHOOT"], "sequence_length": 10}
    save_model(tmp_path / "policy", saved, config)
    loaded, found = load_policy(tmp_path / "policy")
    assert found == config
    assert not loaded.training
    assert torch.equal(loaded(x), saved(x))
    save_model(tmp_path / "policy", saved, {**config, "hidden": [5, 8]})
    with pytest.raises(ValueError, match="holds weights of another model"):
        load_policy(tmp_path / "policy")
