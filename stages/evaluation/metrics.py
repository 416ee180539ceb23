"""Frame metrics of a many-keys-at-once prediction, as pure functions of counts.

Conventions: N frames, A actions, F episodes; truth and pressed are bool or 0/1 [N, A]. Counts come
an episode and action, [F, A], so that a bootstrap over episodes only has to add them up; every score
below takes counts of any shape and is NaN where it is undefined: recall, F1 and average precision
without a positive in the truth, precision without a press. (scikit-learn says 0 there; a 0 would
read like a failure of the model.)

Hold lengths, states against reflexes: hits and misses are sorted by the length of the player's hold
that they lie in. A false alarm lies in no hold of the player, so each class bears the part of the
false alarms that it has of the true frames: F1 of the classes then differs by what is recalled, and
no way of pressing escapes its false alarms. (Sorting them by the length of the predicted hold would
give a key that is always down a perfect score on short holds.)
"""

import math

import numpy as np


def hold_lengths(active: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """For every frame the length in frames of the hold it is part of, 0 where released; int64 [N, A]."""
    active = np.asarray(active, dtype=bool)
    lengths = np.zeros(active.shape, dtype=np.int64)
    new_episode = np.r_[True, episode[1:] != episode[:-1]]
    for action in range(active.shape[1]):
        column = active[:, action]
        run = np.cumsum(np.r_[True, column[1:] != column[:-1]] | new_episode) - 1
        lengths[:, action] = np.where(column, np.bincount(run)[run], 0)
    return lengths


def frame_counts(truth: np.ndarray, pressed: np.ndarray, episode: np.ndarray, *, short: np.ndarray) -> dict:
    """Counts an episode and action, int64 [F, A]: tp, fp, fn, tn; of tp and fn those where `short` and the others.

    short bool [N, A] marks the frames in short holds of the player, see `hold_lengths`; the names of
    the parts are short_tp, short_fn, long_tp, long_fn.
    """
    truth, pressed = np.asarray(truth, dtype=bool), np.asarray(pressed, dtype=bool)
    marks = {"tp": truth & pressed, "fp": ~truth & pressed, "fn": truth & ~pressed, "tn": ~truth & ~pressed}
    for name in ("tp", "fn"):
        marks[f"short_{name}"], marks[f"long_{name}"] = marks[name] & short, marks[name] & ~short
    return {name: per_episode(mark, episode) for name, mark in marks.items()}


def per_episode(values: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Values [N, ...] summed within each episode -> [F, ...]; episode int64 [N] ascends from 0 without gaps."""
    starts = np.searchsorted(episode, np.arange(int(episode[-1]) + 1))
    kind = np.int64 if np.asarray(values).dtype == bool else None
    return np.add.reduceat(values, starts, axis=0, dtype=kind)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, math.nan), where=denominator != 0)


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Sums of values and how many they are, [..., 2] -> their mean [...]."""
    return ratio(sums[..., 0], sums[..., 1])


def f1(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """2 hits / (predicted + true), the harmonic mean of precision and recall; NaN where nothing is true."""
    true = np.asarray(true, dtype=np.float64)
    return np.where(true > 0, ratio(2 * np.asarray(hits, dtype=np.float64), np.add(predicted, true)), math.nan)


def nanmean(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The (weighted) mean over the last axis [..., A] of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    weights = np.where(defined, 1.0 if weights is None else weights, 0.0)
    return ratio((np.where(defined, values, 0.0) * weights).sum(axis=-1), weights.sum(axis=-1))


def composite(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of scores [..., A] with the given weights [A]; NaN when one that has weight is undefined.

    Leaving an undefined action out would silently turn the composite into another one.
    """
    used = np.asarray(weights) > 0
    return np.asarray(scores)[..., used] @ (np.asarray(weights, dtype=np.float64)[used] / np.sum(weights))


def average_precision(
    truth: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None, episode: np.ndarray | None = None
) -> np.ndarray:
    """Average precision of one action, sum over thresholds of (R_n - R_{n-1}) P_n, as scikit-learn defines it.

    truth 0/1 [N], score [N], higher is surer. With weights [R, F] of the episodes and episode [N] the
    value of every draw [R], else one value []. NaN where no frame is true.
    """
    truth, score = np.asarray(truth, dtype=np.float64), np.asarray(score, dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    if weights is None or episode is None:
        return _area(np.ones(len(order)), truth[order], last_of_ties)
    rows = max(1, 4_000_000 // len(order))  # so many draws at once stay near 100 MB
    parts = [
        _area(weights[start : start + rows][:, episode[order]], truth[order], last_of_ties)
        for start in range(0, len(weights), rows)
    ]
    return np.concatenate(parts)


def _area(weight: np.ndarray, truth: np.ndarray, last_of_ties: np.ndarray) -> np.ndarray:
    """weight [..., N] and truth [N] sorted by falling score; returns the average precision [...]."""
    hits = np.cumsum(weight * truth, axis=-1)[..., last_of_ties]
    alarms = np.cumsum(weight, axis=-1)[..., last_of_ties]
    gained = np.diff(hits, axis=-1, prepend=0.0)
    precise = np.divide(hits, alarms, out=np.zeros_like(hits), where=alarms > 0)
    return ratio((gained * precise).sum(axis=-1), hits[..., -1])


def distribution_distance(true: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """How far apart two distributions of actions are; counts [..., K] -> l1, l2 and kl [...].

    The K classes are the actions and "nothing held"; counts of frames are turned into shares.
    kl is KL(true || predicted) in nats, with half a frame added to every class (Krichevsky and
    Trofimov 1981), so that an action that is never predicted costs much, not infinitely much.
    """
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    p, q = true / true.sum(axis=-1, keepdims=True), predicted / predicted.sum(axis=-1, keepdims=True)
    smooth_p = (true + 0.5) / (true + 0.5).sum(axis=-1, keepdims=True)
    smooth_q = (predicted + 0.5) / (predicted + 0.5).sum(axis=-1, keepdims=True)
    return {
        "l1": np.abs(p - q).sum(axis=-1),
        "l2": np.sqrt(((p - q) ** 2).sum(axis=-1)),
        "kl": (smooth_p * np.log(smooth_p / smooth_q)).sum(axis=-1),
    }
