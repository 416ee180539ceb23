"""Probes: which key a transition shows, told from its code, and by classifiers with all labels: what could be known.

Conventions: N transitions; classes are those of `measures.key_classes`, one dictionary entry a split. Everything
is fitted on train and scored on other episodes; a classifier's best weights are chosen on val.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from torch.nn import functional

from stages.latent_actions.learning import Labelled, LabelTask, logits_of
from stages.latent_actions.measures import classes_before, joined_codes
from stages.latent_actions.transitions import Transitions
from stages.learning.compute import Compute
from stages.learning.training import FitSettings, fit
from stages.models.transition_classifier import TransitionClassifier


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


def repeat_answers(classes: Mapping[str, np.ndarray], episode: Mapping[str, np.ndarray]) -> dict:
    """The class one frame earlier, and train's most frequent one at an episode's first transition, int64 [N]."""
    return {
        split: np.where((before := classes_before(classes[split], episode[split])) >= 0, before, most)
        for split, most in majority_answers(classes).items()
    }


def switch_answers(classes: Mapping[str, np.ndarray], episode: Mapping[str, np.ndarray]) -> dict:
    """Another class than one frame earlier: the one that follows it most often in train when it ends, int64 [N].

    What can be said of changes without looking; where nothing changes it is wrong.
    """
    kinds = 1 + max(int(each.max()) for each in classes.values())
    before = classes_before(classes["train"], episode["train"])
    changed = (before >= 0) & (before != classes["train"])
    table = np.zeros((kinds, kinds))
    np.add.at(table, (before[changed], classes["train"][changed]), 1)
    return {
        split: table.argmax(axis=1)[np.maximum(classes_before(found, episode[split]), 0)]
        for split, found in classes.items()
        if split != "train"
    }
