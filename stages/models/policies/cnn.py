"""The policy `cnn`: convolutions over a stack of frames."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from stages.learning.fast.dropout import Dropout
from stages.models.policies.pictures import Norm, Pooled, Pooling, Stacked, Stride, convolutions, dense, steps_of
from stages.models.policies.policy import Policy
from stages.params import Channels, Count, FitParams, Params


class CnnParams(FitParams):
    frames: Count
    pixels: Count
    channels: Channels
    strides: tuple[Stride, ...]
    norm: Norm
    pooling: Pooling
    dense: Channels
    dropout: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Cnn(Policy):
    """Frames uint8 [B, T, C, H, W] -> logits [B, A].

    The T frames are the channels of one picture; convolutions, one vector of the last map, dense layers.
    """

    reads = ("frames",)
    Section = CnnParams

    def __init__(
        self, *, channels: Sequence[int], strides: Sequence[Stride], norm: Norm, pooling: Pooling,
        dense_sizes: Sequence[int], dropout: float, **common,
    ):  # fmt: skip
        super().__init__(**common)
        strides = steps_of(strides, *self.shapes["frames"][1:])
        self.config |= {
            "channels": list(channels), "strides": strides, "norm": norm, "pooling": pooling,
            "dense_sizes": list(dense_sizes), "dropout": dropout,
        }  # fmt: skip
        self.independent_samples = norm != "batch"  # which looks at the whole batch
        colors, height, width = self.shapes["frames"]
        self.stacked = Stacked(self.shapes["frames"])
        self.convolutions = convolutions(self.window * colors, channels, strides, norm)
        with torch.no_grad():
            shape = self.convolutions.eval()(torch.zeros(1, self.window * colors, height, width)).shape
        self.pooled = Pooled(pooling, *shape[1:])
        self.dense = dense((self.pooled.size, *dense_sizes), Dropout(dropout))
        self.decides_from(dense_sizes[-1])
        self.train()

    @classmethod
    def values(cls, section: CnnParams, params: Params) -> dict:
        taken = section.model_dump(include={"channels", "strides", "norm", "pooling", "dropout"})
        return {**taken, "dense_sizes": section.dense, "window": section.frames}

    def features(self, frames: Tensor) -> Tensor:
        return self.dense(self.pooled(self.convolutions(self.stacked(frames))))
