"""Roll-outs of a forward model that can be worked out by hand: a picture that gets brighter by its code."""

import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stages.latent_actions import rollouts
from stages.latent_actions.rollouts import (
    OwnContexts,
    continued,
    delta_db,
    longest_rollout,
    psnr_by_step,
    rollout_errors,
    rollout_metrics,
    rollout_starts,
)
from stages.latent_actions.transitions import Transitions
from stages.learning.fast.dropout import seed_dropout

MEAN = np.full((1, 2, 2), 20.0)
DRAWN = {"resamples": 50, "seed": 0}


class Bank:
    """Frames uint8 [T, 1, 2, 2] in memory."""

    def __init__(self, levels):
        self.frames = np.repeat(np.array(levels, np.uint8), 4).reshape(-1, 1, 2, 2)

    def take(self, rows):
        return self.frames[rows]


def transitions(levels, lengths):
    """All transitions with one past frame of episodes of so many frames."""
    ends = np.cumsum(lengths)
    episodes = zip(ends, lengths, strict=True)
    rows = np.array([np.arange(start, start + 3) for end, n in episodes for start in range(end - n, end - 2)])
    return Transitions(Bank(levels), rows, np.searchsorted(ends, rows[:, 0], side="right"))


def brighten(context, codes):
    """The code is the change of brightness."""
    return context[:, -1].astype(np.float32) + codes[:, None, None, None]


def test_starts_leave_room_for_all_steps_in_their_own_episode():
    found = transitions(range(11), [6, 5])  # four and three transitions
    assert rollout_starts(found, steps=1, gap=1, most=99).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert rollout_starts(found, steps=3, gap=1, most=99).tolist() == [0, 1, 4]
    assert rollout_starts(found, steps=2, gap=3, most=99).tolist() == [0]
    assert rollout_starts(found, steps=3, gap=1, most=2).tolist() == [0, 1]
    assert rollout_starts(found, steps=8, gap=1, most=99).tolist() == []


def test_inferred_codes_follow_the_truth_and_random_ones_drift_away():
    levels = [10, 10, 13, 15, 18, 20, 21]
    found = transitions(levels, [7])
    codes = np.diff(levels)[1:]
    starts = rollout_starts(found, steps=4, gap=1, most=99)
    errors = rollout_errors(found, starts, codes, brighten, steps=4, gap=1, count=4, mean=MEAN, seed=0)
    assert errors.shape == (2, 4, 4)
    assert not errors[..., 0].any()
    assert errors[0, :, 2].tolist() == [9.0, 25.0, 64.0, 100.0]  # the first picture stays
    assert errors[0, :, 3].tolist() == [49.0, 25.0, 4.0, 0.0]  # 20 less the truth
    random = np.random.default_rng(0).integers(4, size=(2, 4))
    assert errors[0, 1, 1] == (10 + random[0, :2].sum() - 15) ** 2


def test_delta_is_the_decibels_between_inferred_and_random_codes():
    errors = np.array([[[1.0, 10.0, 4.0, 8.0]], [[3.0, 30.0, 4.0, 8.0]]])
    assert delta_db(errors, 1, np.array([0, 1]), **DRAWN).value == pytest.approx(10)
    assert psnr_by_step(errors)[0] == pytest.approx(10 * np.log10(255**2 / np.array([2.0, 20.0, 4.0, 8.0])))


def test_metrics_of_roll_outs_and_of_none():
    errors = np.array([[[1.0, 10.0, 4.0, 4.0], [2.0, 2.0, 20.0, 4.0]]])
    found = rollout_metrics(errors, np.array([0]), (1, 4), 2, **DRAWN)
    assert found["lam_delta1_db"] == pytest.approx(10) and found["lam_delta4_db"] is None
    assert found["lam_rollout_gain_db"] == pytest.approx(10)
    assert found["lam_rollout_over_mean_db"] == pytest.approx(10 * math.log10(2))
    assert found["lam_rollout_drift_db"] == pytest.approx(10 * math.log10(2))
    shorter = rollout_metrics(errors, np.array([0]), (1, 4), 15, **DRAWN)  # no episode has 15 steps
    assert shorter == found | dict.fromkeys(name for name in found if "rollout" in name)
    short = transitions(range(4), [4])
    none = rollout_errors(short, np.zeros(0, int), np.zeros(2), brighten, steps=3, gap=1, count=4, mean=MEAN, seed=0)
    assert none.shape == (0, 3, 4) and np.isnan(psnr_by_step(none)).all()
    nothing = rollout_metrics(none, np.zeros(0, int), (1, 4), 3, **DRAWN)
    assert nothing.keys() == found.keys() and set(nothing.values()) == {None}


