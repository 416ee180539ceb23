"""What past, code and next frame tell: on a texture whose motion is drawn anew in every transition."""

import numpy as np
import pytest

from stages.latent_actions.information import (
    CHANGES,
    GRID,
    answers_seeing,
    current_features,
    next_features,
    one_hot,
    pair_features,
    past_features,
)
from stages.latent_actions.transitions import Transitions

HEIGHT, WIDTH, PX = 36, 64, 4


class Bank:
    """Frames in memory, as `FrameBank` gives them."""

    def __init__(self, frames):
        self.frames = frames

    def take(self, rows):
        return self.frames[rows]


def drifting(count, seed, gap=1):
    """Transitions of one episode of `count` frames, and the direction of each step: the picture moves by PX px."""
    draw = np.random.default_rng(seed)
    wide = np.random.default_rng(99).integers(0, 256, (HEIGHT, 40 * PX + WIDTH)).astype(np.uint8)
    steps = draw.integers(0, 2, count)
    places = np.clip(20 + np.cumsum(2 * steps - 1), 0, 40) * PX
    frames = np.stack([wide[None, :, at : at + WIDTH] for at in places])
    rows = np.arange(count - 3 * gap)[:, None] + np.arange(4) * gap
    moved = np.sign(np.diff(places)[rows[:, 2]])  # of one frame: what happens next when gap is 1
    return Transitions(Bank(frames), rows, np.zeros(len(rows), int)), (moved + 1).astype(int)


def test_the_past_is_told_without_the_next_frame():
    found, _ = drifting(30, 0)
    past, following = past_features(found), next_features(found)
    assert past.shape == (27, 2 * following.shape[1] + GRID[0] * GRID[1]) and following.shape[0] == 27
    changed = Bank(found.bank.frames.copy())
    changed.frames[10] = 0  # the next frame of transition 7, a past one of 8 and 9
    other = Transitions(changed, found.rows, found.episode)
    assert np.array_equal(past[:8], past_features(other)[:8]) and not np.array_equal(past[8], past_features(other)[8])
    after = next_features(other)
    assert np.array_equal(following[:7], after[:7]) and not np.array_equal(following[7], after[7])


@pytest.mark.parametrize("gap", [1, 2])
def test_features_are_those_of_each_pair_and_of_the_current_frame(gap):
    found, _ = drifting(20, 1, gap)
    frames = found.take(np.arange(len(found)))
    pairs = [pair_features(frames[:, at : at + 2]) for at in range(3)]
    assert np.allclose(past_features(found), np.hstack([*pairs[:2], current_features(frames[:, 2])]), atol=1e-6)
    assert np.allclose(next_features(found), pairs[2], atol=1e-6)
    assert pairs[0].shape[1] == 3 * (25 + 9) + CHANGES


def test_a_thing_that_stands_still_is_seen():
    left, right = np.zeros((2, 1, 1, HEIGHT, WIDTH), np.uint8)
    left[..., :20, :20], right[..., :20, -20:] = 255, 255
    assert not np.array_equal(current_features(left), current_features(right))
    assert current_features(left).max() == 1


def test_a_motion_that_the_past_does_not_tell_is_told_by_its_code_and_by_the_next_frame():
    (train, of_train), (test, of_test) = drifting(400, 2), drifting(200, 3)
    classes = {"train": of_train, "test": of_test}
    said = answers_seeing({"train": train, "test": test}, classes, classes, 3)
    right = {name: (answers["test"] == of_test).mean() for name, answers in said.items()}
    assert right["past"] < 0.7 and right["past_code"] > 0.9 and right["past_next"] > 0.9


def test_codes_as_columns():
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot(np.array([[2, 0], [1, 1]]), 3).tolist() == [[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0]]
