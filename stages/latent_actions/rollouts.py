"""The forward model on its own: codes drive it, and what it predicts is what it sees next.

In training it continues its own predictions for a share of the transitions (`OwnContexts`). In the evaluation delta_t
asks what the codes do t steps later: how many dB a roll-out with the codes of the true frames lies above one with
random codes, at step t (Bruce et al. 2024, Genie, section 3). Errors are pooled over roll-outs before the logarithm is
taken, as everywhere here.

Conventions: M roll-outs of S steps, P past frames; frames uint8 [C, H, W]; errors are squared grey levels, the mean
over a frame, float64 [M, S, 4], with the columns of DRIVEN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from stages.evaluation.intervals import UNDEFINED, Interval, finite, sums_interval
from stages.latent_actions.measures import decibels, sums_by_episode
from stages.latent_actions.transitions import PredictNext, Transitions, spread_samples
from stages.learning.compute import Compute
from stages.learning.fast.dropout import uniform
from stages.models.latent_action import LatentActionModel, codes_of, predict_next

DRIVEN = ("inferred", "random", "copy", "mean picture")
WHITE = 255.0


def continued(context: np.ndarray, codes: np.ndarray, predict: PredictNext) -> np.ndarray:
    """Frames uint8 [M, S, C, H, W] that follow context [M, P + 1, C, H, W] when codes [M, S] or [M, S, n] drive."""
    film, seen = context, context.shape[1]
    for step in range(codes.shape[1]):
        following = predict(film[:, -seen:], codes[:, step]).round().astype(np.uint8)
        film = np.concatenate([film, following[:, None]], axis=1)
    return film[:, seen:]


@dataclass(frozen=True)
class OwnContexts:
    """The frames that the forward model continues in training: for a share of the transitions those that it predicts
    itself, when it starts a few steps earlier in the same episode and the codes of the true frames drive it.

    A model that has seen true frames alone adds error to error when it runs on. No gradient goes back through the
    earlier steps (Bengio et al. 2015, scheduled sampling; Brandstetter et al. 2022, the pushforward trick).
    """

    transitions: Transitions
    share: float
    steps: int
    gap: int  # frames between the frames of a transition
    compute: Compute

    def __call__(self, model: LatentActionModel, samples: np.ndarray, true: Tensor) -> Tensor:
        """uint8 [B, P + 1, C, H, W] of transitions `samples` [B], whose true contexts are `true`."""
        if not self.share or not model.codebook.started:
            return true
        chosen = uniform(len(samples)).numpy() < self.share
        starts = samples - self.steps * self.gap
        chosen &= (starts >= 0) & (self.transitions.episode[starts] == self.transitions.episode[samples])
        if not chosen.any():
            return true
        contexts = true.clone()
        contexts[torch.from_numpy(chosen)] = torch.from_numpy(self._predicted(model, starts[chosen])).to(true.device)
        return contexts

    def _predicted(self, model: LatentActionModel, starts: np.ndarray) -> np.ndarray:
        """The last P + 1 frames after all steps from transitions `starts` [M]."""
        was_training = model.training
        model.eval()
        ahead = starts[:, None] + np.arange(self.steps) * self.gap
        codes = codes_of(model, self.transitions.take(ahead.ravel()), self.compute)
        context = self.transitions.take(starts)[:, :-1]
        predict = partial(predict_next, model, compute=self.compute)
        film = continued(context, codes.reshape(*ahead.shape, *codes.shape[1:]), predict)
        model.train(was_training)
        return np.concatenate([context, film], axis=1)[:, -context.shape[1] :]


def rollout_starts(transitions: Transitions, *, steps: int, gap: int, most: int) -> np.ndarray:
    """At most `most` transitions that begin `steps` in a row in the same episode, evenly spread: int64 [M]."""
    reach = (steps - 1) * gap
    last = len(transitions) - reach
    if last <= 0:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(transitions.episode[:last] == transitions.episode[reach:])
    return starts[spread_samples(len(starts), most)]


def longest_rollout(transitions: Transitions, gap: int) -> int:
    """Steps that the longest episode has room for; at least 1."""
    return (int(np.bincount(transitions.episode).max()) - 1) // gap + 1


def rollout_errors(
    transitions: Transitions,
    starts: np.ndarray,
    codes: np.ndarray,
    predict: PredictNext,
    *,
    steps: int,
    gap: int,
    count: int,
    mean: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Errors [M, S, 4] of roll-outs from transitions `starts` [M].

    codes int64 [N] or [N, n] of all transitions, of `count` kinds. Random codes are drawn evenly from all kinds. The
    copy is the frame the roll-out starts from; `mean` [C, H, W], in grey levels, the mean picture of train.
    """
    errors = np.empty((len(starts), steps, len(DRIVEN)))
    if not len(starts):
        return errors
    random = np.random.default_rng(seed).integers(count, size=(len(starts), steps, *codes.shape[1:]))
    first = transitions.take(starts)[:, :-1]
    ahead = starts[:, None] + np.arange(steps) * gap
    inferred, drifting = (continued(first, driving, predict) for driving in (codes[ahead], random))
    for step in range(steps):
        truth = transitions.take(ahead[:, step])[:, -1].astype(np.float32)
        for column, guess in enumerate((inferred[:, step], drifting[:, step], first[:, -1], mean)):
            errors[:, step, column] = np.square(guess - truth).mean(axis=(1, 2, 3), dtype=np.float64)
    return errors


def delta_db(errors: np.ndarray, step: int, episode: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """dB by which inferred codes beat random ones at a step (1 is the next frame); episode int [M] of each roll-out."""
    sums = sums_by_episode(errors[:, step - 1], episode)
    return sums_interval(lambda each: decibels(each[..., 1], each[..., 0]), sums, resamples=resamples, seed=seed)


def psnr_by_step(errors: np.ndarray) -> np.ndarray:
    """PSNR in dB at each step, float64 [S, 4]; NaN without a roll-out."""
    if not len(errors):
        return np.full(errors.shape[1:], np.nan)
    return decibels(np.full(errors.shape[1:], WHITE**2), errors.mean(axis=0))


def rollout_metrics(
    errors: np.ndarray, episode: np.ndarray, deltas: Sequence[int], last: int, *, resamples: int, seed: int
) -> dict[str, float | None]:
    """delta_t of the steps `deltas`; at the step `last` gain over the copy and over the mean picture, and how many dB
    are lost on the way.

    Null for steps that no episode is long enough for.
    """
    drawn = {"resamples": resamples, "seed": seed}
    there = errors.shape[1] if len(errors) else 0
    psnr = psnr_by_step(errors)
    found = {}
    for step in deltas:
        interval = delta_db(errors, step, episode, **drawn) if step <= there else UNDEFINED
        found |= interval.as_metrics(f"lam_delta{step}_db")
    end = psnr[last - 1] if last <= there else np.full(len(DRIVEN), np.nan)
    found["lam_rollout_gain_db"] = finite(end[0] - end[2])
    found["lam_rollout_over_mean_db"] = finite(end[0] - end[3])
    found["lam_rollout_drift_db"] = finite(psnr[0, 0] - end[0])
    return found
