"""Windows and transitions as index arrays into concatenated episodes, and the bank they are taken from.

Nothing here copies a frame until a batch is taken: a window is a row of frame numbers, and no row
ever holds frames of two episodes.
"""

import tempfile
from collections.abc import Sequence

import numpy as np

from stages.episodes.store import EpisodeStore


def window_indices(lengths: Sequence[int], window: int, step: int = 1) -> np.ndarray:
    """int64 [N, window], N = sum(lengths): row i holds the window whose last frame is frame i, `step` frames apart.

    At the start of an episode its first frame is repeated, so that every frame has a window.
    """
    if window < 1:
        raise ValueError(f"a window holds at least 1 frame, found {window}")
    lengths = np.asarray(lengths, dtype=np.int64)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    back = np.arange(-window + 1, 1) * step
    return np.maximum(np.arange(len(first))[:, None] + back, first[:, None])


def transition_indices(lengths: Sequence[int], past: int, gap: int) -> np.ndarray:
    """int64 [M, past + 2]: `past` earlier frames, the current and the next one, each `gap` frames apart.

    Nothing is padded: an episode of L frames gives max(0, L - (past + 1) * gap) rows.
    """
    if past < 0 or gap < 1:
        raise ValueError(f"transitions need past >= 0 and gap >= 1, found past {past} and gap {gap}")
    lengths = np.asarray(lengths, dtype=np.int64)
    rows = np.maximum(lengths - (past + 1) * gap, 0)
    first = np.repeat(np.cumsum(lengths) - lengths, rows)
    within = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
    return (first + within)[:, None] + np.arange(past + 2) * gap


class FrameBank:
    """All rows of one array of a split, end to end in store order, for fast gathering by index.

    Up to `limit_gb` (10^9 bytes) they lie in memory; beyond it in an unnamed scratch file beside the
    store, which the operating system pages in and out and removes whatever happens to the process.
    """

    def __init__(self, store: EpisodeStore, split: str | None, array: str, limit_gb: float):
        episodes = store.episodes(split)
        self.array, self.lengths = array, [episode.length for episode in episodes]
        self.shape, self.dtype = store.row_layout(array)
        row_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self.in_memory = sum(self.lengths) * row_bytes <= round(limit_gb * 1e9)
        if self.in_memory:
            rows = store.concatenated(array, split)[0].reshape(sum(self.lengths), -1).view(np.uint8)
        else:
            rows = _mapped(store, split, array, row_bytes)
        # Eight bytes at a time: gathering int64 is several times faster than gathering uint8.
        self._rows = rows.view(np.int64) if row_bytes % 8 == 0 else rows

    @property
    def recorded(self) -> "FrameBank":
        """The rows without images in a mirror: all of them."""
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Rows by number: indices int64 [...] -> [..., *row shape]; IndexError beyond the bank."""
        indices = np.asarray(indices)
        taken = np.take(self._rows, indices.reshape(-1), axis=0)
        return taken.view(self.dtype).reshape(*indices.shape, *self.shape)


class MirroredBank:
    """A bank of pictures [..., W], and after them the same in a mirror."""

    def __init__(self, bank: FrameBank):
        self.array, self.shape, self.lengths = bank.array, bank.shape, [*bank.lengths, *bank.lengths]
        self.recorded = bank

    def __len__(self) -> int:
        return 2 * len(self.recorded)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """As a FrameBank's."""
        indices = np.asarray(indices)
        taken = self.recorded.take(indices % len(self.recorded))
        flipped = indices >= len(self.recorded)
        taken[flipped] = taken[flipped][..., ::-1]
        return taken


def _mapped(store: EpisodeStore, split: str | None, array: str, row_bytes: int) -> np.ndarray:
    # Written, not assigned through the map: a full disk is then an OSError and no bus error.
    with tempfile.TemporaryFile(dir=store.path.parent) as scratch:
        for block in store.blocks(array, split):
            scratch.write(np.ascontiguousarray(block).data)
        scratch.flush()
        rows = np.memmap(scratch, np.uint8, mode="r", shape=(scratch.tell() // row_bytes, row_bytes))
    return rows.view(np.ndarray)
