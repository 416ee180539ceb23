"""A session without a key log: a folder of numbered pictures (0.png, 1.png, ...), one folder an episode.

Episodes of video alone: enough for everything that learns without labels. PNG or JPEG, in upper or lower case; a word
may stand before all numbers (frame_0001.jpg). What systems leave in folders (`._0.png`, `__MACOSX`, `Thumbs.db`) is
no picture.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

SUFFIXES = {".png", ".jpg", ".jpeg"}
NAME = re.compile(r"(|[^\W\d].*?)(\d+)")  # a word or nothing, then the number


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted by name; hidden files are none."""
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def picture_folders(directory: Path) -> list[str]:
    """The names of the folders in `directory` that hold pictures, sorted."""
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__MACOSX")) and pictures_in(path)
    )


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers, which may start anywhere.

    ValueError for a name without a number or with another word, a number that occurs twice (7.png, 007.png) and a hole.
    """
    numbered: dict[int, Path] = {}
    word = None
    for path in pictures_in(folder):
        found = NAME.fullmatch(path.stem)
        word = found[1] if found and word is None else word
        if not found or found[1] != word:
            raise ValueError(
                f"{path}: pictures are called by their number, 0.png, 1.png, ..., or all by one word and their number, "
                f"frame_0.png; rename them in the order in which they were taken"
            )
        number = int(found[2])
        if number in numbered:
            raise ValueError(f"{path} and {numbered[number].name} are both number {number}; keep one of them")
        numbered[number] = path
    if not numbered:
        raise ValueError(f"{folder} holds no pictures (0.png, 1.png, ...)")
    first, count = min(numbered), len(numbered)
    missing = next((number for number in range(first, first + count) if number not in numbered), None)
    if missing is not None:
        raise ValueError(
            f"{folder} has a hole: {missing}{numbered[first].suffix} is missing, there are {count} pictures from "
            f"{numbered[first].name} to {numbered[max(numbered)].name}; restore it, or make two folders of the parts "
            f"before and after"
        )
    return [numbered[number] for number in sorted(numbered)]


def read_pictures(folder: Path) -> Iterator[np.ndarray]:
    """Every picture of a folder in order, uint8 BGR [H, W, 3]; ValueError for an unreadable one or another size."""
    size = None
    for path in numbered_pictures(folder):
        image = read_picture(path)
        size = size or image.shape
        if image.shape != size:
            raise ValueError(
                f"{path} is {image.shape[1]}x{image.shape[0]} px, the pictures before it are {size[1]}x{size[0]}; "
                f"all pictures of an episode have one size"
            )
        yield image


def read_picture(path: Path) -> np.ndarray:
    """One picture, uint8 BGR [H, W, 3]; ValueError when it is damaged."""
    return decoded_picture(path.read_bytes() if path.is_file() else b"", str(path))


def decoded_picture(data: bytes, where: str) -> np.ndarray:
    """The picture in the bytes of a PNG or JPEG, uint8 BGR [H, W, 3]; ValueError that begins with `where`."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # for example a size that no picture has
        image = None
    if image is None:
        raise ValueError(f"{where} cannot be read as a picture; restore it or take its folder out")
    return image
