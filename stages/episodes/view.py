"""Does the whole picture move, because the player turns or the world scrolls by?

Where it does, a thing's place in the picture tells what to do about it (a crosshair stays in the middle). Where it does
not, only how things lie to each other tells it, and a picture that is shifted asks for the same keys.
"""

import numpy as np

from stages.episodes.store import EpisodeStore

CHANGED = 6  # grey levels between two frames
CELLS = (9, 16)  # rows and columns that a picture is looked at in
MOVING = 0.35  # share of the cells that change,
OFTEN = 0.75  # in at least one of four steps from frame to frame: a player who looks round does not do so all the time
LOOKED_AT = 300  # such steps


def view_moves(store: EpisodeStore) -> bool:
    """Whether from one frame of train to the next, often enough, something changes in many parts of the picture.

    Three of four steps change at most .03 to .20 of the cells in the bundled games whose view stands still (pictures of
    80 x 105 to 160 x 210 px), and .53 to .90 in those whose view turns or scrolls (128 x 72, 72 x 128 px).
    """
    episodes = store.episodes("train")
    every = max(sum(episode.length for episode in episodes) // LOOKED_AT, 1)
    shares = [
        _changed_cells(*store.read(episode.name, "frames", start, start + 2))
        for episode in episodes
        for start in range(every // 2, episode.length - 1, every)
    ]
    return bool(shares) and bool(np.quantile(shares, OFTEN) > MOVING)


def _changed_cells(before: np.ndarray, after: np.ndarray) -> float:
    """The share of the cells in which a pixel of uint8 [C, H, W] changes."""
    changed = (np.abs(before.astype(np.int16) - after) > CHANGED).any(axis=0)
    for axis, cells in enumerate(CELLS):
        size = changed.shape[axis]
        starts = np.unique(np.linspace(0, size, min(cells, size), endpoint=False).astype(int))
        changed = np.logical_or.reduceat(changed, starts, axis=axis)
    return float(changed.mean())
