"""The one resize: what the models see of a picture, in training and in live play alike.

cv2's INTER_AREA averages every pixel of the source; INTER_LINEAR would skip most of them when it
shrinks a screen by ten and differ by more than a hundred grey levels. Grey is BT.601 luma, as
cv2.COLOR_BGR2GRAY has it, and comes before the resize: a third of the bytes to average.
"""

import cv2
import numpy as np

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
