import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from stages.evaluation import metrics
from stages.evaluation.intervals import resample_weights, resamples_of
from stages.evaluation.onsets import episode_index

ONE_EPISODE = episode_index([8])


def counts_of(truth, pressed, episode=ONE_EPISODE, cut_frames=3):
    truth, pressed = np.asarray(truth)[:, None], np.asarray(pressed)[:, None]
    short = metrics.hold_lengths(truth, episode) < cut_frames
    return {name: value[:, 0] for name, value in metrics.frame_counts(truth, pressed, episode, short=short).items()}


def test_counts_by_hand():
    #                  hit, miss, alarm, ...; holds of the player: one of 2 frames, one of 3
    counts = counts_of([1, 1, 0, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 1, 0, 0])
    assert {name: int(value[0]) for name, value in counts.items()} == {
        "tp": 3, "fp": 1, "fn": 2, "tn": 2, "short_tp": 1, "short_fn": 1, "long_tp": 2, "long_fn": 1,
    }  # fmt: skip


def test_counts_are_kept_a_episode_apart():
    counts = counts_of([1, 1, 0, 1, 1, 1, 0, 0], [1, 1, 0, 1, 0, 0, 1, 0], episode_index([4, 4]))
    assert counts["tp"].tolist() == [3, 0]
    assert counts["fn"].tolist() == [0, 2]
    # The hold over the border is two holds, of one and of two frames: all frames lie in short holds.
    assert counts["long_tp"].tolist() == counts["long_fn"].tolist() == [0, 0]


def test_hold_lengths_end_with_the_episode():
    active = np.array([[1, 1, 1, 0, 1, 1, 0, 1]]).T
    lengths = metrics.hold_lengths(active, episode_index([2, 6]))
    assert lengths[:, 0].tolist() == [2, 2, 1, 0, 2, 2, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_scores_equal_scikit_learn(frames, share, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(frames) < share
    score = np.round(rng.random(frames), 1)  # with ties
    pressed = score > 0.5
    if not truth.any() or not pressed.any():
        return
    counts = counts_of(truth, pressed, episode_index([frames]))
    tp, fp, fn = (int(counts[name][0]) for name in ("tp", "fp", "fn"))
    assert metrics.ratio(tp, tp + fp) == pytest.approx(precision_score(truth, pressed))
    assert metrics.ratio(tp, tp + fn) == pytest.approx(recall_score(truth, pressed))
    assert metrics.f1(tp, tp + fp, tp + fn) == pytest.approx(f1_score(truth, pressed))
    assert metrics.average_precision(truth, score) == pytest.approx(average_precision_score(truth, score))


def test_average_precision_by_hand():
    # Sorted: hit, alarm, hit -> 1/2 * 1 + 1/2 * 2/3
    assert metrics.average_precision([0, 1, 1], [0.5, 0.9, 0.1]) == pytest.approx(0.5 + 1 / 3)


def test_a_constant_score_has_the_share_as_average_precision():
    assert metrics.average_precision([0, 1, 0, 0], np.full(4, 0.7)) == pytest.approx(0.25)


def test_average_precision_of_draws_equals_the_drawn_frames():
    rng = np.random.default_rng(0)
    episode = episode_index([7, 5, 9, 4])
    truth, score = rng.random(25) < 0.3, rng.random(25).round(1)
    weights = resample_weights(4, resamples=30, seed=5)
    values = metrics.average_precision(truth, score, weights, episode)
    for value, draw in zip(values, resamples_of(4, resamples=30, seed=5), strict=True):
        frames = np.concatenate([np.flatnonzero(episode == number) for number in draw])
        if truth[frames].any():
            assert value == pytest.approx(average_precision_score(truth[frames], score[frames]))
        else:
            assert math.isnan(value)


def test_a_perfect_prediction_scores_one():
    truth = np.random.default_rng(1).random(100) < 0.3
    counts = counts_of(truth, truth, episode_index([100]))
    tp, fp, fn = (counts[name].sum() for name in ("tp", "fp", "fn"))
    assert metrics.ratio(tp, tp + fp) == metrics.ratio(tp, tp + fn) == metrics.f1(tp, tp + fp, tp + fn) == 1
    assert metrics.average_precision(truth, truth) == 1


def test_without_positives_scores_are_undefined_not_zero():
    counts = counts_of([0] * 8, [0, 1, 0, 0, 0, 0, 0, 0])
    tp, fp, fn = (counts[name].sum() for name in ("tp", "fp", "fn"))
    assert math.isnan(metrics.ratio(tp, tp + fn)) and math.isnan(metrics.f1(tp, tp + fp, tp + fn))
    assert metrics.ratio(tp, tp + fp) == 0
    assert math.isnan(metrics.average_precision(np.zeros(8), np.arange(8)))


def test_pressing_nothing_has_no_precision_and_f1_zero():
    assert math.isnan(metrics.ratio(0, 0))
    assert metrics.f1(0, 0, 4) == 0


def test_means_leave_out_what_is_undefined():
    scores = np.array([[0.5, math.nan, 0.7], [math.nan] * 3])
    mean = metrics.nanmean(scores)
    assert mean[0] == pytest.approx(0.6) and math.isnan(mean[1])
    assert metrics.nanmean(scores[0], np.array([1.0, 1.0, 0.0])) == pytest.approx(0.5)


def test_a_composite_with_an_undefined_part_is_undefined():
    scores = np.array([0.99, 0.4, math.nan])
    assert metrics.composite(scores, np.array([3.0, 1.0, 0.0])) == pytest.approx((3 * 0.99 + 0.4) / 4)
    assert math.isnan(metrics.composite(scores, np.array([1.0, 1.0, 1.0])))


def test_distances_by_hand():
    same = metrics.distribution_distance([10, 30], [1, 3])
    assert same["l1"] == same["l2"] == 0
    apart = metrics.distribution_distance(np.array([50.0, 50.0]), np.array([0.0, 80.0]))
    assert apart["l1"] == pytest.approx(1.0) and apart["l2"] == pytest.approx(math.sqrt(0.5))
    p, q = 0.5, 0.5 / 81
    assert apart["kl"] == pytest.approx(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
