"""What a video's pictures say about the recording, found in one pass while they are decoded."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from stages.recordings.pictures import read_pictures
from stages.recordings.sync import SMALL, change_between
from stages.recordings.video import decoded, full_range, named_420, plane

SAME_LEVELS = 2  # brightness levels by which an encoder lets a still picture drift
FLAT_LEVELS = 6  # between the darkest and the brightest point of a picture that shows nothing
LONGEST_PERIOD, REGULAR, MOVING = 5, 0.85, 0.5


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
        """How often each picture stands there: 2 when only every second one is new, as far as anything moves."""
        between = np.diff(np.flatnonzero(~self.same))
        short = between[between <= LONGEST_PERIOD]
        if not len(short) or short.sum() < MOVING * len(self):
            return 1
        period, count = Counter(short.tolist()).most_common(1)[0]
        return int(period) if count >= REGULAR * len(short) else 1


def scan(path: str | Path) -> Scan:
    """Looks at every frame of a video, or of a folder of pictures, in brightness alone."""
    t, flat, same, change, damage = [], [], [], [], None
    before = small_before = None
    try:
        for at, luma, scale in _brightness(Path(path)):
            corner = luma[::8, ::8]
            small = cv2.resize(luma, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32) * scale
            t.append(at)
            flat.append(int(corner.max()) - int(corner.min()) <= FLAT_LEVELS)
            same.append(before is not None and cv2.norm(luma, before, cv2.NORM_INF) <= SAME_LEVELS)
            change.append(change_between(small, small_before))
            before, small_before = luma.copy(), small
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
