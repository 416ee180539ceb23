"""Few labels: which transitions are labelled, what decodes their keys from features, and how it is scored.

A label is the row of keys that are held in one transition. The transitions to be labelled are drawn at random, or
spread: k-means parts all transitions of the training video into as many groups as there will be labels, by the latent
action and its neighbours, and the one nearest to each centre is labelled. That needs no label, and what is rare in
the video (a fast turn) gets a group of its own where a random draw would seldom meet it.

Conventions: T frames of a split end to end, N transitions, n of them labelled, A actions, D numbers a transition;
held and predicted are bool [N, A].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from stages.evaluation.intervals import Interval, sums_interval
from stages.evaluation.metrics import ratio
from stages.latent_actions.measures import sums_by_episode

CHOICES = ("random", "spread")
STRICTNESS = 10.0  # C of the decoders: labels have few slips
MARGIN = 3.0  # log odds at the margin of a support vector machine
UNITS = 64  # of the readout of keys from the codes to come
FOLDS = 5  # that the labels are parted into, where a network is stopped by labels it has not learned from
CERTAIN = 4.0  # log odds where labels know nothing else


def surroundings(
    values: np.ndarray, lengths: Sequence[int], back: int, ahead: int, *, emphasis: float = 1
) -> np.ndarray:
    """values [T, D] -> [T, (back + 1 + ahead) * D]: each frame's with those around it, an episode's ends repeated.

    The frame's own count `emphasis` as much as those around it. A tap lasts one transition: where all count the same,
    what measures distances takes it for a part of what surrounds it.
    """
    lengths = np.asarray(lengths)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)[:, None]
    last = np.repeat(np.cumsum(lengths) - 1, lengths)[:, None]
    rows = np.clip(np.arange(len(values))[:, None] + np.arange(-back, ahead + 1), first, last)
    weights = np.ones((back + 1 + ahead, 1), values.dtype)
    weights[back] = emphasis
    return (values[rows] * weights).reshape(len(values), -1)


def chosen(how: str, features: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Which `count` of the transitions with features [N, D] are labelled, int64 [count], sorted.

    ValueError when there are fewer than `count`, or CHOICES has no such way.
    """
    if count > len(features):
        raise ValueError(f"labelling.counts asks for {count} labels, train has {len(features)} transitions")
    if how == "random":
        return np.sort(np.random.default_rng(seed).permutation(len(features))[:count])
    if how != "spread":
        raise ValueError(f"labels are chosen {' or '.join(CHOICES)}, found {how!r}")
    with threadpool_limits(limits=1, user_api="openmp"):  # sums of several threads end in the order of the faster
        groups = KMeans(count, n_init=1, random_state=seed).fit(features)
    distance = groups.transform(features)
    own = groups.labels_[:, None] == np.arange(count)
    # The nearest of its own group: two centres never share a transition.
    nearest = np.where(own, distance, np.inf).argmin(axis=0)[own.any(axis=0)]
    # Fewer different transitions than groups leave some empty; the rest is drawn.
    others = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(len(features)), nearest))
    return np.sort(np.r_[nearest, others[: count - len(nearest)]])


def folds_of(count: int, *, seed: int) -> list[np.ndarray]:
    """`count` labels shuffled and parted into FOLDS, or into as many as there are labels; int64 arrays."""
    if count < 2:
        raise ValueError(f"a network needs one label to learn from and one to stop by, found {count}")
    return np.array_split(np.random.default_rng(seed).permutation(count), min(FOLDS, count))


