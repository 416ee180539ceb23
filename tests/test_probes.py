"""Probes of codes, and classifiers of transitions with labels."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.latent_actions.probes import (
    Labelled,
    LabelTask,
    best_lag,
    code_answers,
    linear_probe,
    logits_of,
    mlp_probe,
)
from stages.learning.compute import prepare_compute
from stages.learning.losses import bce_loss
from tests.test_rollouts import transitions


def test_the_linear_probe_says_each_code_s_most_frequent_class():
    draw = np.random.default_rng(0)
    codes = draw.integers(8, size=800)
    classes = np.where(draw.random(800) < 0.7, codes % 3, draw.integers(3, size=800))
    found = code_answers({"train": codes, "val": np.arange(9)}, {"train": classes}, 9, linear_probe())
    assert set(found) == {"val"} and found["val"][:8].tolist() == (np.arange(8) % 3).tolist()


def test_only_a_probe_with_a_hidden_layer_tells_what_two_codes_mean_together():
    draw = np.random.default_rng(0)
    codes = draw.integers(2, size=(2000, 2))
    classes = codes[:, 0] ^ codes[:, 1]
    split = {"train": codes, "val": codes[:400]}
    linear, mlp = (
        (code_answers(split, {"train": classes}, 2, probe)["val"] == classes[:400]).mean()
        for probe in (linear_probe(), mlp_probe(0))
    )
    assert linear < 0.65 and mlp > 0.95


def test_the_lag_is_the_one_that_the_codes_tell_of():
    keys = np.random.default_rng(0).integers(3, size=300)
    codes = np.roll(keys, 1) * 2  # what a key does shows one frame later
    lagged = {0: keys, 1: np.roll(keys, 1), 2: np.roll(keys, 2)}
    assert best_lag(codes, lagged) == 1
    assert best_lag(np.zeros(300, int), lagged) == 0


class Brightness(nn.Module):
    """Says how bright the next frame is (0..1), and the opposite."""

    def forward(self, frames):
        bright = frames[:, -1].mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([bright, -bright], dim=1)


def test_labels_of_transitions_are_classes_or_keys():
    found, compute = transitions([0, 0, 255, 0, 255, 255], [6]), prepare_compute("cpu", "no", 1, 0)
    samples = np.array([0, 1, 3])  # their next frames: 255, 0, 255
    logits = logits_of(Brightness(), found, samples, compute)
    assert logits.tolist() == [[0.5, -0.5], [-0.5, 0.5], [0.5, -0.5]]
    classes = Labelled(found, samples, torch.tensor([0, 1, 1]))
    keys = Labelled(found, samples, torch.tensor([[True, False], [False, True], [True, True]]))
    for labelled, loss, monitor, right in ((classes, functional.cross_entropy, "accuracy", 2 / 3),
                                           (keys, bce_loss, "loss", 5 / 6)):  # fmt: skip
        task = LabelTask(Brightness(), labelled, labelled, compute, loss=loss, monitor=monitor)
        told = task.validate(task.model)
        assert told["accuracy"] == pytest.approx(right) and task.maximise == (monitor == "accuracy")
        assert told["loss"] == pytest.approx(loss(logits, labelled.targets).item())
        learned, _ = task.loss(task.model, np.array([2]))
        assert learned.item() == pytest.approx(loss(logits[2:], labelled.targets[2:]).item())
        assert sorted(task.order(0)) == [0, 1, 2] and np.array_equal(task.order(1), task.order(1))
