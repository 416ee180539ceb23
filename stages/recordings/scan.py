"""What a video's pictures say about the recording, found in one pass while they are decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from stages.recordings.pictures import read_pictures
from stages.recordings.sync import SMALL, change_between
from stages.recordings.video import decoded, full_range, named_420, plane

SAME_CELL_PX, SAME_LEVELS = 4, 2  # by so many levels of brightness an encoder lets cells of a still picture drift
FLAT_LEVELS = 6  # between the darkest and the brightest point of a picture that shows nothing
WINDOW = 60  # frames in which the phase of a slower game does not shift
LONGEST_PERIOD, REGULAR, ALIVE, MOSTLY = 5, 0.85, 0.25, 0.5


@dataclass(frozen=True)
class Scan:
    """Of the T frames that can be decoded before `damage` (None: a sound file).

    `t` float64 [T], s: when the video itself says that each is shown (NaN for pictures). `flat` bool [T]: of one
    colour all over. `same` bool [T]: like the one before. `change` float32 [T, cells]: how much each cell differs from
    the frame before (see sync.py).
    """

    damage: str | None
    t: np.ndarray
    flat: np.ndarray
    same: np.ndarray
    change: np.ndarray

    def __len__(self) -> int:
        return len(self.t)

    def period(self) -> int:
        """How often each picture stands there: 2 when what changes does so at every second frame, all along."""
        if len(self) < WINDOW:
            return 1
        moved = np.expm1(self.change).mean(axis=1)
        windows = moved[: len(moved) // WINDOW * WINDOW].reshape(-1, WINDOW)
        for period in range(LONGEST_PERIOD, 1, -1):
            whole = WINDOW // period * period
            phases = windows[:, :whole].reshape(len(windows), -1, period)
            total, often = phases.sum(axis=(1, 2)), _how_many(phases.reshape(len(windows), whole))
            alive = often >= ALIVE * whole / period
            if alive.sum() >= MOSTLY * len(windows):
                best = phases.sum(axis=1).max(axis=1)
                if (best[alive] >= REGULAR * total[alive]).mean() >= REGULAR:
                    return period
        return 1


def _how_many(changes: np.ndarray) -> np.ndarray:
    """How many of the changes [N, T] of a window there are, as if all were of one size; float64 [N]."""
    return changes.sum(axis=1) ** 2 / np.maximum((changes**2).sum(axis=1), 1e-12)


def scan(path: str | Path) -> Scan:
    """Looks at every frame of a video, or of a folder of pictures, in brightness alone."""
    t, flat, same, change, damage = [], [], [], [], None
    cells_before = small_before = None
    try:
        for at, luma, scale in _brightness(Path(path)):
            corner = luma[::8, ::8]
            size = tuple(max(side // SAME_CELL_PX, 1) for side in reversed(luma.shape))
            cells = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
            large = cells if min(size) >= max(SMALL) else luma  # to a twelfth of 720p in two steps: half the work
            small = cv2.resize(large, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32) * scale
            t.append(at)
            flat.append(all(int(part.max()) - int(part.min()) <= FLAT_LEVELS for part in (corner, cells)))
            same.append(cells_before is not None and cv2.norm(cells, cells_before, cv2.NORM_INF) <= SAME_LEVELS)
            change.append(change_between(small, small_before))
            cells_before, small_before = cells, small
    except ValueError as error:
        damage = str(error)
    rows = np.array(change, np.float32) if change else np.zeros((0, 1), np.float32)
    return Scan(damage, np.array(t, np.float64), np.array(flat, bool), np.array(same, bool), rows)


def _brightness(path: Path) -> Iterator[tuple[float, np.ndarray, float]]:
    """Of each frame its time in s, brightness uint8 [H, W], and the levels of 0..255 that one of its levels is."""
    if path.is_dir():
        for image in read_pictures(path):
            yield np.nan, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 1.0
        return
    for frame in decoded(path):
        at = np.nan if frame.pts is None else float(frame.pts * frame.time_base)
        if named_420(frame):
            yield at, plane(frame, 0), 1.0 if full_range(frame) else 255 / 219
        else:
            yield at, _gray(frame), 1.0


def _gray(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="gray", threads=1).to_ndarray()