@dataclass(frozen=True)
class KeyDecoder:
    """Keys from a transition's features, learned from labels: two classifiers an action, whose scores are averaged.

    A logistic regression and a support vector machine (radial basis functions): the first is better at turns that
    differ in speed, the second at shots that differ in their flash. `members` is empty for an action of which all
    labels or none are examples; `always` bool [A] says which of the two.
    """

    members: tuple[tuple, ...]
    always: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, held: np.ndarray) -> "KeyDecoder":
        """features [n, D], held [n, A]; ValueError without a label."""
        if not len(features):
            raise ValueError("a decoder of keys needs at least one label, found none")
        held = np.asarray(held, bool)
        members = [
            () if column.all() or not column.any()
            else (LogisticRegression(C=STRICTNESS, max_iter=1000).fit(features, column),
                  SVC(C=STRICTNESS, class_weight="balanced").fit(features, column))
            for column in held.T
        ]  # fmt: skip
        return cls(tuple(members), held.all(axis=0))

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Log odds float64 [N, A], above 0 where the key is held; CERTAIN throughout where labels knew nothing else."""
        columns = [
            (both[0].decision_function(features) + MARGIN * both[1].decision_function(features)) / 2
            if both
            else np.full(len(features), CERTAIN if always else -CERTAIN)
            for both, always in zip(self.members, self.always, strict=True)
        ]
        return np.stack(columns, axis=1)

    def held(self, features: np.ndarray) -> np.ndarray:
        """bool [N, A]"""
        return self.scores(features) > 0


def key_layers(features: np.ndarray, held: np.ndarray, *, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A readout: one hidden layer of UNITS (ReLU) from features [N, D] to the log odds of keys held [N, A].

    Each layer's weights float64 [out, in] and bias [out]; the first one also brings the features to one scale. It stops
    by a tenth of the transitions.
    """
    scaler = StandardScaler().fit(features)
    # A single column would be stratified, which few presses do not allow: with its complement there are two.
    targets = held if held.shape[1] > 1 else np.hstack([held, ~held])
    network = MLPClassifier((UNITS,), alpha=1e-3, early_stopping=True, random_state=seed)
    network.fit(scaler.transform(features), targets)
    (first, last), (first_bias, last_bias) = network.coefs_, network.intercepts_
    scaled = first / scaler.scale_[:, None]
    actions = held.shape[1]
    return [(scaled.T, first_bias - scaler.mean_ @ scaled), (last.T[:actions], last_bias[:actions])]


def keys_by_code(codes: np.ndarray, held: np.ndarray, count: int) -> np.ndarray:
    """Share of the labels of each code that hold each key, float64 [count, A]; codes int [n], held [n, A].

    One label's worth of the mean over all labels is mixed in, so that a code without a label has that mean.
    """
    codes, held = np.asarray(codes), np.asarray(held, np.float64)
    sums = np.zeros((count, held.shape[1]))
    np.add.at(sums, codes, held)
    return (sums + held.mean(axis=0)) / (np.bincount(codes, minlength=count)[:, None] + 1)


def absent_actions(held: np.ndarray, actions: Sequence[str]) -> list[str]:
    """The actions of which the labels held [n, A] have no example."""
    return [name for name, column in zip(actions, np.asarray(held, bool).T, strict=True) if not column.any()]


def labelling_scores(
    truth: np.ndarray, predicted: Sequence[np.ndarray], episode: np.ndarray, *, resamples: int, seed: int
) -> tuple[Interval, Interval, np.ndarray]:
    """Exact match (all keys of a transition right), macro F1 and F1 [A], each the mean over the draws of labels.

    truth [N, A], `predicted` [N, A] of each draw. Intervals are from a bootstrap over the episodes, episode int64 [N];
    the draws are those that were made.
    """
    draws = len(predicted)
    counts = np.stack([_counts(truth, each) for each in predicted], axis=1)  # [N, draws, 1 + 3 * A]
    sums = sums_by_episode(np.concatenate([counts.reshape(len(truth), -1), np.ones((len(truth), 1))], 1), episode)
    bootstrap = {"resamples": resamples, "seed": seed}

    def parts(total: np.ndarray) -> np.ndarray:
        return total[..., :-1].reshape(*total.shape[:-1], draws, -1)

    def exact(total: np.ndarray) -> np.ndarray:
        return parts(total)[..., 0].mean(axis=-1) / total[..., -1]

    def macro_f1(total: np.ndarray) -> np.ndarray:
        return f1_of(parts(total)[..., 1:]).mean(axis=(-1, -2))

    return (
        sums_interval(exact, sums, **bootstrap),
        sums_interval(macro_f1, sums, **bootstrap),
        f1_of(parts(sums.sum(axis=0))[..., 1:]).mean(axis=0),
    )


def f1_of(counts: np.ndarray) -> np.ndarray:
    """F1 [..., A] from hits, false and missed presses [..., 3 * A]; 0 for a key that is neither held nor predicted."""
    hits, false, missed = np.moveaxis(counts.reshape(*counts.shape[:-1], 3, -1), -2, 0)
    return np.nan_to_num(ratio(2 * hits, 2 * hits + false + missed))


def _counts(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """A transition's right answer, hits, false and missed presses, float64 [N, 1 + 3 * A]."""
    right = (truth == predicted).all(axis=1, keepdims=True)
    return np.concatenate([right, truth & predicted, ~truth & predicted, truth & ~predicted], axis=1).astype(np.float64)
