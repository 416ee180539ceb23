"""Probes: which key a transition shows, told from its code, and by classifiers with all labels: what could be known.

Conventions: N transitions; classes are those of `measures.key_classes`, one dictionary entry a split. Everything
is fitted on train and scored on other episodes; a classifier's best weights are chosen on val.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from torch import Tensor, nn
from torch.nn import functional

from stages.latent_actions.measures import joined_codes
from stages.latent_actions.transitions import Transitions, batches
from stages.learning.compute import Compute
from stages.learning.fast.threads import in_threads
from stages.learning.training import FitSettings, fit
from stages.models.transition_classifier import TransitionClassifier


@dataclass(frozen=True)
class Labelled:
    """The transitions `samples` int64 [n] and what is known of them: a class int64 [n], or keys held bool [n, A]."""

    transitions: Transitions
    samples: np.ndarray
    targets: Tensor


class LabelTask:
    """Learn what the labels of transitions say, from all frames of each; the best weights are chosen on `val`."""

    def __init__(
        self, model: TransitionClassifier, train: Labelled, val: Labelled, compute: Compute, *,
        loss: Callable[[Tensor, Tensor], Tensor], monitor: str,
    ):  # fmt: skip
        """`monitor`: accuracy, or loss."""
        self.model, self._train, self._val, self._compute, self._loss = model, train, val, compute, loss
        self.monitor, self.maximise = monitor, monitor == "accuracy"

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._compute.seed, number]).permutation(len(self._train.samples))

    def loss(self, model, samples):
        frames = self._train.transitions.take(self._train.samples[samples])
        targets = self._train.targets[samples].to(self._compute.device)
        return self._loss(model(_floats(frames, self._compute)), targets), {}

    def validate(self, model) -> dict[str, float]:
        targets = self._val.targets
        logits = logits_of(model, self._val.transitions, self._val.samples, self._compute)
        right = (logits.argmax(dim=1) if targets.ndim == 1 else logits > 0) == targets
        return {"accuracy": right.float().mean().item(), "loss": self._loss(logits, targets).item()}


def logits_of(model: nn.Module, transitions: Transitions, samples: np.ndarray, compute: Compute) -> Tensor:
    """What a classifier says of the transitions `samples` [M]: float32 [M, outputs], on the CPU."""

    @torch.no_grad()
    def of(part: np.ndarray) -> Tensor:
        with compute.autocast():
            return model(_floats(transitions.take(part), compute)).float().cpu()

    return torch.cat(list(in_threads(of, batches(samples))))


def _floats(frames: np.ndarray, compute: Compute) -> Tensor:
    """uint8 [B, T, C, H, W] as 0..1."""
    return torch.from_numpy(frames).to(compute.device).float() / 255


def classifier_answers(
    model: TransitionClassifier, transitions: Mapping[str, Transitions], classes: Mapping[str, np.ndarray],
    settings: FitSettings, compute: Compute, *, name: str, scratch: Path,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Fits the classifier on train; what it says of every transition of the other splits, int64 [N] each."""
    train, val = (
        Labelled(transitions[split], np.arange(len(transitions[split])), torch.from_numpy(classes[split]))
        for split in ("train", "val")
    )
    task = LabelTask(model, train, val, compute, loss=functional.cross_entropy, monitor="accuracy")
    fit(task, settings, compute, live=None, scratch=scratch, name=name)
    return {
        split: logits_of(model, found, np.arange(len(found)), compute).argmax(dim=1).numpy()
        for split, found in transitions.items()
        if split != "train"
    }


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
