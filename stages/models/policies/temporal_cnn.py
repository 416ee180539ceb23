"""The policy `temporal_cnn`: convolutions over each frame, then what remembers them over the window."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stages.learning.fast.dropout import Dropout
from stages.learning.fast.gru import GRU
from stages.models.policies.pictures import Norm, Pooled, Pooling, Relative, Stride, convolutions, dense, steps_of
from stages.models.policies.policy import Policy
from stages.params import Channels, Count, FitParams, Params

Memory = Literal["gru", "lstm", "transformer"]


class TemporalCnnParams(FitParams):
    frames: Count
    pixels: Count
    channels: Channels
    strides: tuple[Stride, ...]
    norm: Norm
    pooling: Pooling
    size: Count
    memory: Memory
    layers: Count
    heads: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class TemporalCnn(Policy):
    """Frames uint8 [B, T, C, H, W] -> logits [B, A].

    The same convolutions look at each frame, a dense layer makes `size` numbers of it, and `memory` goes over
    the T of them: a recurrent layer, or a transformer in which each frame sees those before it and itself.
    """

    reads = ("frames",)
    Section = TemporalCnnParams

    def __init__(
        self, *, channels: Sequence[int], strides: Sequence[Stride], norm: Norm, pooling: Pooling, size: int,
        memory: Memory, layers: int, heads: int, dropout: float, **common,
    ):  # fmt: skip
        super().__init__(**common)
        strides = steps_of(strides, *self.shapes["frames"][1:])
        self.config |= {
            "channels": list(channels), "strides": strides, "norm": norm, "pooling": pooling, "size": size,
            "memory": memory, "layers": layers, "heads": heads, "dropout": dropout,
        }  # fmt: skip
        self.independent_samples = norm != "batch"
        self.relative = Relative(self.shapes["frames"])
        self.convolutions = convolutions(self.shapes["frames"][0], channels, strides, norm)
        with torch.no_grad():
            shape = self.convolutions.eval()(torch.zeros(1, *self.shapes["frames"])).shape
        self.pooled = Pooled(pooling, *shape[1:])
        self.dense = dense((self.pooled.size, size), Dropout(dropout))
        self.memory = memory_of(memory, size, layers, heads, self.window)
        self.decides_from(size)
        self.train()

    @classmethod
    def values(cls, section: TemporalCnnParams, params: Params) -> dict:
        taken = {"channels", "strides", "norm", "pooling", "size", "memory", "layers", "heads", "dropout"}
        return {**section.model_dump(include=taken), "window": section.frames}

    def features(self, frames: Tensor) -> Tensor:
        seen = self.dense(self.pooled(self.convolutions(self.relative(frames).flatten(0, 1))))
        return self.memory(seen.unflatten(0, frames.shape[:2]))[:, -1]


class Recurrence(nn.Module):
    """Recurrent layers [B, T, size] -> [B, T, size]."""

    def __init__(self, cell: type[nn.Module], size: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(cell(size, size) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)[0]
        return x


class LSTM(nn.LSTM):
    """torch's, with the batch first."""

    def __init__(self, inputs: int, size: int):
        super().__init__(inputs, size, batch_first=True)


class CausalTransformer(nn.Module):
    """Self-attention over [B, T, size], each step over those up to itself; learned places (Vaswani et al. 2017)."""

    def __init__(self, size: int, layers: int, heads: int, window: int):
        super().__init__()
        if size % heads:
            raise ValueError(f"size {size} does not divide into {heads} heads")
        layer = nn.TransformerEncoderLayer(size, heads, 2 * size, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.places = nn.Parameter(torch.randn(window, size) * 0.02)
        self.register_buffer("later", torch.ones(window, window).triu(1).bool(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x + self.places, mask=self.later)


def memory_of(kind: Memory, size: int, layers: int, heads: int, window: int) -> nn.Module:
    """What goes over the frames of a window, [B, T, size] -> [B, T, size]."""
    if kind == "transformer":
        return CausalTransformer(size, layers, heads, window)
    return Recurrence({"gru": GRU, "lstm": LSTM}[kind], size, layers)
