"""Block matching: which part of the current frame each part of the next one came from.

It tries every displacement, so none is too far, where the gradient of a picture's error sees only the next one or two
pixels. The mismatch is given relative to its mean over the displacements: where any would do (sky, fine noise) all are
1 and nothing is said.

Conventions: B transitions, K displacements, cells of CELL x CELL px; frames are float in 0..1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CELL = 4  # px on a side of a cell
STEP = 2  # px between the displacements that are tried; blocks are compared at 1 / STEP of the resolution
SHARPNESS = 10.0  # how fast a displacement's share falls with its mismatch
FLOOR = (1 / 255) ** 2  # a mismatch of a grey level is none


class BlockMatching(nn.Module):
    """current, following [B, C, H, W] -> how badly each cell matches when displaced, float32 [B, K, h, w].

    The squared difference of a cell with its surroundings, divided by its mean over the displacements.
    `displacements` float32 [K, 2] in px, across before down: where in the current frame a cell would come from, up to
    `search_px` (across, down) in steps of STEP. No weights, no gradient; pictures that are no multiple of CELL are
    padded by their edge, h and w are rounded up.
    """

    def __init__(self, search_px: Sequence[int]):
        super().__init__()
        across, down = (torch.arange(-(px // STEP), px // STEP + 1) for px in search_px)
        self._reach = (int(across[-1]), int(down[-1]))
        steps = torch.cartesian_prod(down, across).flip(1)
        self.register_buffer("displacements", (steps * STEP).float(), persistent=False)

    @torch.no_grad()
    def forward(self, current: Tensor, following: Tensor) -> Tensor:
        padding = (0, -current.shape[-1] % CELL, 0, -current.shape[-2] % CELL)
        current, following = (
            functional.avg_pool2d(functional.pad(x.float().contiguous(), padding, mode="replicate"), STEP)
            for x in (current, following)
        )
        (across, down), (height, width) = self._reach, following.shape[-2:]
        around = functional.pad(current, (across, across, down, down), mode="replicate")
        rows, columns = (_surroundings(n, device=following.device) for n in (height, width))
        cells = torch.stack(
            [
                rows @ (around[..., y : y + height, x : x + width] - following).square().mean(dim=1) @ columns.T
                for y in range(2 * down + 1)
                for x in range(2 * across + 1)
            ],
            dim=1,
        )
        return cells / (cells.mean(dim=1, keepdim=True) + FLOOR)


def matched(mismatch: Tensor) -> Tensor:
    """Relative mismatch [B, K, h, w] -> how well each displacement matches, shares that add up to 1 over K."""
    return torch.softmax(-SHARPNESS * mismatch, dim=1).contiguous(memory_format=torch.channels_last)


def _surroundings(pixels: int, device: torch.device) -> Tensor:
    """The matrix [cells, pixels] that averages over each cell and its two neighbours: a cell alone has a few px, too
    few to tell textures apart. As products with such matrices this is several times as fast as pooling."""
    size = CELL // STEP
    cell = torch.arange(pixels, device=device) // size
    near = (torch.arange(pixels // size, device=device)[:, None] - cell).abs() <= 1
    return near / near.sum(dim=1, keepdim=True)
