"""What a training is made of: the task that is learned, how long and how fast, and what came of it."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn


class Task(Protocol):
    """What a training learns. An optional method `after_step(step: int)` runs after each optimizer step.

    Where the model says `independent_samples = True`, parts of a batch are learned at the same time (see
    fast/replicas.py): `loss` is then a mean over samples, changes nothing that other calls of it see, and draws no
    random numbers but by fast/dropout.py. What it keeps for `after_step` comes from the parts in any order.

    State that must survive a kill lives in parameters and buffers of `model`, nowhere else.
    """

    model: nn.Module
    monitor: str  # the key of `validate` that early stopping and the choice of the best weights go by
    maximise: bool

    def order(self, number: int) -> np.ndarray:
        """Sample ids [N] in the order of a pass through them, a function of (seed, number); N is the same in all."""
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
    """How long and how fast; `patience` in evaluations, `checkpoint_s` in seconds, a step = `accumulate` batches.

    `ema_decay` > 0: what is judged and kept is a moving average of the weights, which so much of stays in a step
    (Polyak and Juditsky 1992; Tarvainen and Valpola 2017 for the exponential one). `keep_checkpoints` > 0: the weights
    of every so many evaluations are kept.
    """

    steps: int
    evaluate_every: int
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    patience: int
    clip_norm: float
    accumulate: int
    weight_decay: float
    warmup_steps: int
    checkpoint_s: float
    ema_decay: float = 0.0
    keep_checkpoints: int = 0

    @classmethod
    def from_sections(cls, fit_section, training_section) -> "FitSettings":
        """From a model's section of params.yaml and the section `training`; further keys are left alone."""
        found = {**dict(training_section), **dict(fit_section)}
        return cls(**{name: found[name] for name in cls.__dataclass_fields__ if name in found})


@dataclass(frozen=True)
class FitResult:
    """Of a finished training; `history` has one row an evaluation, `resumed_from_step` is 0 for a fresh run."""

    steps: int
    steps_made: int
    best_step: int
    best: float
    monitor: str
    why_stopped: str
    passes: int
    history: list[dict]
    resumed_from_step: int
    seconds: float

    def told(self) -> dict[str, int | float | str]:
        """What a report says of it: nothing that differs from one run of the same training to another."""
        told = ("steps", "steps_made", "best_step", "best", "monitor", "why_stopped", "passes")
        return {name: getattr(self, name) for name in told}

    def in_words(self) -> str:
        """One line for a person."""
        return (
            f"{self.steps_made} of {self.steps} steps ({self.why_stopped}), {self.seconds:.0f} s; "
            f"best on val after step {self.best_step}: {self.monitor} {self.best:.4g}"
        )


def learning_rate(step: int, settings: FitSettings) -> float:
    """Linear warm-up, then half a cosine down to final_learning_rate (Loshchilov & Hutter 2017, SGDR, eq. 5).

    The warm-up is cut to a fifth of a training that is shorter than five warm-ups.
    """
    warmup = min(settings.warmup_steps, settings.steps // 5)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * done)) / 2
