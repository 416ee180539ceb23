"""Which key a transition shows: from its code, and from classifiers with all labels that say what could be known.

Conventions: N transitions; classes are those of `measures.key_classes`, one dictionary entry a split. Everything
is fitted on train and scored on other episodes; a classifier's best epoch is chosen on val.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from torch.nn import functional

from stages.latent_actions.measures import joined_codes
from stages.latent_actions.transitions import Transitions, batches
from stages.learning.compute import Compute
from stages.learning.threads import in_threads
from stages.learning.training import FitSettings, fit
from stages.models.transition_classifier import TransitionClassifier


class LabelTask:
    """Learn the class of the key that is held in each transition, from all labels of train."""

    monitor = "accuracy"
    maximise = True

    def __init__(
        self, model: TransitionClassifier, transitions: Mapping[str, Transitions], classes: Mapping[str, np.ndarray],
        compute: Compute,
    ):  # fmt: skip
        self.model, self._transitions, self._classes, self._compute = model, transitions, classes, compute

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._compute.seed, number]).permutation(len(self._classes["train"]))

    def loss(self, model, samples):
        targets = torch.from_numpy(self._classes["train"][samples]).to(self._compute.device)
        return functional.cross_entropy(model(self._frames("train", samples)), targets), {}

    def validate(self, model) -> dict[str, float]:
        return {"accuracy": float((self.predict(model, "val") == self._classes["val"]).mean())}

    def predict(self, model, split: str) -> np.ndarray:
        """The likeliest class of every transition of a split, int64 [N]."""
        parts = batches(np.arange(len(self._transitions[split])))
        return np.concatenate(list(in_threads(partial(self._likeliest, model, split), parts)))

    @torch.no_grad()
    def _likeliest(self, model, split: str, part: np.ndarray) -> np.ndarray:
        with self._compute.autocast():
            return model(self._frames(split, part)).argmax(dim=1).cpu().numpy()

    def _frames(self, split: str, samples: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self._transitions[split].take(samples)).to(self._compute.device).float() / 255


def classifier_answers(
    model: TransitionClassifier, transitions: Mapping[str, Transitions], classes: Mapping[str, np.ndarray],
    settings: FitSettings, compute: Compute, *, name: str, scratch: Path,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Fits the classifier on train; what it says of every transition of the other splits, int64 [N] each."""
    task = LabelTask(model, transitions, classes, compute)
    fit(task, settings, compute, live=None, scratch=scratch, name=name)
    return {split: task.predict(model, split) for split in transitions if split != "train"}


def code_answers(codes: Mapping[str, np.ndarray], classes: Mapping[str, np.ndarray], count: int, probe) -> dict:
    """What a scikit-learn classifier, fitted on train, says of the codes of the other splits, int64 [N] each.

    codes [N] or [N, n], each one of `count`; it sees them as one-hot columns.
    """
    columns = {split: own.reshape(len(own), -1) for split, own in codes.items()}
    kinds = [np.arange(count)] * columns["train"].shape[1]
    fitted = make_pipeline(OneHotEncoder(categories=kinds), probe).fit(columns["train"], classes["train"])
    return {split: fitted.predict(own) for split, own in columns.items() if split != "train"}


def linear_probe() -> LogisticRegression:
    """The probe of the metrics: with one code a transition it is a table of each code's most frequent class."""
    return LogisticRegression(C=100.0, max_iter=300)


def mlp_probe(seed: int) -> MLPClassifier:
    """A probe with a hidden layer: tells more than the linear one where several codes mean something together."""
    return MLPClassifier((64,), early_stopping=True, max_iter=50, random_state=seed)


def best_lag(codes: np.ndarray, lagged: Mapping[int, np.ndarray]) -> int:
    """The lag at which codes tell most of the classes (mutual information), the smallest among equals.

    `lagged` int64 [N] by lag: the class so many frames before each transition's current one.
    """
    joined = joined_codes(codes)
    told = {lag: mutual_info_score(own, joined) for lag, own in sorted(lagged.items())}
    return max(told, key=lambda lag: told[lag])


def majority_answers(classes: Mapping[str, np.ndarray]) -> dict:
    """The most frequent class of train, for every transition of the other splits, int64 [N]."""
    most = np.bincount(classes["train"]).argmax()
    return {split: np.full(len(found), most) for split, found in classes.items() if split != "train"}
