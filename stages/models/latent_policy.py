"""Policies that need few labels or none: a latent policy, and the mean of several policies.

A latent policy predicts from past frames which latent actions come (and which have just been), learned from video
without any key (Schmidt and Jiang 2024, LAPO, section 4.3). A decoder of few labels then turns what it predicts into
keys. Conventions: B windows of T latents, O moments around the current frame, K codes, D numbers a code, A actions.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.models.cloning import Windows

NO_CODE = -1


class CodeTask:
    """Learn the codes int64 [N, O] around the last frame of each window; -1 where there is none."""

    monitor = "cross_entropy"
    maximise = False

    def __init__(self, model, windows: dict[str, Windows], codes: dict[str, np.ndarray], *, count: int, device, seed):
        self.model, self._windows, self._count = model, windows, count
        self._codes = {split: torch.from_numpy(np.asarray(found, np.int64)) for split, found in codes.items()}
        self._device, self._seed = device, seed

    def epoch_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._windows["train"]))

    def loss(self, model, samples):
        logits = model(self._windows["train"].take(samples).to(self._device))
        return self._cross_entropy(logits, self._codes["train"][samples].to(self._device)), {}

    def validate(self, model) -> dict[str, float]:
        logits = self._windows["val"].logits(model, self._device)
        return {"cross_entropy": self._cross_entropy(logits, self._codes["val"]).item()}

    def _cross_entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        by_moment = logits.float().reshape(-1, self._count)
        return functional.cross_entropy(by_moment, codes.flatten(), ignore_index=NO_CODE)


class DecodedPolicy(nn.Module):
    """Latents [B, T, ...] -> logits [B, A]: the codes that `policy` expects, named by `decode`.

    `policy` gives logits [B, O * K]; each moment's code vector is averaged as likely as it is, codebook float [K, D],
    weighed as the decoder was taught, weights float [1, O], and `decode` maps these [B, O * D] to scores [B, A].
    """

    def __init__(
        self, policy: nn.Module, codebook: Tensor, weights: Tensor, decode: Callable[[np.ndarray], np.ndarray]
    ):
        super().__init__()
        self.policy, self.latent_shape, self._decode = policy, policy.latent_shape, decode
        self.register_buffer("codebook", codebook.float())
        self.register_buffer("weights", weights.float()[..., None])

    def forward(self, latents: Tensor) -> Tensor:
        shares = self.policy(latents).float().unflatten(1, (-1, len(self.codebook))).softmax(dim=-1)
        expected = (shares @ self.codebook * self.weights).flatten(1)
        return torch.from_numpy(self._decode(expected.cpu().numpy())).float().to(latents.device)


class MeanPolicy(nn.Module):
    """The mean of several policies' logits."""

    def __init__(self, policies: Sequence[nn.Module]):
        super().__init__()
        self.policies, self.latent_shape = nn.ModuleList(policies), policies[0].latent_shape

    def forward(self, latents: Tensor) -> Tensor:
        return torch.stack([policy(latents) for policy in self.policies]).mean(dim=0)
