"""What policies that read frames are made of. Frames are uint8 [B, T, C, H, W], feature maps [B, channels, h, w]."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.params import AUTO, Count

Stride = Count | Literal["auto"]
Norm = Literal["group", "batch", "none"]
Pooling = Literal["average", "soft_argmax", "flatten"]
LARGE_PX = 18432  # 128 x 144
GROUPS = 8  # of channels that are normalised together; fewer where it does not divide them


class Relative(nn.Module):
    """uint8 [B, T, C, H, W] -> float of that shape: frames as what differs in them from the background.

    The background is the per-pixel median of the training's frames, the unit the deviation around it. Small things that
    move are then what a network sees first; from raw pictures it learns several times slower.
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.register_buffer("background", torch.zeros(*shape))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, frames: Tensor) -> Tensor:
        return (frames.float() / 255 - self.background) / self.scale


class Stacked(Relative):
    """uint8 [B, T, C, H, W] -> float [B, T * C, H, W]: the last frame, and how it differs from each before it."""

    def forward(self, frames: Tensor) -> Tensor:
        seen = super().forward(frames)
        return torch.cat([seen[:, -1:] - seen[:, :-1], seen[:, -1:]], dim=1).flatten(1, 2)


def set_background(policy: nn.Module, background: Tensor, scale: float) -> None:
    """What the frames of a policy, or of several, are relative to: [C, H, W] in 0..1, and the deviation around it."""
    for module in policy.modules():
        if isinstance(module, Relative):
            module.background.copy_(background)
            module.scale.fill_(scale)


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """A layer for [B, channels, h, w]; ValueError for a kind that is not known."""
    if kind == "group":
        return nn.GroupNorm(next(n for n in range(GROUPS, 0, -1) if channels % n == 0), channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm is {kind!r}, expected group, batch or none")


def steps_of(strides: Sequence[Stride], height: int, width: int) -> list[int]:
    """Strides as numbers: "auto" is 2, and 4 in pictures of more than LARGE_PX."""
    return [(4 if height * width > LARGE_PX else 2) if stride == AUTO else stride for stride in strides]


def convolutions(in_channels: int, channels: Sequence[int], strides: Sequence[int], norm: Norm) -> nn.Sequential:
    """Convolutions, each with its stride, a normalisation and ReLU; ValueError where lengths differ.

    They look at 3 x 3 numbers, or at 2 stride - 1 each way, so that neighbours always overlap.
    """
    if len(channels) != len(strides):
        raise ValueError(f"{len(channels)} channels {list(channels)}, but {len(strides)} strides {list(strides)}")
    layers: list[nn.Module] = []
    for before, after, stride in zip((in_channels, *channels), channels, strides, strict=False):
        reach = max(stride - 1, 1)
        convolution = nn.Conv2d(before, after, 2 * reach + 1, stride, padding=reach)
        layers += [convolution, normalisation(norm, after), nn.ReLU()]
    return nn.Sequential(*layers)


class Pooled(nn.Module):
    """A feature map [B, channels, h, w] as one vector [B, size].

    "average": the mean of each channel. "soft_argmax": where each channel is largest, in -1..1 from the left and
    from the top, and how large it is there (Finn et al. 2016, "Deep spatial autoencoders", section 3.2): small things
    keep their place. "flatten": all numbers.
    """

    def __init__(self, kind: Pooling, channels: int, height: int, width: int):
        super().__init__()
        sizes = {"average": channels, "soft_argmax": 3 * channels, "flatten": channels * height * width}
        if kind not in sizes:
            raise ValueError(f"pooling is {kind!r}, expected one of {', '.join(sizes)}")
        self.kind, self.size = kind, sizes[kind]
        if kind == "soft_argmax":
            self.sharpness = nn.Parameter(torch.ones(channels, 1))
            ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
            self.register_buffer("places", torch.stack([xs.flatten(), ys.flatten()], dim=1), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        if self.kind == "average":
            return maps.mean(dim=(2, 3))
        if self.kind == "flatten":
            return maps.flatten(1)
        flat = maps.flatten(2).float()
        shares = functional.softmax(flat * self.sharpness, dim=2)
        return torch.cat([(shares @ self.places).flatten(1), (shares * flat).sum(dim=2)], dim=1)


def dense(sizes: Sequence[int], dropout: nn.Module) -> nn.Sequential:
    """Linear layers from size to size, each with ReLU and dropout after it."""
    layers: list[nn.Module] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU(), dropout]
    return nn.Sequential(*layers)
