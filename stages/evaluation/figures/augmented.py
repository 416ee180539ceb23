"""What augmentation makes of the windows that a policy learns from."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.pictures import bare, show
from stages.evaluation.figures.style import new_figure


def augmented_figure(recorded: np.ndarray, draws: Sequence[np.ndarray]) -> Figure:
    """Windows uint8 [n, T, C, H, W]: first and last frame below each other; as recorded, then each draw."""
    columns, (count, *_, height, width) = [recorded, *draws], recorded.shape
    rows = 2 * count
    figure, axes = new_figure(10, rows * 10 / len(columns) * height / width + 0.5, rows=rows, cols=len(columns))
    for cells, pictures in zip(axes.T, columns, strict=True):
        for cell, picture in zip(cells, pictures[:, [0, -1]].reshape(rows, *recorded.shape[2:]), strict=True):
            show(cell, picture)
    bare(axes)
    for cell, name in zip(axes[0], ("recorded", *(f"draw {n}" for n in range(1, len(columns)))), strict=True):
        cell.set_title(name, fontsize=10)
    for row, cells in enumerate(axes):
        cells[0].set_ylabel("last" if row % 2 else "first")
    return figure
