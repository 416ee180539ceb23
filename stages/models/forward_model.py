"""The forward model: the next frame from the past, the current one and a code.

The prediction is one of: `moved`, the current frame moved by a flow field plus a residual; `residual`, the current
frame plus a residual; `frame`, the mean picture plus what is learned. All start at zero: training starts at a copy
of the current frame (at the mean picture). The code scales and shifts the features (FiLM; Perez et al. 2018) or is
attended to from every place (cross-attention; Vaswani et al. 2017).

Conventions: B transitions, K displacements, N tokens of D numbers; frames are float 0..1.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.models.block_matching import CELL
from stages.models.transition_maps import Down, group_norm

HEADS = 4  # of the cross-attention


class Film(nn.Module):
    """A scale and a shift a channel from all tokens."""

    def __init__(self, channels: int, tokens: int, dim: int):
        super().__init__()
        self.linear = nn.Linear(tokens * dim, 2 * channels)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        """x [B, c, h, w], vectors [B, N, D] -> [B, c, h, w]."""
        scale, shift = self.linear(vectors.flatten(1))[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


class CrossAttention(nn.Module):
    """Every place adds what it finds in the tokens; places and tokens know where they are."""

    def __init__(self, channels: int, tokens: int, dim: int):
        super().__init__()
        self.query, self.place = nn.Linear(channels, channels), nn.Linear(2, channels)
        self.token, self.names = nn.Linear(dim, channels), nn.Parameter(torch.zeros(tokens, channels))
        nn.init.normal_(self.names, std=0.02)
        heads = math.gcd(HEADS, channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        """x [B, c, h, w], vectors [B, N, D] -> [B, c, h, w]."""
        height, width = x.shape[-2:]
        rows, columns = (torch.linspace(-1, 1, n, device=x.device) for n in (height, width))
        places = torch.cartesian_prod(rows, columns)
        tokens = self.token(vectors) + self.names
        queries = self.query(x.flatten(2).transpose(1, 2)) + self.place(places)
        found = self.attention(queries, tokens, tokens, need_weights=False)[0]
        return x + found.transpose(1, 2).unflatten(2, (height, width))


CONDITIONING = {"film": Film, "cross_attention": CrossAttention}


class ForwardModel(nn.Module):
    """current [B, C, H, W], views [B, V, h, w], vectors [B, N, D] -> next frames, shares [B, K, h, w].

    `displacements` [K, 2] in px are what `moved` chooses from, cell by cell.
    """

    def __init__(
        self, *, past_frames: int, in_channels: int, channels: Sequence[int], cell: int, code_dim: int, tokens: int,
        height: int, width: int, displacements: Tensor, conditioning: str, prediction: str, skips: str,
    ):  # fmt: skip
        super().__init__()
        self._channels, self._size, self._cell = in_channels, (height, width), cell
        self._prediction, self._skips = prediction, skips == "past"
        self.down = Down((past_frames + 1) * in_channels, channels, cell)
        up = channels[::-1]
        self.mix = nn.Conv2d(up[0], up[0], 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(a + b * self._skips, b, 3, padding=1) for a, b in pairwise(up))
        self.norms = nn.ModuleList(group_norm(c) for c in up[1:])
        self.conditions = nn.ModuleList(CONDITIONING[conditioning](c, tokens, code_dim) for c in up)
        # Two heads in one convolution: a fine dx, dy, and the residual of the pixels of a cell.
        self.head = nn.Conv2d(channels[0], 2 + in_channels * cell**2, 3, padding=1)
        self.source = nn.Conv2d(channels[0], len(displacements), 1)
        for layer in (self.head, self.source):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        half_size = torch.tensor([width, height]) / 2  # the unit of `grid_sample`
        self.register_buffer("displacements", displacements / half_size, persistent=False)
        for name, pixels in (("rows", height), ("columns", width)):
            self.register_buffer(
                name, _enlarging(math.ceil(pixels / CELL) * CELL // cell, pixels, cell), persistent=False
            )
        self.register_buffer("grid", _grid(height, width), persistent=False)

    def forward(self, current: Tensor, background: Tensor, views: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.down(views)
        x = functional.silu(self.conditions[0](self.mix(maps[-1]), vectors))
        for layer, norm, condition, skip in zip(self.up, self.norms, self.conditions[1:], maps[-2::-1], strict=True):
            x = functional.interpolate(x, skip.shape[-2:], mode="nearest")
            x = layer(torch.cat([x, skip], dim=1) if self._skips else x)
            x = functional.silu(condition(norm(x), vectors))
        flow, residual = self.head(x).float().split([2, self._channels * self._cell**2], dim=1)
        height, width = self._size
        residual = functional.pixel_shuffle(residual, self._cell)[..., :height, :width]
        shares = torch.softmax(self.source(x).float(), dim=1)
        if self._prediction != "moved":
            return (current if self._prediction == "residual" else background).float() + residual, shares
        with torch.autocast(flow.device.type, enabled=False):
            flow = flow + torch.einsum("bkhw,kd->bdhw", shares, self.displacements)
        return self._moved(current, flow) + residual, shares

    def _moved(self, current: Tensor, flow: Tensor) -> Tensor:
        """The frame sampled where flow [B, 2, h, w] points to, in units of half the picture's width and height."""
        with torch.autocast(flow.device.type, enabled=False):
            # Enlarged by matrices: bilinear `interpolate` of two channels takes ten times as long.
            flow = self.rows @ flow.contiguous() @ self.columns.T
            where = self.grid + flow.permute(0, 2, 3, 1)
            return functional.grid_sample(current.float(), where, padding_mode="border", align_corners=False)


def _enlarging(cells: int, pixels: int, cell: int) -> Tensor:
    """The matrix [pixels, cells] that enlarges a row of cells linearly; the last cell may reach past the picture."""
    unit = torch.eye(cells)[:, None]
    return functional.interpolate(unit, scale_factor=cell, mode="linear")[:, 0, :pixels].T.contiguous()


def _grid(height: int, width: int) -> Tensor:
    """Where `grid_sample` finds each pixel itself, x before y: [1, H, W, 2]."""
    rows, columns = ((torch.arange(n) * 2 + 1) / n - 1 for n in (height, width))
    return torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], dim=-1)[None]
