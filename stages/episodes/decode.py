"""A video's frames as the models see them: `preprocess` of every frame, in grey faster where the sizes allow it.

A video stores colour at half its width and height. Where the target divides that half size, brightness
is halved first (INTER_AREA of INTER_AREA is then the plain mean again) and only a quarter of the pixels
is converted to colour. What is left of the difference to converting every pixel is two grey levels and
mostly none; single cells at hard edges of saturated colours may differ by up to four.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from stages.episodes.preprocess import preprocess
from stages.recordings.pictures import read_pictures
from stages.recordings.video import decoded

# The weights of red and blue in Y (ITU-R BT.709 and BT.601) by the number that a video names its colour
# matrix with (ITU-T H.273); 2 is "not named", which decoders take for BT.601.
PRIMARY_WEIGHTS = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114)}
FULL_RANGE = 2
FEWEST = 4  # source pixels a cell, each way: with fewer there is nothing to gain and less to average
# swscale, with which every other path converts, rounds colours down: measured, by a good level.
ROUNDING = -1.25


def read_small_frames(
    path: str | Path, *, width: int, height: int, color: str, wanted: np.ndarray
) -> Iterator[np.ndarray]:
    """The frames i with wanted[i] (bool [T]) of a video or a folder of pictures in order, uint8 [C, height, width].

    Frames after the last wanted one are not read. ValueError when the video is damaged or has fewer frames.
    """
    if not wanted.any():
        return
    last, count = int(np.flatnonzero(wanted)[-1]), 0
    pictures = Path(path).is_dir()
    for frame in read_pictures(Path(path)) if pictures else decoded(path):
        if wanted[count] and pictures:
            yield preprocess(frame, width=width, height=height, color=color)
        elif wanted[count]:
            yield _small(frame, width, height, color)
        if count == last:
            return
        count += 1
    raise ValueError(f"{path} has {count} frames, at least {last + 1} are expected; run align anew")


def _small(frame: av.VideoFrame, width: int, height: int, color: str) -> np.ndarray:
    halved = color == "gray" and _halves_fit(frame, width, height)
    picture = _half_size(frame) if halved else frame.to_ndarray(format="bgr24", threads=1)
    return preprocess(picture, width=width, height=height, color=color)


def _halves_fit(frame: av.VideoFrame, width: int, height: int) -> bool:
    return (
        frame.format.name == "yuv420p"
        and frame.color_range != FULL_RANGE
        and frame.colorspace in PRIMARY_WEIGHTS
        and frame.width % (2 * width) == 0
        and frame.height % (2 * height) == 0
        and min(frame.width // width, frame.height // height) >= FEWEST
    )


def _half_size(frame: av.VideoFrame) -> np.ndarray:
    """The frame at half its size, uint8 BGR [H / 2, W / 2, 3]."""
    size = (frame.width // 2, frame.height // 2)
    y = cv2.resize(_plane(frame, 0), size, interpolation=cv2.INTER_AREA)
    yuv = cv2.merge([y, _plane(frame, 1), _plane(frame, 2)])
    return cv2.transform(yuv, _to_bgr(*PRIMARY_WEIGHTS[frame.colorspace]))


def _plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    plane = frame.planes[index]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


@cache
def _to_bgr(red: float, blue: float) -> np.ndarray:
    """The 3x4 matrix from limited-range (Y, Cb, Cr, 1) to (B, G, R); red and blue are their weights in Y."""
    green = 1 - red - blue
    y, chroma = 255 / 219, 2 * 255 / 224
    from_blue, from_red = chroma * (1 - blue), chroma * (1 - red)
    matrix = np.array(
        [[y, from_blue, 0], [y, -from_blue * blue / green, -from_red * red / green], [y, 0, from_red]], np.float32
    )
    return np.column_stack([matrix, ROUNDING - matrix @ np.array([16, 128, 128], np.float32)])
