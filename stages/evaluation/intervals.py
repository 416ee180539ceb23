"""Intervals from a bootstrap over whole episodes (Efron and Tibshirani 1993, chapter 13: percentiles).

Frames of one episode depend on each other, episodes hardly do: so whole episodes are drawn with
replacement, never frames. Everything that shares a seed and a number of episodes shares its draws,
so that differences between predictors are paired. A statistic that is undefined (NaN) in a draw,
for example because the rare action is absent from it, does not count in the percentiles; with
fewer than two episodes there is no interval and both ends are NaN.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

LEVEL = 0.95  # share of the draws between low and high


class Interval(NamedTuple):
    """A value measured on all episodes and the ends of its bootstrap interval; NaN where undefined."""

    value: float
    low: float
    high: float

    def as_metrics(self, name: str) -> dict[str, float | None]:
        """The flat entries `name`, `name_low`, `name_high`; None (null in JSON) where undefined."""
        return {name: finite(self.value), f"{name}_low": finite(self.low), f"{name}_high": finite(self.high)}


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def finite(value: float) -> float | None:
    """The value as a plain float, or None where it is NaN or infinite: JSON knows neither."""
    value = float(value)
    return value if math.isfinite(value) else None


def resamples_of(episodes: int, *, resamples: int, seed: int) -> np.ndarray:
    """Indices of the episodes in each draw, int64 [resamples, episodes]; ValueError when there is no episode."""
    if episodes < 1 or resamples < 1:
        raise ValueError(f"a bootstrap needs at least one episode and one resample, found {episodes} and {resamples}")
    return np.random.default_rng(seed).integers(episodes, size=(resamples, episodes))


def resample_weights(episodes: int, *, resamples: int, seed: int) -> np.ndarray:
    """How often each episode occurs in each draw of `resamples_of`, float64 [resamples, episodes]."""
    draws = resamples_of(episodes, resamples=resamples, seed=seed)
    flat = draws + episodes * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * episodes).reshape(resamples, episodes).astype(np.float64)


def interval_of(value: float, draws: np.ndarray, *, episodes: int) -> Interval:
    """The interval of a value from its draws [R] (NaN draws are left out)."""
    defined = np.asarray(draws, dtype=np.float64)
    defined = defined[np.isfinite(defined)]
    if episodes < 2 or not math.isfinite(value) or not len(defined):
        return Interval(float(value), math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray], episodes: int, *, resamples: int, seed: int
) -> Interval:
    """The interval of any statistic, which maps the indices of drawn episodes, int64 [..., episodes], to values [...].

    For sums of counts `sums_interval` is much faster and draws the same episodes.
    """
    draws = resamples_of(episodes, resamples=resamples, seed=seed)
    return interval_of(float(statistic(np.arange(episodes))), statistic(draws), episodes=episodes)


def sums_interval(
    statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, *, resamples: int, seed: int
) -> Interval:
    """The interval of a statistic of summed counts [F, K]; it maps sums [..., K] to values [...]."""
    counts = np.asarray(counts, dtype=np.float64)
    weights = resample_weights(len(counts), resamples=resamples, seed=seed)
    drawn = np.tensordot(weights, counts, axes=1)
    return interval_of(float(statistic(counts.sum(axis=0))), statistic(drawn), episodes=len(counts))


def mean_interval(values: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """The interval of the mean of one value an episode, values [F] (for example returns)."""
    values = np.asarray(values, dtype=np.float64)
    return bootstrap_interval(lambda drawn: values[drawn].mean(axis=-1), len(values), resamples=resamples, seed=seed)


def paired_difference(first: np.ndarray, second: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """The interval of mean(first - second) where both [F] were measured on the same episodes or seeds."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"a paired difference needs the same episodes twice, found {first.shape} and {second.shape}")
    return mean_interval(first - second, resamples=resamples, seed=seed)
