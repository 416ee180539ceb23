"""Keys that help to shape latent actions: which transitions show them, how often they come up, what they cost."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.latent_actions.learning import LABELLED, KnownKeys, LatentActionTask
from stages.params import read_params
from tests.test_rollouts import transitions

LENGTHS = [7, 5]  # with a past frame and a next one: current frames 1 to 5, and 8 to 10
HELD = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)


@pytest.fixture
def train():
    return transitions(list(range(12)), LENGTHS)


@pytest.mark.parametrize(
    ("lag", "frames", "shown"),
    [
        (0, [9, 1, 5, 8], {1: 1, 5: 2, 8: 3, 9: 0}),
        (1, [9, 0, 7, 4], {10: 0, 1: 1, 8: 2, 5: 3}),
        (1, [5, 10, 2, 6], {3: 2}),  # what 5 and 10 show comes after their last transition, 6 is the end of its episode
    ],
)
def test_keys_belong_to_the_transitions_that_show_them(train, lag, frames, shown):
    known = KnownKeys.of_frames(train, np.array(frames), HELD, lag)
    assert (np.diff(known.samples) > 0).all()
    found = dict(zip(train.current[known.samples].tolist(), known.held.tolist(), strict=True))
    assert found == {frame: HELD[row].tolist() for frame, row in shown.items()}


def test_an_episode_does_not_show_the_keys_of_the_one_before():
    train = transitions(list(range(9)), [4, 5])
    last_of_the_first = np.array([3])
    for lag in (1, 2):
        with pytest.raises(ValueError, match=f"no transition shows the keys of the 1 labelled frames, {lag} frames"):
            KnownKeys.of_frames(train, last_of_the_first, HELD[:1], lag)


def task_of(train, known):
    section = read_params().latent_action.model_copy(update={"label_weight": 1.0})
    return LatentActionTask(torch.nn.Identity(), train, train, section, SimpleNamespace(seed=0), known=known)


def test_few_known_keys_come_up_as_often_as_many():
    train = transitions([0] * 402, [402])  # 400 transitions
    for count, times in ((2, 66), (20, 6), (50, 2), (120, 1), (400, 1)):
        known = KnownKeys(np.arange(count), np.ones((count, 2), bool))
        order = task_of(train, known).order(0)
        assert np.array_equal(np.bincount(order), np.repeat([times, 1], [count, 400 - count]))
        assert times == 1 or (order < count).mean() == pytest.approx(LABELLED, abs=0.03)
    assert np.array_equal(np.sort(task_of(train, None).order(3)), np.arange(400))


def test_only_known_keys_cost_and_each_as_much():
    train = transitions([0] * 10, [10])
    task = task_of(train, KnownKeys(np.array([1, 4]), HELD[:2]))
    logits = torch.tensor([[3.0, -1.0], [9.0, 9.0], [0.5, 0.0]], requires_grad=True)
    loss = task._key_loss(logits, np.array([4, 2, 1]))
    parts = [functional.softplus(torch.tensor(x)) for x in (3.0, 1.0, -0.5, 0.0)]  # of keys 0, 1 and 1, 0
    assert loss.item() == pytest.approx(sum(parts).item() / 2, rel=1e-6)
    loss.backward()
    assert not logits.grad[1].any() and logits.grad[0].all()
    nothing = task._key_loss(logits, np.array([0, 2, 3]))
    assert nothing.item() == 0 and nothing.requires_grad
