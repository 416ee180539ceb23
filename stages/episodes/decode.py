"""A video's frames as the models see them: `preprocess` of every frame, in grey faster where the sizes allow it.

A video stores colour at half its width and height. Where the target divides that half size, brightness
is halved first (INTER_AREA of INTER_AREA is then the plain mean again) and only a quarter of the pixels
is converted to colour. That differs by one grey level from converting every pixel, and mostly by none.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from stages.episodes.preprocess import preprocess
from stages.recordings.pictures import read_pictures
from stages.recordings.video import bgr, decoded, named_420, plane, to_bgr

FEWEST = 4  # source pixels a cell, each way: with fewer there is nothing to gain and less to average
HALF_UP = 1 / 8  # levels of brightness that the mean of 2 x 2 gains: cv2 rounds a half up, and every fourth is one


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
    return preprocess(_half_size(frame) if halved else bgr(frame), width=width, height=height, color=color)


def _halves_fit(frame: av.VideoFrame, width: int, height: int) -> bool:
    return (
        named_420(frame)
        and frame.width % (2 * width) == 0
        and frame.height % (2 * height) == 0
        and min(frame.width // width, frame.height // height) >= FEWEST
    )


def _half_size(frame: av.VideoFrame) -> np.ndarray:
    """The frame at half its size, uint8 BGR [H / 2, W / 2, 3]."""
    y = cv2.resize(plane(frame, 0), (frame.width // 2, frame.height // 2), interpolation=cv2.INTER_AREA)
    matrix = to_bgr(frame)
    unbiased = np.column_stack([matrix[:, :3], matrix[:, 3] - HALF_UP * matrix[:, 0]])
    return cv2.transform(cv2.merge([y, plane(frame, 1), plane(frame, 2)]), unbiased)
