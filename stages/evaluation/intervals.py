"""Intervals from a bootstrap over whole fights (Efron and Tibshirani 1993, chapter 13: percentiles).

Frames of one fight depend on each other, fights hardly do: so whole fights are drawn with
replacement, never frames. Everything that shares a seed and a number of fights shares its draws,
so that differences between predictors are paired. A statistic that is undefined (NaN) in a draw,
for example because the rare action is absent from it, does not count in the percentiles; with
fewer than two fights there is no interval and both ends are NaN.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95  # share of the draws between low and high


@dataclass(frozen=True)
class Interval:
    """A value measured on all fights and the ends of its bootstrap interval; NaN where undefined."""

    value: float
    low: float
    high: float

    def as_metrics(self, name: str) -> dict[str, float | None]:
        """The flat entries `name`, `name_low`, `name_high`; None (null in JSON) where undefined."""
        return {name: finite(self.value), f"{name}_low": finite(self.low), f"{name}_high": finite(self.high)}


def finite(value: float) -> float | None:
    """The value as a plain float, or None where it is NaN or infinite: JSON knows neither."""
    value = float(value)
    return value if math.isfinite(value) else None


def resamples_of(fights: int, *, resamples: int, seed: int) -> np.ndarray:
    """Indices of the fights in each draw, int64 [resamples, fights]; ValueError when there is no fight."""
    if fights < 1 or resamples < 1:
        raise ValueError(f"a bootstrap needs at least one fight and one resample, found {fights} and {resamples}")
    return np.random.default_rng(seed).integers(fights, size=(resamples, fights))


def resample_weights(fights: int, *, resamples: int, seed: int) -> np.ndarray:
    """How often each fight occurs in each draw of `resamples_of`, float64 [resamples, fights]."""
    draws = resamples_of(fights, resamples=resamples, seed=seed)
    flat = draws + fights * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * fights).reshape(resamples, fights).astype(np.float64)


def resampled_sums(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Counts a fight [F, ...] summed over the fights of each draw, weights [R, F] -> float64 [R, ...]."""
    return np.tensordot(weights, np.asarray(counts, dtype=np.float64), axes=1)


def interval_of(value: float, draws: np.ndarray, *, fights: int, level: float = LEVEL) -> Interval:
    """The interval of a value from its draws [R] (NaN draws are left out)."""
    defined = np.asarray(draws, dtype=np.float64)
    defined = defined[np.isfinite(defined)]
    if fights < 2 or not math.isfinite(value) or not len(defined):
        return Interval(float(value), math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], fights: int, *, resamples: int, seed: int, level: float = LEVEL
) -> Interval:
    """The interval of any statistic, which takes the indices of the drawn fights, int64 [fights].

    One call a draw: for sums of counts `sums_interval` is much faster and draws the same fights.
    """
    draws = resamples_of(fights, resamples=resamples, seed=seed)
    values = np.array([statistic(drawn) for drawn in draws], dtype=np.float64)
    return interval_of(statistic(np.arange(fights)), values, fights=fights, level=level)


def sums_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    *,
    resamples: int,
    seed: int,
    level: float = LEVEL,
) -> Interval:
    """The interval of a statistic of summed counts [F, K]; it maps sums [..., K] to values [...]."""
    counts = np.asarray(counts, dtype=np.float64)
    weights = resample_weights(len(counts), resamples=resamples, seed=seed)
    value = float(statistic(counts.sum(axis=0)))
    return interval_of(value, statistic(resampled_sums(counts, weights)), fights=len(counts), level=level)


def mean_interval(values: np.ndarray, *, resamples: int, seed: int, level: float = LEVEL) -> Interval:
    """The interval of the mean of one value a fight, values [F] (for example returns)."""
    values = np.asarray(values, dtype=np.float64)
    draws = resamples_of(len(values), resamples=resamples, seed=seed)
    return interval_of(values.mean(), values[draws].mean(axis=1), fights=len(values), level=level)


def paired_difference(
    first: np.ndarray, second: np.ndarray, *, resamples: int, seed: int, level: float = LEVEL
) -> Interval:
    """The interval of mean(first - second) where both [F] were measured on the same fights or seeds."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"a paired difference needs the same fights twice, found {first.shape} and {second.shape}")
    return mean_interval(first - second, resamples=resamples, seed=seed, level=level)
