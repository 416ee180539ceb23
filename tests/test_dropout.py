"""Dropout that draws from the thread's own generator: its scale, and the same weights whichever thread is faster."""

import time

import numpy as np
import pytest
import torch

from stages.learning.compute import prepare_compute
from stages.learning.fast.dropout import Dropout, seed_dropout, uniform
from stages.learning.training import FitSettings, fit
from stages.models.policies.recurrent import Recurrent

SETTINGS = FitSettings(
    steps=8, evaluate_every=4, batch_size=16, learning_rate=0.01, final_learning_rate=0.001, patience=2,
    clip_norm=1.0, accumulate=1,
    weight_decay=0.0, warmup_steps=0, checkpoint_s=1000.0,
)  # fmt: skip


class CloningTask:
    """A small recurrent policy learns from windows of noise; `slow` says which half of a batch is kept waiting."""

    monitor, maximise = "loss", False

    def __init__(self, slow: int):
        torch.manual_seed(0)
        self.model = Recurrent(shapes={"latents": (3,)}, window=4, hidden=(8, 4), cell="gru", dropout=0.5, actions=2)
        self.windows = torch.randn(48, 4, 3, generator=torch.Generator().manual_seed(1))
        self.held = (self.windows[:, -1, :2] > 0).float()
        self._slow = slow

    def order(self, number):
        return np.arange(48)

    def loss(self, model, samples):
        time.sleep(0.01 * (samples[0] // 8 % 2 == self._slow))
        return self._loss(model, samples), {}

    def validate(self, model):
        return {"loss": self._loss(model, np.arange(48)).item()}

    def _loss(self, model, samples):
        return torch.nn.functional.binary_cross_entropy_with_logits(model(self.windows[samples]), self.held[samples])


@pytest.fixture
def two_threads():
    yield prepare_compute("cpu", "no", 2, 0)
    torch.set_num_threads(1)


def test_dropout_keeps_the_mean_and_is_the_same_for_the_same_seed():
    layer, x = Dropout(0.25), torch.ones(200, 200, requires_grad=True)
    seed_dropout(3)
    first = layer(x)
    assert first.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert first.mean().item() == pytest.approx(1, abs=0.02)
    first.sum().backward()
    assert torch.equal(x.grad, first.detach())  # what is dropped learns nothing
    seed_dropout(3)
    assert torch.equal(layer(x), first) and not torch.equal(layer(x), first)
    assert layer.eval()(x) is x


def test_uniform_numbers_are_the_same_for_the_same_seed():
    seed_dropout(5)
    first = uniform(1000, 2)
    assert first.shape == (1000, 2) and 0 <= first.min() and first.max() < 1
    assert first.mean().item() == pytest.approx(0.5, abs=0.03)
    torch.manual_seed(0)  # of everybody's generator, which is not asked
    seed_dropout(5)
    assert torch.equal(uniform(1000, 2), first) and not torch.equal(uniform(1000, 2), first)


def test_two_threads_learn_the_same_whichever_is_faster(two_threads, tmp_path):
    found = []
    for run, slow in enumerate((0, 1)):
        task = CloningTask(slow)
        fit(task, SETTINGS, two_threads, live=None, scratch=tmp_path / str(run), name="cloning")
        found.append(task.model.state_dict())
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
