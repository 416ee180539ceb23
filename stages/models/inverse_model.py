"""The inverse model: what happened between two frames, as a few vectors.

Conventions: B transitions, K displacements of block matching; views as `transition_maps.Views` makes them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.models.block_matching import CELL
from stages.models.transition_maps import Down

BANDS = 3  # of rows (sky, wall, floor ...) that what matches is averaged in
HIDDEN = 128  # units between the pooled map and the vector


class InverseModel(nn.Module):
    """Views of a transition and what matched [B, K, h, w] -> [B, rows * columns, outputs], a vector a token.

    The picture is averaged over `tokens` = rows x columns parts, 1 x 1 for the whole of it. With `displacements`
    0 (K) it sees no matches.
    """

    def __init__(
        self, views: int, channels: Sequence[int], outputs: int, displacements: int, cell: int = CELL,
        tokens: Sequence[int] = (1, 1),
    ):  # fmt: skip
        super().__init__()
        self._tokens = tuple(tokens)
        self.down = Down(views, channels, cell)
        self.motion = nn.Conv2d(displacements, channels[0], 1) if displacements else None
        self.norm = nn.LayerNorm(BANDS * displacements) if displacements else None
        self.mix = nn.Conv2d(channels[-1], HIDDEN, 3, padding=1)
        pooled = HIDDEN + BANDS * displacements
        self.output = nn.Sequential(nn.Linear(pooled, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs))

    def forward(self, views: Tensor, matches: Tensor | None = None) -> Tensor:
        if matches is None:
            return self.output(self._pooled(views, None))
        # Shares of K displacements are about 1 / K each; the convolution wants them of size 1.
        pooled = self._pooled(views, self.motion(matches * matches.shape[1] ** 0.5))
        # What matches in most cells is how the camera moved: it need not find its way through the convolutions.
        bands = self.norm(functional.adaptive_avg_pool2d(matches, (BANDS, 1)).flatten(1))
        return self.output(torch.cat([pooled, bands[:, None].expand(-1, pooled.shape[1], -1)], dim=2))

    def _pooled(self, views: Tensor, beside: Tensor | None) -> Tensor:
        x = functional.silu(self.mix(self.down(views, beside)[-1]))
        return functional.adaptive_avg_pool2d(x, self._tokens).flatten(2).transpose(1, 2)
