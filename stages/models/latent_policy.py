"""Policies that need few labels or none: a latent policy, and the mean of several policies.

A latent policy predicts from past frames which latent actions come, learned from video without any key (Schmidt and
Jiang 2024, LAPO, section 4.3). A readout, which few labels are enough for, then turns what it predicts into keys. It
does not predict the codes that have just been: they would tell recorded keys better, but a readout of them plays no
better.
Conventions: B windows of T latents, O moments from the current frame on, K codes, A actions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.models.cloning import Windows
from stages.models.policies.policy import Policy

NO_CODE = -1


class CodeTask:
    """Learn the codes int64 [N, O] from the last frame of each window on; -1 where there is none."""

    monitor = "cross_entropy"
    maximise = False

    def __init__(self, model, windows: dict[str, Windows], codes: dict[str, np.ndarray], *, count: int, device, seed):
        self.model, self._windows, self._count = model, windows, count
        self._codes = {split: torch.from_numpy(np.asarray(found, np.int64)) for split, found in codes.items()}
        self._device, self._seed = device, seed

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(len(self._windows["train"]))

    def loss(self, model, samples):
        logits = model(*(values.to(self._device) for values in self._windows["train"].take(samples)))
        return self._cross_entropy(logits, self._codes["train"][samples].to(self._device)), {}

    def validate(self, model) -> dict[str, float]:
        logits = self._windows["val"].logits(model, self._device)
        return {"cross_entropy": self._cross_entropy(logits, self._codes["val"]).item()}

    def _cross_entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        by_moment = logits.float().reshape(-1, self._count)
        return functional.cross_entropy(by_moment, codes.flatten(), ignore_index=NO_CODE)


class Composed(nn.Module):
    """Made of policies that read the same windows: an agent asks it what it asks any policy."""

    def __init__(self, policies: Sequence[Policy]):
        super().__init__()
        self.policies = nn.ModuleList(policies)
        self.reads, self.shapes, self.window = policies[0].reads, policies[0].shapes, policies[0].window


class DecodedPolicy(Composed):
    """Latents [B, T, ...] -> logits [B, A]: a readout of keys from the codes that `policy` expects.

    `policy` gives logits [B, O * K]; `layers` are the readout's weights [out, in] and bias [out], from O * K to A.
    """

    def __init__(self, policy: Policy, codes: int, layers: Sequence[tuple[np.ndarray, np.ndarray]]):
        super().__init__([policy])
        self._codes = codes
        self.layers = nn.ModuleList(_linear(*layer) for layer in layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        *hidden, last = self.layers
        values = expected_codes(self.policies[0](*inputs), self._codes)
        for layer in hidden:
            values = functional.relu(layer(values))
        return last(values)


def expected_codes(logits: Tensor, codes: int) -> Tensor:
    """Logits [B, O * K] of K `codes` -> each code's log probability at each moment, float32 [B, O * K]."""
    return logits.float().unflatten(1, (-1, codes)).log_softmax(dim=-1).flatten(1)


def _linear(weights: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    layer.load_state_dict({"weight": torch.from_numpy(weights), "bias": torch.from_numpy(bias)})
    return layer


class MeanPolicy(Composed):
    """The mean of several policies' logits."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.stack([policy(*inputs) for policy in self.policies]).mean(dim=0)
