"""A session without a key log: a folder of numbered pictures (0.png, 1.png, ...), one folder an episode.

Episodes of video alone: enough for everything that learns without labels.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

SUFFIX = ".png"


def picture_folders(directory: Path) -> list[str]:
    """The names of the folders in `directory` that hold pictures, sorted."""
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.is_dir() and not path.name.startswith(".") and any(path.glob(f"*{SUFFIX}"))
    )


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers, which may start anywhere.

    ValueError for a name that is no number, a number that occurs twice (7.png, 007.png) and a hole.
    """
    numbered: dict[int, Path] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if not path.stem.isdecimal():
            raise ValueError(f"{path}: pictures are called by their number, 0{SUFFIX}, 1{SUFFIX}, ...; rename it")
        number = int(path.stem)
        if number in numbered:
            raise ValueError(f"{path} and {numbered[number].name} are both number {number}; keep one of them")
        numbered[number] = path
    first, count = min(numbered), len(numbered)
    missing = next((number for number in range(first, first + count) if number not in numbered), None)
    if missing is not None:
        raise ValueError(
            f"{folder} has a hole: {missing}{SUFFIX} is missing, there are {count} pictures from {first}{SUFFIX} to "
            f"{max(numbered)}{SUFFIX}; restore it, or make two folders of the parts before and after"
        )
    return [numbered[number] for number in sorted(numbered)]


def read_pictures(folder: Path) -> Iterator[np.ndarray]:
    """Every picture of a folder in order, uint8 BGR [H, W, 3]; ValueError for an unreadable one or another size."""
    size = None
    for path in numbered_pictures(folder):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{path} cannot be read as a picture; restore it or take its folder out")
        size = size or image.shape
        if image.shape != size:
            raise ValueError(
                f"{path} is {image.shape[1]}x{image.shape[0]} px, the pictures before it are {size[1]}x{size[0]}; "
                f"all pictures of an episode have one size"
            )
        yield image
