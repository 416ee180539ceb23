"""Windows with their keys, and what is learned from them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.learning.losses import key_change_weights
from stages.models.cloning import (
    CloningTask,
    Windows,
    mean_average_precision,
    now_and_ahead,
    overlapped,
    window_weights,
)
from stages.models.policies.recurrent import Recurrent


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "latents.zarr"
    attrs = {"action_names": ["LEFT", "DASH"], "state_columns": [], "fps": 10.0, "recordings": "here"}
    with StoreWriter(path, attrs=attrs) as writer:
        for number, (split, length) in enumerate([("train", 3), ("train", 2), ("val", 4)]):
            frames = np.arange(length, dtype=np.float32) + 10 * number
            held = np.stack([frames % 2, frames % 3 == 0], axis=1).astype(np.uint8)
            arrays = {"latents": np.stack([frames, -frames], axis=1), "actions": held, "t": frames.astype(np.float64)}
            writer.episode(EpisodeInfo(episode_name(number), f"s{number}", 0, split, length, None, None), arrays)
    return EpisodeStore(path)


class LastLatent(torch.nn.Module):
    """A policy whose logits are the last latent."""

    ahead, chunk, choices, combinations = (), 1, 2, ()

    def forward(self, latents):
        return latents[:, -1]


def test_windows_end_with_their_frame_and_stay_in_their_episode(store):
    windows = Windows(store, "train", ("DASH", "LEFT"), ("latents",), 3, limit_gb=1.0)
    assert len(windows) == 5
    assert windows.take(np.arange(5))[0][..., 0].tolist() == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 1, 2],
        [10, 10, 10],
        [10, 10, 11],
    ]
    # columns by name: DASH every third frame, LEFT the odd ones; episodes start at 0 and 10
    assert windows.actions.int().tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 1]]
    assert windows.logits(LastLatent(), torch.device("cpu"))[:, 1].tolist() == [0, -1, -2, -10, -11]


def test_logits_do_not_depend_on_how_they_are_batched(store, monkeypatch):
    windows = Windows(store, "train", ("DASH", "LEFT"), ("latents",), 2, limit_gb=1.0)
    whole = windows.logits(LastLatent(), torch.device("cpu"))
    for batch in (1, 2, 4, 5):
        monkeypatch.setattr("stages.models.cloning.EVALUATION_BATCH", batch)
        assert torch.equal(windows.logits(LastLatent(), torch.device("cpu")), whole)


def test_the_task_orders_by_seed_and_pass_and_weighs_its_samples(store):
    train, val = (Windows(store, split, ("LEFT", "DASH"), ("latents",), 2, limit_gb=1.0) for split in ("train", "val"))
    seen = {}

    def loss(logits, targets, weights=None):
        seen.update(targets=targets, weights=weights)
        return logits.sum()

    def task(seed):
        weights = torch.arange(5.0)[:, None]
        return CloningTask(LastLatent(), train, val, loss=loss, weights=weights, device=torch.device("cpu"), seed=seed)

    order = task(0).order(1)
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert order.tolist() == task(0).order(1).tolist()
    assert any(order.tolist() != other.tolist() for other in (task(1).order(1), task(0).order(2)))
    task(0).loss(LastLatent(), np.array([4, 1]))
    assert seen["weights"].tolist() == [[4.0], [1.0]]
    assert torch.equal(seen["targets"], train.actions[[4, 1]])
    assert task(0).validate(LastLatent()).keys() == {"ap", "loss"}


def test_mean_average_precision_skips_what_does_not_occur():
    rng = np.random.default_rng(0)
    truth, logits = rng.random((50, 3)) < 0.3, rng.normal(size=(50, 3))
    truth[:, 1] = False
    expected = np.mean([average_precision_score(truth[:, a], logits[:, a]) for a in (0, 2)])
    assert mean_average_precision(truth, logits) == pytest.approx(expected)
    assert mean_average_precision(np.zeros((4, 2), bool), np.zeros((4, 2))) == 0


def test_window_weights(store):
    windows = Windows(store, "train", ("LEFT", "DASH"), ("latents",), 2, limit_gb=1.0)
    windows.actions = torch.tensor([[1, 0], [1, 1], [1, 0], [0, 0], [0, 0]], dtype=torch.bool)  # episodes of 3 and 2
    even = {"change_weight": 1.0, "change_frames": 1}
    rare = window_weights(windows, [1], 5.0, by_class=False, **even)
    assert rare[:, 0].tolist() == pytest.approx([5 / 9, 25 / 9, 5 / 9, 5 / 9, 5 / 9])
    both = window_weights(windows, [1], 5.0, by_class=True, **even)
    assert both.shape == (5, 2)
    assert (both[:, 1] / both[:, 0]).tolist() == pytest.approx([2] * 5)  # shares (3 + 1) / 7 and (1 + 1) / 7
    changes = window_weights(windows, [1], 1.0, by_class=False, change_weight=3.0, change_frames=0)
    assert (changes / changes[0])[:, 0].tolist() == [1, 3, 3, 1, 1]  # no change across episodes


def test_key_change_weights_by_hand():
    held = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])[:, None]
    near = key_change_weights(held, [8], 1, 4.0)
    assert near.tolist() == [1, 1, 4, 4, 4, 1, 4, 4]
    assert key_change_weights(held, [3, 4, 1], 1, 4.0).tolist() == [1] * 8  # every episode holds what it began with
    assert key_change_weights(held, [8], 1, 1.0).tolist() == [1] * 8


def test_keys_ahead_are_those_of_the_same_episode_and_beyond_its_end_the_last(store):
    keys = torch.arange(5)[:, None]
    assert now_and_ahead(keys, [3, 2], (1, 4)).tolist() == [[0, 1, 2], [1, 2, 2], [2, 2, 2], [3, 4, 4], [4, 4, 4]]
    assert torch.equal(now_and_ahead(keys, [3, 2], ()), keys)


def test_what_was_said_of_a_frame_is_averaged_within_its_episode():
    said = torch.tensor([[1.0, 2, 3], [10, 20, 30], [100, 200, 300], [5, 6, 7], [50, 60, 70]])
    assert overlapped(said, 3, [3, 2]).flatten().tolist() == pytest.approx([1, 6, (100 + 20 + 3) / 3, 5, (50 + 6) / 2])
    two_keys = overlapped(torch.tensor([[1.0, 2, 3, 4], [10, 20, 30, 40]]), 2, [2])
    assert two_keys.tolist() == [[1, 2], [6.5, 12]]


def test_a_policy_between_combinations_says_one_logit_for_each():
    table = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]]
    common = {"shapes": {"latents": (2,)}, "window": 2, "actions": 3, "hidden": [4], "cell": "gru", "dropout": 0.0}
    policy = Recurrent(**common, ahead=(2,), combinations=table)
    latents = torch.rand(6, 2, 2)
    assert policy.train()(latents).shape == (6, 4 + 3) and policy.eval()(latents).shape == (6, 4)
    assert Recurrent(**policy.config).combinations == table
    with pytest.raises(ValueError, match="action_chunk is 2: set it to 1"):
        Recurrent(**common, combinations=table, chunk=2)


def test_what_lies_ahead_is_learned_and_not_played():
    """A network that must tell the keys to come has one more output an action for each moment, in training alone."""
    policy = Recurrent(shapes={"latents": (2,)}, window=2, actions=3, ahead=(1, 5), hidden=[4], cell="gru", dropout=0.0)
    latents = torch.rand(6, 2, 2)
    assert policy.train()(latents).shape == (6, 9) and policy.eval()(latents).shape == (6, 3)
    assert torch.equal(policy(latents), policy.train()(latents)[:, :3])
    assert Recurrent(**policy.config).ahead == (1, 5)
