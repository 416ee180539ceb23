"""From logits to keys: the threshold of each action, and probabilities that mean what they say.

Both are fitted on validation data. The threshold applies to sigmoid(logit). The other two rules need calibrated
probabilities, which focal loss and weighted windows do not give: Platt's scaling brings them back.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve

RULES = ("threshold", "likely", "sampled")


@dataclass(frozen=True)
class Acting:
    """How the logits [..., A] of the actions become keys; every field float64 [A]."""

    thresholds: np.ndarray
    scale: np.ndarray
    shift: np.ndarray

    def pressed(self, logits: np.ndarray) -> np.ndarray:
        """bool [..., A]: whether sigmoid(logit) reaches the tuned threshold."""
        return sigmoid(logits) >= self.thresholds

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [..., A]."""
        return sigmoid(logits * self.scale + self.shift)

    def held(self, rule: str, logits: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """bool [..., A]: the keys of an acting rule.

        "threshold": those that reach the tuned threshold; "likely": those that the player more likely holds than
        not; "sampled": drawn with the calibrated probabilities.
        """
        if rule == "threshold":
            return self.pressed(logits)
        if rule == "likely":
            return self.calibrated(logits) >= 0.5
        return generator.random(np.shape(logits)) < self.calibrated(logits)


@dataclass(frozen=True)
class Hands:
    """An acting rule, one of RULES: logits float32 [A] -> keys bool [A]."""

    rule: str
    acting: Acting

    def __call__(self, logits: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return self.acting.held(self.rule, logits.astype(np.float64), generator)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit)), without overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def fit_acting(truth: np.ndarray, logits: np.ndarray) -> Acting:
    """Thresholds and calibration of every action from truth bool [N, A] and logits [N, A]."""
    columns = list(zip(np.asarray(truth, bool).T, np.asarray(logits, np.float64).T, strict=True))
    thresholds = np.array([best_threshold(y, sigmoid(x)) for y, x in columns])
    scale, shift = np.array([platt_scaling(y, x) for y, x in columns]).T
    return Acting(thresholds, scale, shift)


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


def write_acting(path: str | Path, acting: Acting, actions: Sequence[str]) -> None:
    """Writes acting.json: {"thresholds": {ACTION: p}, "calibration": {ACTION: {"scale": a, "shift": b}}}."""
    calibration = [{"scale": a, "shift": b} for a, b in zip(acting.scale.tolist(), acting.shift.tolist(), strict=True)]
    content = {
        "thresholds": dict(zip(actions, acting.thresholds.tolist(), strict=True)),
        "calibration": dict(zip(actions, calibration, strict=True)),
    }
    Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def read_acting(path: str | Path, actions: Sequence[str]) -> Acting:
    """The acting.json of a policy, its columns in the order of `actions`; ValueError when one is missing."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; train the policy first (dvc repro)")
    content = json.loads(path.read_text(encoding="utf-8"))
    missing = [action for action in actions if action not in content["thresholds"]]
    if missing:
        raise ValueError(
            f"{path} knows {list(content['thresholds'])}, not {missing}; train the policy again (dvc repro)"
        )
    calibration = [content["calibration"][action] for action in actions]
    return Acting(
        np.array([content["thresholds"][action] for action in actions]),
        np.array([each["scale"] for each in calibration]),
        np.array([each["shift"] for each in calibration]),
    )
