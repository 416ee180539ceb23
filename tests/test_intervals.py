import math

import numpy as np
import pytest

from stages.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    interval_of,
    mean_interval,
    paired_difference,
    resample_weights,
    resamples_of,
    sums_interval,
)

VALUES = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])


def test_weights_count_the_drawn_episodes():
    draws = resamples_of(5, resamples=20, seed=3)
    weights = resample_weights(5, resamples=20, seed=3)
    assert weights.shape == (20, 5)
    assert all(np.array_equal(np.bincount(draw, minlength=5), row) for draw, row in zip(draws, weights, strict=True))


def test_all_paths_give_the_same_interval():
    slow = bootstrap_interval(lambda drawn: VALUES[drawn].mean(axis=-1), len(VALUES), resamples=300, seed=1)
    counts = np.stack([VALUES, np.ones(len(VALUES))], axis=1)
    fast = sums_interval(lambda sums: sums[..., 0] / sums[..., 1], counts, resamples=300, seed=1)
    direct = mean_interval(VALUES, resamples=300, seed=1)
    for other in (fast, direct):
        assert (other.value, other.low, other.high) == pytest.approx((slow.value, slow.low, slow.high))
    assert slow.low < slow.value < slow.high


def test_the_seed_decides_the_draws():
    first, again, other = (mean_interval(VALUES, resamples=200, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other and first.value == other.value


def test_equal_episodes_give_an_interval_without_width():
    assert mean_interval(np.full(6, 2.5), resamples=50, seed=0) == Interval(2.5, 2.5, 2.5)


def test_intervals_of_a_normal_mean_cover_it_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(10, 2, size=30), resamples=400, seed=i) for i in range(300)]
    covered = np.mean([interval.low <= 10 <= interval.high for interval in intervals])
    assert 0.89 <= covered <= 0.98
    widths = np.mean([interval.high - interval.low for interval in intervals])
    assert widths == pytest.approx(2 * 1.96 * 2 / math.sqrt(30), rel=0.08)


def test_one_episode_has_no_interval():
    interval = mean_interval(np.array([4.0]), resamples=10, seed=0)
    assert interval.value == 4.0
    assert interval.as_metrics("val_ap") == {"val_ap": 4.0, "val_ap_low": None, "val_ap_high": None}


def test_undefined_draws_are_left_out_and_an_undefined_value_has_no_interval():
    interval = interval_of(0.5, np.array([0.4, math.nan, 0.6]), episodes=3)
    assert (interval.low, interval.high) == pytest.approx((0.405, 0.595))
    undefined = interval_of(math.nan, np.array([0.4, 0.6]), episodes=3)
    assert undefined.as_metrics("x") == {"x": None, "x_low": None, "x_high": None}
    assert math.isnan(interval_of(0.5, np.array([math.nan]), episodes=3).low)


def test_a_paired_difference_is_narrower_than_the_values_that_it_compares():
    spread = np.linspace(0, 100, 40)
    gain = paired_difference(spread + 1, spread, resamples=200, seed=0)
    assert (gain.value, gain.low, gain.high) == pytest.approx((1, 1, 1))


def test_a_paired_difference_wants_the_same_episodes():
    with pytest.raises(ValueError, match=r"same episodes twice, found \(3,\) and \(2,\)"):
        paired_difference(np.zeros(3), np.zeros(2), resamples=5, seed=0)


def test_no_episode_is_an_error():
    with pytest.raises(ValueError, match="at least one episode and one resample, found 0 and 5"):
        resamples_of(0, resamples=5, seed=0)
