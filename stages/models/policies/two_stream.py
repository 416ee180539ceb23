"""The policy `two_stream`: what recurrent layers make of the latents, and convolutions of the last frames themselves.

Two streams that meet before the last layer (Simonyan and Zisserman 2014). A latent says where things are and remembers
cheaply; what is small, or new since the last frame, is in the pictures.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from stages.models.policies.cnn import Cnn, CnnParams
from stages.models.policies.pictures import Norm, Pooling, Stride
from stages.models.policies.policy import Policy
from stages.models.policies.recurrent import Recurrent
from stages.params import Channels, Params


class TwoStreamParams(CnnParams):
    hidden: Channels


class TwoStream(Policy):
    """Latents [B, T, *shape] and the last of their frames uint8 [B, t, C, H, W] -> logits [B, A]."""

    reads = ("latents", "frames")
    Section = TwoStreamParams

    def __init__(
        self, *, hidden: Sequence[int], cell: str, frames: int, channels: Sequence[int], strides: Sequence[Stride],
        norm: Norm, pooling: Pooling, dense_sizes: Sequence[int], dropout: float, **common,
    ):  # fmt: skip
        super().__init__(**common)
        shapes, common = self.shapes, {"actions": self.actions}
        self.latents = Recurrent(
            shapes=shapes, window=self.window, hidden=hidden, cell=cell, dropout=dropout, **common
        )  # fmt: skip
        self.frames = Cnn(
            shapes=shapes, window=frames, channels=channels, strides=strides, norm=norm, pooling=pooling,
            dense_sizes=dense_sizes, dropout=dropout, **common,
        )  # fmt: skip
        own = {name: value for stream in (self.latents, self.frames) for name, value in stream.config.items()}
        self.config = own | self.config | {"frames": frames}
        self.spans = {"frames": frames}
        self.independent_samples = self.frames.independent_samples
        del self.latents.output, self.frames.output
        self.decides_from(hidden[-1] + dense_sizes[-1])

    @classmethod
    def values(cls, section: TwoStreamParams, params: Params) -> dict:
        return {**Recurrent.values(section, params), **Cnn.values(section, params), "frames": section.frames} | {
            "window": max(params.sequence_length, section.frames)
        }

    def features(self, latents: Tensor, frames: Tensor) -> Tensor:
        return torch.cat([self.latents.features(latents), self.frames.features(frames)], dim=1)
