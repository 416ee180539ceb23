"""When can a press be foreseen? Moments before presses against moments before none, and how well a score parts them.

A press's moment is its onset: the picture after which the player pressed. A window at lead h ends h frames before a
moment. Moments without a press come in three kinds: "far" (no press of that action within so many frames: they also
differ in what phase of the game it is), "near" (one comes or came within the second, but not now), "matched" (the
state is most like that before a press). Against far ones a probe tells phases, against the others moments.

Conventions: N frames in store order, A actions, F episodes; `episode` is each frame's, ascending from 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from stages.evaluation.intervals import Interval, interval_of, resample_weights
from stages.evaluation.onsets import onset_frames

PRESS, FAR, NEAR, MATCHED = "press", "far", "near", "matched"


@dataclass(frozen=True)
class Nearness:
    """How far from a press, in frames, a moment is `far` (more than that), and between which two it is `near`."""

    far: int
    near: tuple[int, int]


@dataclass(frozen=True)
class Moments:
    """Of one action at one lead: the last frame of each window, int64 [n] by kind (press, far, near, matched)."""

    ends: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ends[PRESS])


def distance_to_press(active: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Frames to the nearest onset of one action, before or after, in the same episode; inf without; float64 [N]."""
    onsets, frames = onset_frames(active, episode), np.arange(len(active))
    if not len(onsets):
        return np.full(len(active), math.inf)
    after = np.searchsorted(onsets, frames)
    nearest = np.full(len(active), math.inf)
    for index in (np.clip(after - 1, 0, None), np.clip(after, None, len(onsets) - 1)):
        there = onsets[index]
        nearest = np.minimum(nearest, np.where(episode[there] == episode, np.abs(there - frames), math.inf))
    return nearest


def moments_of(
    active: np.ndarray, episode: np.ndarray, lead: int, nearness: Nearness, generator: np.random.Generator,
    state: np.ndarray | None = None,
) -> Moments:  # fmt: skip
    """As many moments of each kind as presses, if there are so many; active bool [N], `state` float [N, S].

    The key is up at moments without a press. "matched" is missing without a state.
    """
    distance, frames = distance_to_press(active, episode), np.arange(len(active))
    ends = onset_frames(active, episode) - lead
    starts = np.searchsorted(episode, episode)  # the first frame of each frame's episode
    ends = ends[(ends >= 0) & (ends >= starts[np.minimum(ends + lead, len(active) - 1)])]
    moment = np.minimum(frames + lead, len(active) - 1)
    free = (frames + lead < len(active)) & (episode[moment] == episode) & ~active[moment]
    near = (distance[moment] >= nearness.near[0]) & (distance[moment] <= nearness.near[1])
    found = {FAR: np.flatnonzero(free & (distance[moment] > nearness.far)), NEAR: np.flatnonzero(free & near)}
    drawn = {kind: _some(some, len(ends), generator) for kind, some in found.items()}
    if state is not None and len(ends) and differing(state).any():
        drawn[MATCHED] = _most_like(state, ends, np.flatnonzero(free & (distance[moment] >= nearness.near[0])))
    return Moments({PRESS: ends, **drawn})


def _some(frames: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    return np.sort(generator.choice(frames, min(count, len(frames)), replace=False)) if len(frames) else frames


def differing(rows: np.ndarray) -> np.ndarray:
    """bool [D]: the columns of rows [N, D] that hold two values or more; NaN is none."""
    first = np.take_along_axis(rows, np.isfinite(rows).argmax(axis=0)[None], axis=0)
    return (np.isfinite(rows) & (rows != first)).any(axis=0)


def _most_like(state: np.ndarray, ends: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The frames among `others`, each once at most, whose states are most like those at `ends`."""
    if not len(others):
        return others
    state = state[:, differing(state)]
    rows = np.concatenate([np.nan_to_num(StandardScaler().fit_transform(state)), np.isnan(state)], axis=1)
    nearest = NearestNeighbors(n_neighbors=1).fit(rows[others]).kneighbors(rows[ends], return_distance=False)
    return np.unique(others[nearest[:, 0]])


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The share of pairs in which the positive score is the larger one, ties half; NaN without a pair.

    The area under the ROC curve (Hanley and McNeil 1982).
    """
    return float(_aucs(positive, negative, np.ones((1, len(positive))), np.ones((1, len(negative))))[0])


def auc_interval(
    positive: np.ndarray, negative: np.ndarray, episodes: tuple[np.ndarray, np.ndarray], *, resamples: int, seed: int
) -> Interval:
    """The AUC of scores [n] and [m] with a bootstrap over the episodes that they lie in, int64 [n] and [m]."""
    count = int(max((part.max() for part in episodes if len(part)), default=-1)) + 1
    value = auc(positive, negative)
    if not count:
        return Interval(value, math.nan, math.nan)
    weights = resample_weights(count, resamples=resamples, seed=seed)
    return interval_of(
        value, _aucs(positive, negative, weights[:, episodes[0]], weights[:, episodes[1]]), episodes=count
    )


def _aucs(positive: np.ndarray, negative: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The AUC for each row of weights, float64 [R, n] of the positive and [R, m] of the negative scores."""
    if not len(positive) or not len(negative):
        return np.full(len(own), math.nan)
    order = np.argsort(negative, kind="stable")
    below = np.concatenate([np.zeros((len(other), 1)), np.cumsum(other[:, order], axis=1)], axis=1)
    ranks = [np.searchsorted(negative[order], positive, side=side) for side in ("left", "right")]
    won = (own * (below[:, ranks[0]] + below[:, ranks[1]]) / 2).sum(axis=1)
    pairs = own.sum(axis=1) * other.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(own), math.nan), where=pairs > 0)


def reaction_time_s(leads_s: np.ndarray, aucs: np.ndarray) -> float:
    """Until when before a press the picture tells it: where the curve falls halfway from its best to chance.

    `leads_s` ascend. NaN where the best is no better than .6, or the curve does not fall so far.
    """
    best = np.nanmax(aucs) if np.isfinite(aucs).any() else math.nan
    if not best > 0.6:
        return math.nan
    half = (best + 0.5) / 2
    start = int(np.nanargmax(aucs))
    for before, after in zip(range(start, len(aucs) - 1), range(start + 1, len(aucs)), strict=True):
        if aucs[after] <= half < aucs[before]:
            way = (aucs[before] - half) / (aucs[before] - aucs[after])
            return float(leads_s[before] + way * (leads_s[after] - leads_s[before]))
    return math.nan
