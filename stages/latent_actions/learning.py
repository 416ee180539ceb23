"""What is learned from transitions: latent actions from video and the keys of some if they may, labels by classifiers.

Codes that were learned without any key tell first of all what changes most in the picture. A few labels are enough to
turn them towards what keys do (Nikulin et al. 2025, LAOM): `shaped`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.evaluation.images import psnr_db, ssim_map
from stages.latent_actions.measures import gain_db, perplexity, shuffle_drop_db
from stages.latent_actions.rollouts import OwnContexts
from stages.latent_actions.transitions import Transitions, batches, codes_in, prediction_errors, spread_samples
from stages.learning.compute import Compute
from stages.learning.fast.threads import in_threads
from stages.learning.losses import pixel_weights, weighted_mse
from stages.learning.training import FitSettings, fit
from stages.models.latent_action import LatentActionModel, codes_of, predict_next, vectors_in
from stages.models.transition_classifier import TransitionClassifier
from stages.params import LatentActionParams

COLLAPSED = 1.05  # perplexity of the codes
CODES_FROM, PER_CODE = 2048, 8  # transitions whose k-means are the first codes, or so many a code if that is more
VALIDATED, PICTURED = 1024, 128  # transitions of val that are judged at each evaluation, and those judged by SSIM
LABELLED = 0.25  # of the samples of a pass have known keys, if any has: a few labels are seen many times


@dataclass(frozen=True)
class KnownKeys:
    """The transitions int64 [n] of train, sorted, that show keys which are known, bool [n, A]."""

    samples: np.ndarray
    held: np.ndarray

    @classmethod
    def of_frames(cls, transitions: Transitions, frames: np.ndarray, held: np.ndarray, lag: int) -> "KnownKeys":
        """Of the keys held [n, A] in frames int64 [n] of the split, which show `lag` frames later: at most the past of
        a transition. Frames so near the end of an episode that no transition shows theirs are left out; ValueError
        when that leaves none.
        """
        at = np.searchsorted(transitions.current, np.asarray(frames) + lag)
        shown = at < len(transitions)
        shown[shown] = transitions.current[at[shown]] == frames[shown] + lag
        # The frame itself is one that the transition sees: else it is of the episode before.
        shown[shown] = transitions.rows[at[shown], 0] <= frames[shown]
        if not shown.any():
            raise ValueError(f"no transition shows the keys of the {len(shown)} labelled frames, {lag} frames later")
        order = np.argsort(at[shown], kind="stable")
        return cls(at[shown][order], np.asarray(held, bool)[shown][order])


class LatentActionTask:
    """Learn to name transitions so that the next frame can be predicted; small things that move weigh more.

    They weigh more where they were and where they are next (see `pixel_weights`): else the noise of textures that
    turn by outweighs all that can be aimed at, and the code tells of light and weapon instead of the turn.

    The keys of some transitions may be known: then codes also have to tell those (Nikulin et al. 2025, LAOM), and
    such transitions come up so often that they are LABELLED of a pass, where they are not more anyway.

    The best weights are those with the highest gain plus shuffle drop, with hard codes, on val: a low error alone
    would also be reached by a model that ignores its codes.
    """

    monitor = "gain_and_drop_db"
    maximise = True

    def __init__(
        self, model: LatentActionModel, train: Transitions, val: Transitions, section: LatentActionParams,
        compute: Compute, *, quantise_after: int = 0, known: KnownKeys | None = None,
        watch: Callable[[int], None] | None = None,
    ):  # fmt: skip
        """Before step `quantise_after` nothing is quantised; `watch` is called after every step with its number."""
        self.model, self._train, self._val, self._compute = model, train, val, compute
        self._weigh = partial(pixel_weights, threshold=section.change_threshold, weight=section.change_weight)
        self._contexts = OwnContexts(train, section.rollout_share, section.rollout_steps, section.frame_gap, compute)
        self._quantise_after, self._label_weight, self._watch = quantise_after, section.label_weight, watch
        self._seen: list[tuple[list[int], torch.Tensor]] = []  # samples and their vectors, of the parts of this step
        self._samples, self._keys = np.arange(len(train)), None
        if known is not None:
            unknown = len(train) - len(known.samples)
            times = round(unknown * LABELLED / (1 - LABELLED) / len(known.samples))
            self._samples = np.concatenate([self._samples, np.tile(known.samples, max(0, times - 1))])
            self._keys = torch.full((len(train), known.held.shape[1]), torch.nan)
            self._keys[known.samples] = torch.from_numpy(known.held).float()

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._compute.seed, number]).permutation(self._samples)

    def loss(self, model, samples):
        levels = torch.from_numpy(self._train.take(samples)).to(self._compute.device)
        current, following = levels[:, -2], levels[:, -1]
        arriving, leaving = (
            self._weigh(now, other, self.model.views.background)
            for now, other in ((following, current), (current, following))
        )
        bare = getattr(model, "module", model)  # out of what several processes wrap it in
        said = model(levels.float() / 255, self._contexts(bare, samples, levels[:, :-1]).float() / 255)
        self._seen.append((samples.tolist(), said.vectors))
        error = weighted_mse(said.frame, following / 255, torch.maximum(arriving, leaving))
        # Divided by the usual change: of copy-last's size in every game, like the other terms.
        terms = {"prediction": error / self.model.views.change**2, "commitment": said.commitment}
        if said.mismatch is not None:
            cells = functional.adaptive_avg_pool2d(arriving, said.mismatch.shape[-2:])[:, 0]
            terms["mismatch"] = (said.mismatch * cells).sum() / cells.sum()
        if self._keys is not None:
            terms["labels"] = self._label_weight * self._key_loss(said.labels, samples)
        return sum(terms.values()), terms

    def _key_loss(self, logits: torch.Tensor, samples: np.ndarray) -> torch.Tensor:
        """Cross-entropy summed over the keys, the mean over the samples whose keys are known; 0 when none are."""
        keys = self._keys[samples].to(logits.device)
        known = ~keys.isnan().any(dim=1)
        entropy = functional.binary_cross_entropy_with_logits(logits[known], keys[known], reduction="sum")
        return entropy / known.sum().clamp(min=1)

    def after_step(self, step: int) -> None:
        # By their samples: which part was done first must not change the order of a sum.
        self.model.codebook.follow(torch.cat([vectors for _, vectors in sorted(self._seen, key=itemgetter(0))]))
        self._seen.clear()
        if step + 1 >= self._quantise_after and not self.model.codebook.started:
            self.set_codes()
        if self._watch is not None:
            self._watch(step + 1)

    @torch.no_grad()
    def set_codes(self) -> None:
        """The codes that the transitions all over the split call for, as the inverse model stands."""
        parts = batches(spread_samples(len(self._train), max(CODES_FROM, PER_CODE * self.model.codes)))
        found = in_threads(lambda part: vectors_in(self.model, self._train.take(part), self._compute), parts)
        self.model.codebook.start(torch.cat(list(found)))

    def validate(self, model) -> dict[str, float]:
        samples = spread_samples(len(self._val), VALIDATED)
        codes = codes_in(self._val, samples, partial(codes_of, model, compute=self._compute))
        predict = partial(predict_next, model, compute=self._compute)
        errors, _ = prediction_errors(self._val, samples, codes, predict, seed=self._compute.seed)
        gain, drop = (float(score(errors.sum(axis=0))) for score in (gain_db, shuffle_drop_db))
        spread = perplexity(codes, model.codes)
        require_several_codes(spread)
        pictured = spread_samples(len(samples), PICTURED)
        frames = self._val.take(samples[pictured])
        drawn = predict(frames[:, :-1], codes[pictured]).round().astype(np.uint8)
        return {
            "gain_and_drop_db": gain + drop, "gain_db": gain, "shuffle_drop_db": drop, "perplexity": spread,
            "psnr_db": float(psnr_db(errors[:, 0].mean() / math.prod(self._val.bank.shape))),
            "ssim": float(ssim_map(frames[:, -1], drawn).mean()),
        }  # fmt: skip


def require_several_codes(spread: float) -> None:
    """ValueError when the codes have collapsed: `spread` is their perplexity over the validation data."""
    if spread < COLLAPSED:
        raise ValueError(
            f"the latent actions collapsed: one code names nearly every transition (perplexity {spread:.2f}); raise "
            f"latent_action.dead_code_threshold or entropy_weight, lower learning_rate, or try quantizer: fsq"
        )


def shaped(
    model: LatentActionModel, train: Transitions, val: Transitions, known: KnownKeys, section: LatentActionParams,
    settings: FitSettings, compute: Compute, *, scratch: Path,
) -> LatentActionModel:  # fmt: skip
    """`model`, which has seen no key, after it has learned on: from all video, and from the known keys as well.

    The best weights are chosen on `val` without labels.
    """
    torch.manual_seed(compute.seed)  # of the layer that predicts keys
    learned = LatentActionModel(replace(model.design, labels=known.held.shape[1]))
    learned.load_state_dict(model.state_dict(), strict=False)  # all but that layer
    task = LatentActionTask(learned, train, val, section, compute, known=known)
    fit(task, settings, compute, live=None, scratch=scratch, name=f"codes shaped by {len(known.samples)} labels")
    return learned


@dataclass(frozen=True)
class Labelled:
    """The transitions `samples` int64 [n] and what is known of them: a class int64 [n], or keys held bool [n, A]."""

    transitions: Transitions
    samples: np.ndarray
    targets: Tensor


class LabelTask:
    """Learn what the labels of transitions say, from all frames of each; the best weights are chosen on `val`."""

    def __init__(
        self, model: TransitionClassifier, train: Labelled, val: Labelled, compute: Compute, *,
        loss: Callable[[Tensor, Tensor], Tensor], monitor: str,
    ):  # fmt: skip
        """`monitor`: accuracy, or loss."""
        self.model, self._train, self._val, self._compute, self._loss = model, train, val, compute, loss
        self.monitor, self.maximise = monitor, monitor == "accuracy"

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._compute.seed, number]).permutation(len(self._train.samples))

    def loss(self, model, samples):
        frames = self._train.transitions.take(self._train.samples[samples])
        targets = self._train.targets[samples].to(self._compute.device)
        return self._loss(model(_floats(frames, self._compute)), targets), {}

    def validate(self, model) -> dict[str, float]:
        targets = self._val.targets
        logits = logits_of(model, self._val.transitions, self._val.samples, self._compute)
        right = (logits.argmax(dim=1) if targets.ndim == 1 else logits > 0) == targets
        return {"accuracy": right.float().mean().item(), "loss": self._loss(logits, targets).item()}


def logits_of(model: nn.Module, transitions: Transitions, samples: np.ndarray, compute: Compute) -> Tensor:
    """What a classifier says of the transitions `samples` [M]: float32 [M, outputs], on the CPU."""

    @torch.no_grad()
    def of(part: np.ndarray) -> Tensor:
        with compute.autocast():
            return model(_floats(transitions.take(part), compute)).float().cpu()

    return torch.cat(list(in_threads(of, batches(samples))))


def _floats(frames: np.ndarray, compute: Compute) -> Tensor:
    """uint8 [B, T, C, H, W] as 0..1."""
    return torch.from_numpy(frames).to(compute.device).float() / 255
