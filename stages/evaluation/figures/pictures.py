"""Frames side by side, and what they differ by."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.evaluation.figures.style import DIFFERENCE_MAP, new_figure

LOUDEST = 64  # grey levels at which the colours of the differences end


def compared_figure(
    shown: Mapping[str, np.ndarray], differences: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Figure:
    """A column a picture, a row for each that is `shown` and below for each difference (of the first and the second).

    All are [N, C, H, W] in grey levels, C 1 (grey) or 3 (RGB); ValueError where there is none or shapes differ.
    """
    images = [*shown.values()]
    if not len(images[0]) or any(each.shape != images[0].shape for each in images):
        raise ValueError("nothing to compare in " + ", ".join(str(list(each.shape)) for each in images))
    (count, _, height, width), rows = images[0].shape, len(shown) + len(differences)
    figure, axes = new_figure(12, rows * 12 / count * height / width + 0.3 + 0.1 * rows, rows=rows, cols=count)
    for cells, pictures in zip(axes, images, strict=False):
        for cell, picture in zip(cells, pictures, strict=True):
            show(cell, picture)
    for cells, (one, other) in zip(axes[len(images) :], differences.values(), strict=True):
        for cell, change in zip(cells, (one.astype(np.float32) - other.astype(np.float32)).mean(axis=1), strict=True):
            shade = show_change(cell, change)
    bare(axes)
    for cells, name in zip(axes, (*shown, *differences), strict=True):
        cells[0].set_ylabel(name)
    below = axes[len(images) :].ravel().tolist()
    figure.colorbar(shade, ax=below, label="grey levels", shrink=0.9, pad=0.01)
    return figure


def show(axes: Axes, picture: np.ndarray) -> None:
    """A frame [C, H, W] in grey levels, grey or in colour."""
    picture = np.asarray(picture, np.float32).transpose(1, 2, 0) / 255
    axes.imshow(picture.squeeze(-1) if picture.shape[2] == 1 else picture, cmap="gray", vmin=0, vmax=1)


def show_change(axes: Axes, change: np.ndarray):
    """A difference [H, W] in grey levels; returns the image, for a colour bar."""
    return axes.imshow(change, cmap=DIFFERENCE_MAP, vmin=-LOUDEST, vmax=LOUDEST)


def bare(axes: np.ndarray) -> None:
    """Without ticks and frames."""
    for cell in axes.flat:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
