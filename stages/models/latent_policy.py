"""Policies that need few labels: a latent policy, and a readout of keys from what it predicts.

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

from stages.models.policies.ensemble import Composed
from stages.models.policies.policy import Policy


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
