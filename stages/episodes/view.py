"""Does the whole picture move, because the player turns or the world scrolls by?

Where it does, a thing's place in the picture tells what to do about it (a crosshair stays in the middle). Where it does
not, only how things lie to each other tells it, and a picture that is shifted asks for the same keys.
"""

import numpy as np

from stages.episodes.windows import FrameBank

CHANGED = 6  # grey levels between two frames
CELLS = (9, 16)  # rows and columns that a picture is looked at in
MOVING = (
    0.3  # share of the cells that change from frame to frame; measured: .02 to .11 where the view stands, .54 to .88
)
LOOKED_AT = 400  # pairs of frames


def view_moves(bank: FrameBank) -> bool:
    """Whether from one frame [C, H, W] to the next, most often, something changes in many parts of the picture."""
    followed = np.setdiff1d(np.arange(len(bank) - 1), np.cumsum(bank.lengths) - 1)
    chosen = followed[:: max(len(followed) // LOOKED_AT, 1)]
    shares = [_changed_cells(*bank.take(np.array([frame, frame + 1]))) for frame in chosen]
    return bool(shares) and bool(np.median(shares) > MOVING)


def _changed_cells(before: np.ndarray, after: np.ndarray) -> float:
    """The share of the cells in which a pixel of uint8 [C, H, W] changes."""
    changed = (np.abs(before.astype(np.int16) - after) > CHANGED).any(axis=0)
    for axis, cells in enumerate(CELLS):
        size = changed.shape[axis]
        starts = np.unique(np.linspace(0, size, min(cells, size), endpoint=False).astype(int))
        changed = np.logical_or.reduceat(changed, starts, axis=axis)
    return float(changed.mean())
