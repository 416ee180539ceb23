"""The policy `resnet`: residual blocks over a stack of frames (IMPALA, Espeholt et al. 2018, with GroupNorm)."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from stages.learning.fast.dropout import Dropout
from stages.models.policies.pictures import Pooled, Pooling, Stacked, dense, normalisation
from stages.models.policies.policy import Policy
from stages.params import Channels, Count, FitParams, Params


class ResnetParams(FitParams):
    frames: Count
    pixels: Count
    channels: Channels
    blocks: Count
    pooling: Pooling
    dense: Channels
    dropout: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Resnet(Policy):
    """Frames uint8 [B, T, C, H, W] -> logits [B, A].

    The T frames are the channels of one picture. Each of `channels` is a stage: a 3 x 3 convolution, max-pooling to
    half the size, and so many residual `blocks`.
    """

    reads = ("frames",)
    Section = ResnetParams
    independent_samples = True

    def __init__(
        self, *, channels: Sequence[int], blocks: int, pooling: Pooling, dense_sizes: Sequence[int], dropout: float,
        **common,
    ):  # fmt: skip
        super().__init__(**common)
        self.config |= {
            "channels": list(channels), "blocks": blocks, "pooling": pooling, "dense_sizes": list(dense_sizes),
            "dropout": dropout,
        }  # fmt: skip
        colors, height, width = self.shapes["frames"]
        self.stacked = Stacked(self.shapes["frames"])
        sizes = (self.window * colors, *channels)
        self.stages = nn.Sequential(*(_stage(a, b, blocks) for a, b in zip(sizes, channels, strict=False)), nn.ReLU())
        with torch.no_grad():
            shape = self.stages(torch.zeros(1, sizes[0], height, width)).shape
        self.pooled = Pooled(pooling, *shape[1:])
        self.dense = dense((self.pooled.size, *dense_sizes), Dropout(dropout))
        self.decides_from(dense_sizes[-1])

    @classmethod
    def values(cls, section: ResnetParams, params: Params) -> dict:
        taken = section.model_dump(include={"channels", "blocks", "pooling", "dropout"})
        return {**taken, "dense_sizes": section.dense, "window": section.frames}

    def features(self, frames: Tensor) -> Tensor:
        return self.dense(self.pooled(self.stages(self.stacked(frames))))


def _stage(before: int, after: int, blocks: int) -> nn.Sequential:
    first = nn.Conv2d(before, after, 3, padding=1)
    return nn.Sequential(first, nn.MaxPool2d(3, 2, padding=1), *(ResidualBlock(after) for _ in range(blocks)))


class ResidualBlock(nn.Module):
    """x + two 3 x 3 convolutions of it, each after a normalisation and ReLU; [B, channels, h, w]."""

    def __init__(self, channels: int):
        super().__init__()
        self.norms = nn.ModuleList(normalisation("group", channels) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        change = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            change = convolution(functional.relu(norm(change)))
        return x + change
