"""A latent policy predicts codes; a readout turns them into keys."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.models.cloning import CodeTask
from stages.models.latent_policy import DecodedPolicy
from stages.models.policies.ensemble import Ensemble


class Constant(nn.Module):
    """A policy that always gives the same logits."""

    reads, shapes, window, step, spans, ahead = ("latents",), {"latents": (2,)}, 3, 1, {}, ()
    independent_samples, chunk, combinations, choices = True, 1, (), 2

    def __init__(self, logits):
        super().__init__()
        self.answer = torch.tensor([logits], dtype=torch.float32)

    def forward(self, latents):
        return self.answer.expand(len(latents), -1)


class Windows:
    """Windows whose latents do not matter."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def take(self, samples):
        return [torch.zeros(len(samples), 3, 2)]

    def logits(self, model, device):
        return model(*self.take(np.arange(self.count)))


def test_the_readout_sees_the_log_probabilities_of_codes():
    # two moments of two codes: three to one, then both alike
    policy = Constant([np.log(3), 0, 7, 7])
    first = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, -1]]), np.array([0.0, 0, 1])
    last = np.array([[1.0, 1, 0], [0, 0, 2]]), np.array([0.5, -3])
    decoded = DecodedPolicy(policy, 2, [first, last])
    scores = decoded(torch.zeros(2, 5, 2)).detach().numpy()
    # log 3/4 is below 0 and lost at the ReLU
    expected = [np.log(4) + 0.5, 2 * (2 * np.log(2) + 1) - 3]
    assert scores == pytest.approx(np.array([expected] * 2))


def test_the_task_leaves_out_moments_without_a_code():
    codes = np.array([[0, 1], [-1, 1], [1, -1]])
    task = CodeTask(Constant([2.0, 0, 0, 1]), {"train": Windows(3), "val": Windows(3)}, {"train": codes, "val": codes},
                    count=2, device=torch.device("cpu"), seed=0)  # fmt: skip
    # logits (2, 0) for the first moment, (0, 1) for the second; four of the six moments have a code
    each = [functional.cross_entropy(torch.tensor([logits]), torch.tensor([code])).item()
            for logits, code in (([2.0, 0], 0), ([0.0, 1], 1), ([0.0, 1], 1), ([2.0, 0], 1))]  # fmt: skip
    assert task.validate(task.model)["cross_entropy"] == pytest.approx(np.mean(each))
    assert task.loss(task.model, np.array([0]))[0].item() == pytest.approx(np.mean(each[:2]))
    assert sorted(task.order(1)) == [0, 1, 2] and np.array_equal(task.order(1), task.order(1))


def test_a_mean_policy_is_the_mean():
    mean = Ensemble([Constant([1.0, -2]), Constant([3.0, 4])]).eval()
    assert mean(torch.zeros(1, 3, 2)).tolist() == [[2, 1]]
    assert (mean.reads, mean.shapes, mean.window) == (("latents",), {"latents": (2,)}, 3)
