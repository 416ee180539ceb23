"""The usual ways to get at frames: OpenCV's VideoCapture loop, and a zarr array with a frame a chunk."""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.child import keep_to_one_core, now, serve

keep_to_one_core()

import cv2  # noqa: E402  (after the process is pinned: it counts the cores when it starts)
import numpy as np  # noqa: E402
import zarr  # noqa: E402

from tests.benchmarks import sizes  # noqa: E402

cv2.setNumThreads(1)


def small_frames(path: Path) -> Iterator[np.ndarray]:
    """Every frame of a video, grey, uint8 [72, 128]."""
    capture = cv2.VideoCapture(str(path))
    while True:
        found, image = capture.read()
        if not found:
            break
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        yield cv2.resize(gray, (sizes.WIDTH, sizes.HEIGHT), interpolation=cv2.INTER_AREA)
    capture.release()


def decode_seconds(path: Path) -> float:
    start = now()
    for _ in small_frames(path):
        pass
    return now() - start


def window_seconds(array: zarr.Array, windows: int) -> float:
    """Seconds for random windows of 16 frames."""
    starts = np.random.default_rng(0).integers(0, array.shape[0] - sizes.STORE_WINDOW, windows)
    start = now()
    for first in starts:
        array[first : first + sizes.STORE_WINDOW]
    return now() - start


def main() -> None:
    folder = Path(sys.argv[1])
    array = zarr.open_array(folder / "frame_chunks.zarr", mode="r")
    serve({
        "decode": lambda _: decode_seconds(folder / "video.mp4"),
        "windows": lambda windows: window_seconds(array, windows),
    })  # fmt: skip


if __name__ == "__main__":
    main()