@pytest.mark.parametrize(("lengths", "gap", "steps"), [([3, 6], 1, 6), ([3, 6], 4, 2), ([1], 5, 1)])
def test_the_longest_episode_says_how_far_a_roll_out_goes(lengths, gap, steps):
    found = Transitions(None, np.zeros((sum(lengths), 4), int), np.repeat(np.arange(len(lengths)), lengths))
    assert longest_rollout(found, gap) == steps
    assert len(rollout_starts(found, steps=steps, gap=gap, most=99)) >= 1
    assert not len(rollout_starts(found, steps=steps + 1, gap=gap, most=99))


OWN_LEVELS = [10, 10, 13, 15, 18, 20, 21, 100, 102, 104, 106]
OWN_LENGTHS = [7, 4]  # five transitions and two


def test_what_was_predicted_is_seen_next():
    context = np.array([[3, 5], [7, 9]], np.uint8).reshape(2, 2, 1, 1, 1)
    codes = np.array([[1, 2, 3], [0, 0, 10]])
    film = continued(context, codes, brighten)
    assert film.dtype == np.uint8 and film[..., 0, 0, 0].tolist() == [[6, 8, 11], [9, 9, 19]]
    oldest = continued(context, codes, lambda seen, code: seen[:, 0].astype(np.float32))  # the past as well
    assert oldest[..., 0, 0, 0].tolist() == [[3, 5, 3], [7, 9, 7]]


@pytest.fixture
def contexts(monkeypatch):
    """OwnContexts, for a model that brightens by a code that is one more than the true change."""
    found = transitions(OWN_LEVELS, OWN_LENGTHS)

    def one_more(model, frames, compute):
        return np.diff(frames[:, -2:, 0, 0, 0].astype(int))[:, 0] + 1

    monkeypatch.setattr(rollouts, "codes_of", one_more)
    monkeypatch.setattr(rollouts, "predict_next", lambda model, context, codes, compute: brighten(context, codes))
    model = torch.nn.Module()
    model.codebook = SimpleNamespace(started=True)

    def make(share, steps):
        return partial(OwnContexts(found, share, steps, 1, None), model)

    return make, found, model


def seen(contexts, found, samples):
    true = torch.from_numpy(found.take(samples)[:, :-1])
    return contexts(samples, true)[..., 0, 0, 0].tolist()


def test_contexts_are_predictions_where_the_episode_reaches_back_so_far(contexts):
    make, found, model = contexts
    samples = np.arange(7)
    # The first two of each episode have no two transitions before them.
    expected = [[10, 10], [10, 13], [14, 17], [16, 20], [19, 22], [100, 102], [102, 104]]
    assert seen(make(1.0, 2), found, samples) == expected
    assert seen(make(1.0, 1), found, np.array([6, 2])) == [[102, 105], [13, 16]]
    assert model.training


def test_contexts_are_true_without_a_share_and_before_there_are_codes(contexts):
    make, found, model = contexts
    samples = np.arange(7)
    true = found.take(samples)[:, :-1, 0, 0, 0].tolist()
    assert seen(make(0.0, 1), found, samples) == true
    model.codebook.started = False
    assert seen(make(1.0, 1), found, samples) == true


def test_a_share_of_the_contexts_is_drawn_anew_for_each_batch(contexts):
    make, found, _ = contexts
    samples = np.full(400, 3)
    seed_dropout(0)
    first, second = (np.array(seen(make(0.25, 1), found, samples)) for _ in range(2))
    own = (first != [15, 18]).any(axis=1)
    assert 60 < own.sum() < 140 and (first[own] == [15, 19]).all()
    assert (first != second).any()
