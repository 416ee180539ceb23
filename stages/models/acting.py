"""From logits to keys: the threshold of each action, and probabilities that mean what they say.

Both are fitted on validation data. The threshold applies to sigmoid(logit). The other two rules need calibrated
probabilities, which focal loss and weighted windows do not give: Platt's scaling brings them back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve

from stages.models.combinations import of_keys

RULES = ("threshold", "likely", "sampled")


@dataclass(frozen=True)
class Acting:
    """How what a policy says becomes keys: by one of RULES, and what it needs, float64 [A] each.

    A policy says logits [..., A], one an action, or [..., K], one for each of its `combinations` bool [K, A].
    """

    thresholds: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    rule: str
    combinations: np.ndarray | None = None

    def keys(self, logits: np.ndarray, generator: np.random.Generator | None = None) -> np.ndarray:
        """The actions whose keys are held, bool [..., A].

        "threshold": those whose sigmoid(logit) reaches the tuned threshold; "likely": those that the player more
        likely holds than not, or the likeliest combination; "sampled": drawn by `generator` with the calibrated
        probabilities, or with those of the combinations.
        """
        logits = np.asarray(logits, np.float64)
        if self.rule == "threshold":
            return sigmoid(self.of_keys(logits)) >= self.thresholds
        if self.combinations is not None:
            if self.rule == "sampled":
                logits = logits + generator.gumbel(size=logits.shape)  # whose largest is drawn by their softmax
            return self.combinations[logits.argmax(axis=-1)]
        if self.rule == "likely":
            return self.probabilities(logits) >= 0.5
        return generator.random(np.shape(logits)) < self.probabilities(logits)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float64 [..., A]."""
        return sigmoid(self.of_keys(logits) * self.scale + self.shift)

    def of_keys(self, logits: np.ndarray) -> np.ndarray:
        """A logit an action, float64 [..., A]."""
        return of_keys(np.asarray(logits, np.float64), self.combinations)

    def by(self, rule: str) -> "Acting":
        """The same logits by another of RULES; ValueError when there is no such rule."""
        if rule not in RULES:
            raise ValueError(f"the acting rule is {rule!r}, expected one of {', '.join(RULES)}")
        return replace(self, rule=rule)

    def as_json(self, actions: Sequence[str]) -> dict:
        """{"rule": ..., "thresholds": {ACTION: p}, "calibration": {ACTION: {"scale": a, "shift": b}}}.

        Where the policy decides between combinations, "combinations" lists the actions of each.
        """
        pairs = zip(self.scale.tolist(), self.shift.tolist(), strict=True)
        calibration = [{"scale": scale, "shift": shift} for scale, shift in pairs]
        return {
            "rule": self.rule,
            "thresholds": dict(zip(actions, self.thresholds.tolist(), strict=True)),
            "calibration": dict(zip(actions, calibration, strict=True)),
            **({} if self.combinations is None else {"combinations": self._named(actions)}),
        }

    def _named(self, actions: Sequence[str]) -> list[list[str]]:
        return [[name for name, on in zip(actions, row, strict=True) if on] for row in self.combinations]

    @classmethod
    def from_json(cls, content: dict, actions: Sequence[str]) -> "Acting":
        """What `as_json` wrote, its columns in the order of `actions`; errors: KeyError, and that of `by`."""
        calibration = [content["calibration"][action] for action in actions]
        together = content.get("combinations")
        if unknown := {name for held in together or [] for name in held} - set(actions):
            raise ValueError(f"a combination names {min(unknown)}, which is no action")
        return cls(
            np.array([content["thresholds"][action] for action in actions]),
            np.array([each["scale"] for each in calibration]),
            np.array([each["shift"] for each in calibration]),
            RULES[0],
            None if together is None else np.array([[name in held for name in actions] for held in together]),
        ).by(content["rule"])


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit)), without overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def fit_acting(truth: np.ndarray, logits: np.ndarray, combinations: np.ndarray | None = None) -> Acting:
    """Thresholds and calibration of every action from truth bool [N, A] and logits [N, A], or [N, K] of combinations;
    the first of RULES."""
    if combinations is not None and not len(combinations):
        combinations = None
    said = of_keys(np.asarray(logits, np.float64), combinations)
    columns = list(zip(np.asarray(truth, bool).T, said.T, strict=True))
    thresholds = np.array([best_threshold(y, sigmoid(x)) for y, x in columns])
    scale, shift = np.array([platt_scaling(y, x) for y, x in columns]).T
    return Acting(thresholds, scale, shift, RULES[0], combinations)


def best_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the highest F1 on truth bool [N] against probabilities [N].

    It lies midway between the lowest probability that is still pressed and the next one below, so that
    a last digit decides nothing. One half when the action never or always occurs: nothing to tune on.
    """
    if truth.all() or not truth.any():
        return 0.5
    precision, recall, cuts = precision_recall_curve(truth, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(np.argmax(f1[:-1]))  # the last point has no threshold
    below = cuts[best - 1] if best else 0.0
    return float((cuts[best] + below) / 2)


def platt_scaling(truth: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """(scale, shift) with which sigmoid(scale * logit + shift) is calibrated on truth bool [N], logits [N].

    Platt 1999, "Probabilistic outputs for support vector machines": logistic regression on targets
    (n_pos + 1) / (n_pos + 2) and 1 / (n_neg + 2), which keep a perfect ranking from infinite slopes.
    A ranking that is worse than chance gets scale 0: the action's share, whatever the logit.
    """
    active, idle = int(truth.sum()), int((~truth).sum())
    targets = np.where(truth, (active + 1) / (active + 2), 1 / (idle + 2))
    # Soft targets as weighted pairs of a hard 1 and a hard 0.
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(
        np.tile(logits, 2)[:, None],
        np.repeat([1, 0], len(logits)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    scale, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    return (scale, shift) if scale > 0 else (0.0, float(np.log(targets.mean() / (1 - targets.mean()))))
