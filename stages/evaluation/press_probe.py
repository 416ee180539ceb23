"""Learning to tell windows that end before a press from windows that end before none: one network for all actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from stages.episodes.windows import FrameBank, window_indices
from stages.evaluation.foresight import PRESS, Moments

BATCH = 256  # windows an evaluation looks at together


@dataclass(frozen=True)
class Questions:
    """M questions: does a press of `action` int64 [M] follow the window that ends with frame `end` int64 [M]?"""

    end: np.ndarray
    action: np.ndarray
    press: np.ndarray

    @classmethod
    def of(cls, moments: Sequence[Moments]) -> "Questions":
        """All moments of all actions, in the actions' order."""
        parts = [
            (ends, np.full(len(ends), action), np.full(len(ends), kind == PRESS))
            for action, own in enumerate(moments)
            for kind, ends in own.ends.items()
        ]
        return cls(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def __len__(self) -> int:
        return len(self.end)


class Looking:
    """Windows of a split's frames or latents, for any frame that they end with.

    `shuffled`: each window's frames in an order of its own, drawn by that generator. `hidden`: rows and columns of the
    picture that are black in every frame.
    """

    def __init__(
        self, bank: FrameBank, window: int, *, shuffled: np.random.Generator | None = None,
        hidden: tuple[slice, slice] | None = None,
    ):  # fmt: skip
        self._bank, self._rows, self._hidden = bank, window_indices(bank.lengths, window), hidden
        if shuffled is not None:
            self._rows = shuffled.permuted(self._rows, axis=1)

    def take(self, ends: np.ndarray) -> Tensor:
        """[B, T, *shape] of the windows that end with the frames [B]."""
        taken = self._bank.take(self._rows[ends])
        if self._hidden is not None:
            taken[(..., *self._hidden)] = 0
        return torch.from_numpy(taken)

    @torch.no_grad()
    def logits(self, model: nn.Module, ends: np.ndarray, device: torch.device) -> np.ndarray:
        """float32 [n, A] of the windows that end with the frames [n]."""
        parts = [ends[i : i + BATCH] for i in range(0, len(ends), BATCH)]
        found = [model(self.take(part).to(device)).float().cpu() for part in parts]
        return torch.cat(found).numpy() if found else np.zeros((0, model.actions), np.float32)


class PressProbeTask:
    """Binary cross entropy of the asked action's logit; judged by the mean AUC of the actions on val."""

    monitor = "auc"
    maximise = True

    def __init__(
        self, model: nn.Module, looking: Mapping[str, Looking], questions: Mapping[str, Questions], *,
        device: torch.device, seed: int,
    ):  # fmt: skip
        """`looking` and `questions` of "train" and "val"."""
        self.model, self._looking, self._questions = model, looking, questions
        self._device, self._seed = device, seed

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(len(self._questions["train"]))

    def loss(self, model, samples):
        asked = self._questions["train"]
        logits = model(self._looking["train"].take(asked.end[samples]).to(self._device))
        own = logits[torch.arange(len(samples)), torch.from_numpy(asked.action[samples])]
        press = torch.from_numpy(asked.press[samples]).to(self._device)
        return functional.binary_cross_entropy_with_logits(own, press.to(own.dtype)), {}

    def validate(self, model) -> dict[str, float]:
        asked = self._questions["val"]
        logits = self._looking["val"].logits(model, asked.end, self._device)
        own = logits[np.arange(len(asked)), asked.action]
        areas = [
            roc_auc_score(asked.press[mine], own[mine])
            for mine in (asked.action == action for action in np.unique(asked.action))
            if 0 < asked.press[mine].sum() < mine.sum()
        ]
        return {"auc": float(np.mean(areas)) if areas else 0.5}
