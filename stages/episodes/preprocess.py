"""The one resize: what the models see of a picture, in training and in live play alike.

cv2's INTER_AREA averages every pixel of the source; INTER_LINEAR would skip most of them when it
shrinks a screen by ten and differ by more than a hundred grey levels. Grey is BT.601 luma, as
cv2.COLOR_BGR2GRAY has it, and comes before the resize: a third of the bytes to average.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from stages.params import AUTO, ConvertParams

MOVES = 24
CHANNELS = {"gray": 1, "rgb": 3}


def preprocess(image_bgr: np.ndarray, *, width: int, height: int, color: str) -> np.ndarray:
    """uint8 BGR [H, W, 3] -> uint8 [C, height, width], C = 1 for color "gray" and 3 for "rgb"."""
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise ValueError(f"a picture must be uint8 [H, W, 3] in BGR, found {image_bgr.dtype} {list(image_bgr.shape)}")
    if color not in CHANNELS:
        raise ValueError(f"color is {color!r}, expected one of {sorted(CHANNELS)}")
    if color == "gray":
        gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)[None]
    small = cv2.resize(image_bgr, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB).transpose(2, 0, 1))


def shrunk(frames: np.ndarray, by: int) -> np.ndarray:
    """Frames uint8 [..., H, W] at an integer fraction of their size: [..., H // by, W // by], but at least a pixel."""
    if by == 1:
        return frames
    height, width = shrunk_size(frames.shape[-2:], by)
    small = np.empty((*frames.shape[:-2], height, width), np.uint8)
    for target, plane in zip(small.reshape(-1, height, width), frames.reshape(-1, *frames.shape[-2:]), strict=True):
        cv2.resize(plane, (width, height), dst=target, interpolation=cv2.INTER_AREA)
    return small


def shrunk_size(size: Sequence[int], by: int) -> tuple[int, int]:
    """(H, W) of what `shrunk` makes of pictures of a size (H, W)."""
    return max(size[0] // by, 1), max(size[1] // by, 1)


def shrunk_to(frames: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Frames uint8 [..., H, W] as `shrunk` makes them of that size (H, W); ValueError where it makes none."""
    by = max(round(frames.shape[-2] / size[0]), 1)
    if shrunk_size(frames.shape[-2:], by) != tuple(size):
        found = f"{frames.shape[-1]} x {frames.shape[-2]}"
        raise ValueError(f"pictures of {found} px do not shrink to {size[1]} x {size[0]} px; train anew (dvc repro)")
    return shrunk(frames, by)


def shrink_for(size: Sequence[int], pixels: int) -> int:
    """The smallest integer that `shrunk` makes pictures of a size (H, W) by, to have at most so many pixels."""
    by = 1
    while math.prod(shrunk_size(size, by)) > max(pixels, 1):
        by += 1
    return by


def picture_size(convert: ConvertParams, source: Sequence[int], pixels: int) -> tuple[int, int]:
    """(H, W) of the pictures that are made of a source (H, W).

    Where the params leave it open: its own size, or what has its aspect and at most so many pixels.
    """
    height, width = source
    if convert.width != AUTO and convert.height != AUTO:
        return convert.height, convert.width
    if convert.width != AUTO:
        return max(round(convert.width * height / width), 1), convert.width
    if convert.height != AUTO:
        return convert.height, max(round(convert.height * width / height), 1)
    if by := next((by for by in (1, 2, 4, 8) if height % by == width % by == 0 and _about(source, by, pixels)), None):
        return height // by, width // by  # cells of whole pixels
    fitted = max(int((pixels * width / height) ** 0.5) // 8 * 8, 8)
    return max(round(fitted * height / width), 1), fitted


def _about(source: Sequence[int], by: int, pixels: int) -> bool:
    """Whether a source shrunk by so much has about that many pixels, and not more."""
    found = math.prod(shrunk_size(source, by))
    return found <= pixels and (by == 1 or found >= 0.8 * pixels)


def contrast_kept(frames: Sequence[np.ndarray], later: Sequence[np.ndarray], size: Sequence[int]) -> float:
    """How much of the contrast of what moves is left in pictures of a size (H, W): 0 nothing, 1 all of it.

    Pairs of grey frames uint8 [H, W]; what moves are pixels that differ by more than MOVES grey levels. 1 where
    nothing does.
    """
    moved = kept = 0.0
    for before, after in zip(frames, later, strict=True):
        change = after.astype(np.float32) - before
        small = cv2.resize(change, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        seen = cv2.resize(small, change.shape[::-1], interpolation=cv2.INTER_LINEAR)
        moves = np.abs(change) > MOVES
        moved, kept = moved + float(np.abs(change[moves]).sum()), kept + float(np.abs(seen[moves]).sum())
    return kept / moved if moved else 1.0
