"""Latent actions: what happened between two frames as one of a few codes, learned without any key.

An inverse model sees past, current and next frames and names the transition by one code (or a grid of codes). A forward
model sees past and current frames and the code, and predicts the next frame. Schmidt and Jiang 2024 (LAPO); Bruce et
al. 2024 (Genie), section 2.1; Ye et al. 2025 (LAPA).

What training it on a first-person game took. Frames go in as their difference from the mean picture
and from one another, each scaled to a spread of 1: in plain frames the change is so small beside what
is always there that the code stays constant. A turn moves the picture by many pixels, and the gradient
of the picture's error sees only the next one or two; so both models work with block matching, which
tries every displacement: the inverse model sees which ones match, and the forward model says with what
share each cell comes from where, which is trained by the expected mismatch (a loss that is linear in
the shares, so no displacement is too far). When the forward model sees past motion, a code need only
say "goes on" or "turns round"; for a share of the transitions, `past_dropout`, it does not see the past
in training, and the code has to tell the motion itself. The first codes come from transitions all over
the split, and only codes that hardly occur start anew: a batch holds two transitions a code, and to
renew all codes that miss a batch or two makes them equally frequent and equally meaningless.

Conventions: B transitions, P past frames, N tokens a transition (rows x columns), D numbers a token;
frames are float 0..1 inside, uint8 grey levels outside. Codes are [B] with one token, else [B, N].
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stages.learning.checkpoints import load_config, load_weights
from stages.learning.compute import Compute
from stages.learning.fast.dropout import uniform
from stages.models.block_matching import BlockMatching, matched
from stages.models.codebook import Codebook
from stages.models.forward_model import ForwardModel
from stages.models.inverse_model import InverseModel
from stages.models.transition_maps import Views


@dataclass(frozen=True)
class LatentActionDesign:
    """What a model is built from; see latent_action in params.yaml; `labels` 0: no keys seen."""

    past_frames: int
    tokens: tuple[int, int]
    quantizer: str
    codes: int
    fsq_levels: tuple[int, ...]
    code_dim: int
    cosine: bool
    gradient: str
    commitment: float
    ema_decay: float
    dead_code_threshold: float
    entropy_weight: float
    search_px: tuple[int, int]
    past_dropout: float
    channels: tuple[int, ...]
    cell_px: int
    conditioning: str
    prediction: str
    skips: str
    gradient_checkpointing: bool
    labels: int
    height: int
    width: int
    in_channels: int

    @classmethod
    def from_section(cls, section, *, labels: int, height: int, width: int, in_channels: int) -> "LatentActionDesign":
        """From the section latent_action of params.yaml; its further keys are left alone."""
        found = {**dict(section), "labels": labels, "height": height, "width": width, "in_channels": in_channels}
        return cls(**{name: found[name] for name in cls.__dataclass_fields__})


class Predicted(NamedTuple):
    """What the model says of transitions: the next frame [B, C, H, W]; how badly the displacements match that it
    expects, [B, h, w] (1 is as bad as any, 0 is found again) or None; the codebook's loss; logits of the labels; the
    transitions before quantisation [B, N, D], without gradient."""

    frame: Tensor
    mismatch: Tensor | None
    commitment: Tensor
    labels: Tensor | None
    vectors: Tensor


class LatentActionModel(nn.Module):
    """frames [B, P + 2, C, H, W] in 0..1 -> Predicted. Any height and width; the output has the input's size."""

    independent_samples = True  # parts of a batch may be learned in threads, see learning/fast/replicas.py

    def __init__(self, design: LatentActionDesign):
        super().__init__()
        self.design, self.past_frames = design, design.past_frames
        self.tokens = math.prod(design.tokens)
        self.views = Views(design.in_channels, design.height, design.width)
        self.matching = BlockMatching(design.search_px) if any(design.search_px) else None
        displacements = torch.zeros(1, 2) if self.matching is None else self.matching.displacements
        self.inverse = InverseModel(
            (design.past_frames + 2) * design.in_channels, design.channels, design.code_dim,
            0 if self.matching is None else len(displacements), design.cell_px, design.tokens,
        )  # fmt: skip
        self.forward_model = ForwardModel(
            past_frames=design.past_frames, in_channels=design.in_channels, channels=design.channels,
            cell=design.cell_px, code_dim=design.code_dim, tokens=self.tokens, height=design.height,
            width=design.width, displacements=displacements, conditioning=design.conditioning,
            prediction=design.prediction, skips=design.skips,
        )  # fmt: skip
        self.codebook = Codebook(
            quantizer=design.quantizer, codes=design.codes, fsq_levels=design.fsq_levels, dim=design.code_dim,
            cosine=design.cosine, gradient=design.gradient, commitment=design.commitment, ema_decay=design.ema_decay,
            dead_code_threshold=design.dead_code_threshold, entropy_weight=design.entropy_weight,
        )  # fmt: skip
        self.labels = nn.Linear(self.tokens * design.code_dim, design.labels) if design.labels else None
        self.codes = self.codebook.codes

    @property
    def config(self) -> dict:
        """What the model is built from, as it is saved beside the weights."""
        return asdict(self.design)

    @property
    def capacity_bits(self) -> float:
        """The most that the codes of a transition can tell."""
        return self.tokens * math.log2(self.codes)

    def forward(self, frames: Tensor, context: Tensor | None = None) -> Predicted:
        """`context` [B, P + 1, C, H, W]: what the forward model continues, in place of the true past and current
        frames."""
        self._require(frames, self.past_frames + 2)
        context = self._without_past(frames[:, :-1] if context is None else context)
        mismatch = self._mismatch(frames)
        unquantised = self._part(self._vectors, frames, mismatch)
        vectors, _, commitment = self.codebook(unquantised)
        prediction, shares = self._part(self._forward, context, vectors)
        expected = None if mismatch is None else (shares * mismatch).sum(dim=1)
        labels = None if self.labels is None else self.labels(vectors.flatten(1))
        return Predicted(prediction, expected, commitment, labels, unquantised.detach())

    def vectors(self, frames: Tensor) -> Tensor:
        """The transitions before quantisation: frames [B, P + 2, C, H, W] -> float32 [B, N, D]."""
        self._require(frames, self.past_frames + 2)
        return self._vectors(frames, self._mismatch(frames))

    def _mismatch(self, frames: Tensor) -> Tensor | None:
        return None if self.matching is None else self.matching(frames[:, -2], frames[:, -1])

    def _vectors(self, frames: Tensor, mismatch: Tensor | None) -> Tensor:
        matches = None if mismatch is None else matched(mismatch)
        return self.codebook.scaled(self.inverse(self.views(frames, self.past_frames), matches))

    def _part(self, part, *inputs):
        """A part of the forward pass that draws no random numbers; its insides may be computed again in the backward
        pass instead of being kept."""
        if self.training and self.design.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False, preserve_rng_state=False)
        return part(*inputs)

    def _without_past(self, context: Tensor) -> Tensor:
        """Of a share of the transitions, in training, the current frame stands in for the past: nothing moved."""
        if not self.training or not self.design.past_dropout:
            return context
        shown = uniform(len(context), 1, 1, 1, 1, device=context.device) >= self.design.past_dropout
        return torch.where(shown, context, context[:, -1:])

    def predict(self, context: Tensor, vectors: Tensor) -> Tensor:
        """Past and current frames [B, P + 1, C, H, W] and vectors [B, N, D] -> next frames, not clipped."""
        self._require(context, self.past_frames + 1)
        return self._forward(context, vectors)[0]

    def _forward(self, context: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_model(context[:, -1], self.views.background, self.views(context, self.past_frames), vectors)

    def _require(self, frames: Tensor, count: int) -> None:
        expected = (count, *self.views.background.shape)
        if tuple(frames.shape[1:]) != expected:
            raise ValueError(f"the model was made for frames [B, {expected}], found {list(frames.shape)}")


def load_latent_action(directory: str | Path) -> LatentActionModel:
    """The model of a saved folder, on the CPU, in eval mode, its weights frozen."""
    config = load_config(directory)
    model = LatentActionModel(
        LatentActionDesign(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    )
    load_weights(model, directory)
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def vectors_in(model: LatentActionModel, frames: np.ndarray, compute: Compute) -> Tensor:
    """Transitions uint8 [B, P + 2, C, H, W] -> their vectors before quantisation, float32 [B, N, D] on the device."""
    with compute.autocast():
        return model.vectors(_floats(frames, compute)).float()


def codes_of(model: LatentActionModel, frames: np.ndarray, compute: Compute) -> np.ndarray:
    """Transitions uint8 [B, P + 2, C, H, W] -> their codes int64, [B] or [B, N]. The model is in eval mode."""
    vectors = vectors_in(model, frames, compute)
    with torch.inference_mode():
        codes = model.codebook(vectors)[1].cpu().numpy()
    return codes[:, 0] if model.tokens == 1 else codes


@torch.inference_mode()
def predict_next(model: LatentActionModel, context: np.ndarray, codes: np.ndarray | None, compute: Compute):
    """Past and current frames uint8 [B, P + 1, C, H, W], codes [B] or [B, N] -> next frames [B, C, H, W], 0..255.

    float32. Without codes (None) the forward model is told nothing: vectors of zeros.
    """
    if codes is None:
        vectors = torch.zeros(len(context), model.tokens, model.design.code_dim, device=compute.device)
    else:
        numbers = torch.from_numpy(np.asarray(codes, np.int64)).to(compute.device)
        vectors = model.codebook.vectors_of(numbers.reshape(len(context), model.tokens))
    with compute.autocast():
        frames = model.predict(_floats(context, compute), vectors)
    return (frames.float().clamp(0, 1) * 255).cpu().numpy()


def _floats(frames: np.ndarray, compute: Compute) -> Tensor:
    return torch.from_numpy(frames).to(compute.device).float() / 255
