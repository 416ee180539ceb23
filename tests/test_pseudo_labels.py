"""Latent actions of a split, what decoders read of them, and the keys that they predict."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stages.episodes.windows import transition_indices
from stages.latent_actions.pseudo_labels import (
    COMPONENTS,
    DECODED,
    LABELLERS,
    LatentActions,
    Video,
    keys_from_codes,
    labels_by,
    latent_actions_of,
    surrounded,
    unlearned_of,
)
from stages.latent_actions.transitions import Transitions
from stages.learning.compute import prepare_compute
from tests.test_rollouts import transitions


def actions_of(codes, lengths):
    """Latent actions whose vectors are their codes, twice; of two kinds."""
    codes = np.array(codes)
    return LatentActions(
        codes, np.stack([codes, codes], axis=1).astype(np.float32), np.eye(2, dtype=np.float32), np.array(lengths)
    )


TWO_EPISODES = actions_of([-1, 0, 1, -1, -1, 1, 0, 0, -1], [4, 5])


def test_transitions_are_where_a_code_is_and_know_their_episode():
    assert TWO_EPISODES.current.tolist() == [1, 2, 5, 6, 7] and TWO_EPISODES.episode.tolist() == [0, 0, 1, 1, 1]


def test_what_is_around_and_to_come_never_leaves_the_episode():
    assert TWO_EPISODES.to_come(1)[TWO_EPISODES.current].tolist() == [[0, 1], [1, -1], [1, 0], [0, 0], [0, -1]]
    frames = np.arange(9)[:, None]
    assert TWO_EPISODES.around(frames, 2, 1)[1:3].tolist() == [[0, 1, 2, 3], [4, 4, 5, 6]]
    vectors = TWO_EPISODES.vectors_around(1, 3.0)
    assert vectors.shape == (5, 6) and vectors[1].tolist() == [0, 0, 3, 3, -1, -1]


def test_latent_actions_come_back_from_their_file(tmp_path):
    assert TWO_EPISODES.current.size  # what was computed meanwhile is not written
    TWO_EPISODES.save(tmp_path / "deep" / "train.safetensors")
    found = LatentActions.load(tmp_path / "deep" / "train.safetensors")
    for name in ("codes", "vectors", "codebook", "lengths"):
        first, second = getattr(TWO_EPISODES, name), getattr(found, name)
        assert first.dtype == second.dtype and np.array_equal(first, second)


class Latents:
    """Windows of latents [T, 3], and keys: the first is held where the code is 0."""

    def __init__(self, actions):
        rows = np.random.default_rng(0).normal(size=(len(actions.codes), 3)).astype(np.float32) + 5
        rows[:, 0] += 4 * (actions.codes == 0)
        self.banks = [SimpleNamespace(take=lambda samples: rows[samples])]
        self.actions = torch.from_numpy(np.stack([actions.codes == 0, actions.codes == 1], axis=1))


def video_of(actions):
    unlearned = np.stack([actions.codes == 0, actions.codes == 1, actions.codes < 0], axis=1).astype(np.float32)
    return Video(Latents(actions), actions, reach=1, emphasis=1.0, unlearned=unlearned)


def test_features_of_a_transition_and_those_around_it():
    video = video_of(TWO_EPISODES)
    assert video.keys.tolist() == [[True, False], [False, True], [False, True], [True, False], [True, False]]
    assert {name: video.features(name).shape for name in DECODED} == {
        "codes": (5, 3 * 2), "vectors": (5, 3 * 2), "latents": (5, 4 * 3), "unlearned": (5, 3 * 3),
    }  # fmt: skip
    # before the first transition there is none: zeros, as for none after the last
    assert video.features("codes")[0].tolist() == [0, 0, 1, 0, 0, 1]
    each = video.features("latents").reshape(5, 4, 3)
    assert each.mean(axis=2) == pytest.approx(0, abs=1e-5) and each.std(axis=2) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("labeller", LABELLERS)
def test_every_labeller_predicts_what_labels_show(labeller):
    codes = np.random.default_rng(1).integers(2, size=250)
    train, other = video_of(actions_of(codes[:200], [200])), video_of(actions_of(codes[200:], [50]))
    samples = np.arange(0, 200, 3)
    [predicted] = labels_by(labeller, train, [other], samples, train.keys[samples])
    assert predicted.shape == (50, 2) and (predicted == other.keys).mean() > 0.85


def test_a_code_without_a_label_has_the_keys_of_most_labels():
    train, other = actions_of([0, 0, 0], [3]), actions_of([1, 0], [2])
    held = np.array([[True, False], [True, False], [False, False]])
    assert keys_from_codes(train, other, np.arange(3), held).tolist() == [[True, False]] * 2


def noise(lengths, seed):
    """Transitions of episodes of noise, with two past frames."""
    frames = np.random.default_rng(seed).integers(0, 256, (sum(lengths), 1, 18, 32)).astype(np.uint8)
    bank = SimpleNamespace(take=lambda rows: frames[rows], lengths=lengths, shape=frames.shape[1:])
    rows = transition_indices(lengths, 2, 1)
    return Transitions(bank, rows, np.searchsorted(np.cumsum(lengths), rows[:, 0], side="right"))


def test_a_transition_with_those_around_it_stays_in_its_episode():
    found = noise([5, 3, 6], 0)  # of 2, none and 3 transitions
    wide = surrounded(found, 1)
    assert wide.rows.shape == (5, 3 * 4) and np.array_equal(wide.rows[:, 4:8], found.rows)
    first = wide.rows[:, [0, 4, 8]].tolist()  # the first past frame of the one before, the own one, the one after
    assert first == [[0, 0, 1], [0, 1, 1], [8, 8, 9], [8, 9, 10], [9, 10, 10]]
    assert wide.take(np.array([2])).shape == (1, 12, 1, 18, 32)


def test_features_that_nobody_learned_are_those_of_train_s_components():
    found = {"train": noise([30, 3, 30], 1), "val": noise([12], 2)}
    features = unlearned_of(found, seed=0)
    assert features["train"].shape == (63, sum(COMPONENTS))
    train = features["train"][found["train"].current]
    assert train.mean(axis=0) == pytest.approx(0, abs=1e-5)
    spread = train.std(axis=0)
    assert all((np.diff(part) <= 1e-4).all() for part in np.split(spread, [COMPONENTS[0]]))  # the largest first
    assert not features["val"][[0, 1, -1]].any() and features["val"][2:-1].any(axis=1).all()  # no transition from there
    other = unlearned_of({**found, "val": noise([12], 3)}, seed=0)
    assert np.array_equal(other["train"], features["train"]) and not np.array_equal(other["val"], features["val"])


def test_several_codes_a_transition_are_refused():
    with pytest.raises(ValueError, match=r"gives a transition 6 codes.*latent_action.tokens to \[1, 1\]"):
        latent_actions_of(SimpleNamespace(tokens=6), transitions(range(4), [4]), prepare_compute("cpu", "no", 1, 0))
