"""What both networks of the latent action model look at, and the convolutions that both begin with.

Conventions: B transitions, T frames, C colours; frames are float 0..1.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.models.block_matching import CELL

SPREAD_FLOOR = 1 / 255  # a still video is divided by a grey level, not by 0


class Views(nn.Module):
    """The current frame against the mean picture, and each change, scaled to spread 1; padded by zeros to cells."""

    def __init__(self, in_channels: int, height: int, width: int):
        super().__init__()
        self.register_buffer("background", torch.zeros(in_channels, height, width))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("change", torch.ones(()))
        self._padding = (0, -width % CELL, 0, -height % CELL)

    def set_statistics(self, background: Tensor, spread: float, change: float) -> None:
        """Mean picture [C, H, W], the frames' deviation from it and the root mean square change, all of 0..1."""
        self.background.copy_(background)
        self.spread.fill_(max(spread, SPREAD_FLOOR))
        self.change.fill_(max(change, SPREAD_FLOOR))

    def forward(self, frames: Tensor, current: int) -> Tensor:
        """frames [B, T, C, H, W] -> [B, T * C, h, w]: frame `current`, then the T - 1 changes."""
        still = (frames[:, current] - self.background) / self.spread
        changes = (frames[:, 1:] - frames[:, :-1]) / self.change
        views = torch.cat([still, changes.flatten(1, 2)], dim=1)
        return functional.pad(views, self._padding).contiguous(memory_format=torch.channels_last)


class Down(nn.Module):
    """[B, in, h, w] -> a map a layer, each half as high and wide as the one before (rounded up).

    The first layer makes cells of `cell` px: one wide step of 4, or an ordinary one of 2.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], cell: int):
        super().__init__()
        stem = nn.Conv2d(in_channels, channels[0], *((2 * cell, cell, cell // 2) if cell > 2 else (3, 2, 1)))
        self.layers = nn.ModuleList([stem, *(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(channels))])
        self.norms = nn.ModuleList(group_norm(c) for c in channels)

    def forward(self, x: Tensor, beside: Tensor | None = None) -> list[Tensor]:
        """`beside`, of the size of the first map, is added to it."""
        maps = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = layer(x)
            if beside is not None and not maps:
                x = x + beside
            x = functional.silu(norm(x))
            maps.append(x)
        return maps


class GroupNorm(nn.GroupNorm):
    """torch's own, given the channels first: its kernel for processors is many times slower with the channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


def group_norm(channels: int) -> GroupNorm:
    """In groups of eight channels' number or one: the same for a batch of 1 and of 1,000."""
    return GroupNorm(math.gcd(8, channels) if channels > 8 else 1, channels)
