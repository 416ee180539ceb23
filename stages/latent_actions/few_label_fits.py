"""Networks that are trained on a few labels alone: cloning, and an inverse model. What the latent actions are beside.

No label but the n given is seen: the labels are parted into FOLDS, each network learns from all folds but one and is
stopped where the one it does not learn from says so. Cloning is the mean of the networks of all folds, and the rule by
which it acts is fitted to what each network says of the fold that it has not learned from.

Conventions: n labels, A actions; held bool [n, A]; samples int64 [n] are the labelled windows or transitions.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.latent_actions.transitions import Transitions, batches
from stages.learning.compute import Compute
from stages.learning.losses import bce_loss
from stages.learning.threads import in_threads
from stages.learning.training import FitSettings, fit
from stages.models.acting import Acting, fit_acting
from stages.models.cloning import CloningTask, Windows
from stages.models.latent_action import vectors_in
from stages.models.latent_policy import MeanPolicy

FOLDS = 5


class FewLabelsTask(CloningTask):
    """Cloning stopped by the loss: in a fold of a few labels an action may have no example, and no precision then."""

    monitor = "loss"
    maximise = False


def folds_of(count: int, *, seed: int) -> list[np.ndarray]:
    """`count` labels shuffled and parted into FOLDS, or into as many as there are labels; int64 arrays."""
    if count < 2:
        raise ValueError(f"a network needs one label to learn from and one to stop by, found {count}")
    return np.array_split(np.random.default_rng(seed).permutation(count), min(FOLDS, count))


def long_enough(settings: FitSettings, count: int, steps: int) -> FitSettings:
    """The settings for `count` labels: with few labels an epoch is a step or two, and more epochs make up `steps`."""
    times = max(1, math.ceil(steps / (settings.epochs * math.ceil(count / settings.batch_size))))
    return replace(settings, epochs=settings.epochs * times, patience=settings.patience * times)


def clone(
    make: Callable[[], nn.Module], train: Windows, val: Windows, settings: FitSettings, compute: Compute, *,
    scratch: Path, name: str, task=CloningTask,
) -> nn.Module:  # fmt: skip
    """A policy that has learned the labels of the windows `train`, its best epoch chosen on those of `val`."""
    torch.manual_seed(compute.seed)
    weights = torch.ones(len(train), 1)
    learning = task(make(), train, val, loss=bce_loss, weights=weights, device=compute.device, seed=compute.seed)
    fit(learning, settings, compute, live=None, scratch=scratch, name=name)
    return learning.model


def clone_few(
    make: Callable[[], nn.Module], windows: Windows, samples: np.ndarray, held: np.ndarray, settings: FitSettings,
    compute: Compute, *, scratch: Path, name: str,
) -> tuple[MeanPolicy, Acting]:  # fmt: skip
    """Cloning from n labels: the mean policy, and the acting rule of what it says of labels it has not learned from."""
    policies, logits = [], np.zeros(held.shape)
    for number, left_out in enumerate(folds_of(len(samples), seed=compute.seed)):
        kept = np.setdiff1d(np.arange(len(samples)), left_out)
        train, val = (windows.labelled(samples[part], held[part]) for part in (kept, left_out))
        policy = clone(make, train, val, settings, compute, task=FewLabelsTask,
                       scratch=scratch.with_name(f"{scratch.name}-{number}"), name=name)  # fmt: skip
        logits[left_out] = val.logits(policy, compute.device).numpy()
        policies.append(policy)
    return MeanPolicy(policies).eval(), fit_acting(held, logits)


class FewTransitionsTask:
    """Learn the keys held in labelled transitions, from all frames of each; stopped by the loss on the others."""

    monitor = "loss"
    maximise = False

    def __init__(self, model, transitions: Transitions, samples, held, left_out: np.ndarray, compute: Compute):
        self.model, self._transitions, self._samples, self._compute = model, transitions, samples, compute
        self._held = torch.from_numpy(np.asarray(held, bool))
        self._left_out, self._kept = left_out, np.setdiff1d(np.arange(len(samples)), left_out)

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._compute.seed, number]).permutation(self._kept)

    def loss(self, model, samples):
        return bce_loss(model(self._frames(samples)), self._held[samples].to(self._compute.device)), {}

    def validate(self, model) -> dict[str, float]:
        with self._compute.autocast():
            logits = model(self._frames(self._left_out)).float().cpu()
        return {"loss": bce_loss(logits, self._held[self._left_out]).item()}

    def _frames(self, samples: np.ndarray) -> torch.Tensor:
        return _floats(self._transitions.take(self._samples[samples]), self._compute)


def inverse_from_few(
    model: nn.Module, transitions: Transitions, samples: np.ndarray, held: np.ndarray, settings: FitSettings,
    compute: Compute, *, scratch: Path, name: str,
) -> nn.Module:  # fmt: skip
    """The classifier of transitions `model`, its outputs an action each, trained on n labels from scratch."""
    left_out = folds_of(len(samples), seed=compute.seed)[0]
    task = FewTransitionsTask(model, transitions, samples, held, left_out, compute)
    fit(task, settings, compute, live=None, scratch=scratch, name=name)
    return model


def keys_shown(model: nn.Module, transitions: Transitions, compute: Compute) -> np.ndarray:
    """What a classifier of transitions says that is held in each of them, bool [N, A]."""
    parts = batches(np.arange(len(transitions)))
    return np.concatenate(list(in_threads(partial(_keys_of, model, transitions, compute), parts)))


@torch.no_grad()
def _keys_of(model: nn.Module, transitions: Transitions, compute: Compute, part: np.ndarray) -> np.ndarray:
    with compute.autocast():
        return model(_floats(transitions.take(part), compute)).float().cpu().numpy() > 0


def vectors_shown(model, transitions: Transitions, compute: Compute) -> np.ndarray:
    """Every transition's latent action before it is quantised, float32 [N, code_dim]; model is in eval mode."""
    parts = batches(np.arange(len(transitions)))
    return np.concatenate(list(in_threads(partial(_vectors_of, model, transitions, compute), parts)))


def _vectors_of(model, transitions: Transitions, compute: Compute, part: np.ndarray) -> np.ndarray:
    return vectors_in(model, transitions.take(part), compute)[:, 0].cpu().numpy()


def _floats(frames: np.ndarray, compute: Compute) -> torch.Tensor:
    """uint8 [B, T, C, H, W] as 0..1."""
    return torch.from_numpy(frames).to(compute.device).float() / 255
