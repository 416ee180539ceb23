"""The forward model as a game: videos in which codes drive the picture, each prediction fed back as the next frame.

A picture of such a video is a grid of captioned tiles, uint8 [H, W, 3] in OpenCV's channel order, with even sides.
Conventions: frames uint8 [C, H, W].
"""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

WIDTH, COLUMNS = 960, 4  # px, about, and tiles in a row; twice as many, half as wide, where there are more than FEW
FEW = 8
CAPTION = 18  # px high
TEXT, BACKGROUND = (235, 232, 228), (30, 27, 24)


def tiled(films: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Films [S, C, H, W] of the same length by caption -> one picture a step."""
    columns = min(COLUMNS, len(films)) if len(films) <= FEW else 2 * COLUMNS
    for step in range(min(len(film) for film in films.values())):
        tiles = [_tile(film[step], caption, WIDTH // columns) for caption, film in films.items()]
        tiles += [np.full_like(tiles[0], 0) + np.uint8(BACKGROUND)] * (-len(tiles) % columns)
        rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
        yield np.concatenate(rows)


def captioned(frames: np.ndarray, captions: Sequence[str]) -> Iterator[np.ndarray]:
    """Frames [S, C, H, W] as a video of one tile, each with its caption."""
    for frame, caption in zip(frames, captions, strict=True):
        yield _tile(frame, caption, WIDTH // COLUMNS)


def _tile(frame: np.ndarray, caption: str, width: int) -> np.ndarray:
    image = np.ascontiguousarray(frame.transpose(1, 2, 0)[..., ::-1])
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.shape[2] == 1 else image
    times = max(1, round(width / image.shape[1]))
    image = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    image = cv2.copyMakeBorder(
        image, CAPTION, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    cv2.putText(image, caption, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TEXT, 1, cv2.LINE_AA)
    return image
