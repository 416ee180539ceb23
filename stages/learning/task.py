"""What a training is made of: the task that is learned, how long and how fast, and what came of it."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn


class Task(Protocol):
    """What a training learns. An optional method `after_step(step: int)` runs after each optimizer step.

    An optional `independent_samples = True` says that parts of a batch may be learned at the same time (see
    learning/replicas.py): `loss` changes nothing in the model and draws no random numbers but by learning/dropout.py.

    State that must survive a kill lives in parameters and buffers of `model`, nowhere else.
    """

    model: nn.Module
    monitor: str  # the key of `validate` that early stopping and the choice of the best weights go by
    maximise: bool

    def epoch_order(self, epoch: int) -> np.ndarray:
        """Sample ids [N] in the order of this epoch, a function of (seed, epoch); N is the same in all."""
        ...

    def loss(self, model: nn.Module, samples: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss of samples [B] (a scalar) and further scalars to log, the same names every time.

        Call `model(...)` itself and not its parts: that call runs in mixed precision (its result is
        fp32) and, with several processes, keeps their gradients equal.
        """
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on validation data; called in eval mode, without gradients. NaN: not defined here."""
        ...


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast; `patience` in epochs, `checkpoint_s` in seconds, a step = `accumulate` batches."""

    epochs: int
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    patience: int
    clip_norm: float
    accumulate: int
    weight_decay: float
    warmup_steps: int
    checkpoint_s: float

    @classmethod
    def from_sections(cls, fit_section, training_section) -> "FitSettings":
        """From a model's section of params.yaml and the section `training`; further keys are left alone."""
        found = {**dict(training_section), **dict(fit_section)}
        return cls(**{name: found[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class FitResult:
    """Of a finished training; `history` has one row an epoch, `resumed_from_step` is 0 for a fresh run."""

    best_epoch: int
    best: float
    epochs_run: int
    history: list[dict]
    resumed_from_step: int
    seconds: float


def learning_rate(step: int, total_steps: int, settings: FitSettings) -> float:
    """Linear warm-up, then half a cosine down to final_learning_rate (Loshchilov & Hutter 2017, SGDR, eq. 5).

    The warm-up is cut to a fifth of a training that is shorter than five warm-ups.
    """
    warmup = min(settings.warmup_steps, total_steps // 5)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - warmup)
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * done)) / 2
