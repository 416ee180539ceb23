"""Tables of numbers as colours, with the numbers in their cells."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from stages.evaluation.figures import style

DARK = 0.55  # shades below it are so dark that words on them are light


def colours(axes: Axes, shades: np.ndarray, *, columns: Sequence[str], rows: Sequence[str], **options) -> None:
    """A cell for each of shades [R, C] in 0..1; NaN has no colour. `options` goes to matplotlib's imshow."""
    axes.imshow(np.ma.masked_invalid(shades), cmap=style.VALUE_MAP, vmin=0, vmax=1, **options)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def heat_map(
    axes: Axes, shades: np.ndarray, words: np.ndarray, *, columns: Sequence[str], rows: Sequence[str], size: float = 9
) -> None:
    """The same, filling the panel, with `words` [R, C] in the cells."""
    colours(axes, shades, columns=columns, rows=rows, aspect="auto")
    for row, column in np.ndindex(shades.shape):
        dark = bool(shades[row, column] < DARK)
        style.annotate(axes, column, row, words[row, column], on_dark=dark, size=size)


@np.vectorize
def in_cells(value: float, form: str) -> str:
    """Values [...] in the format `form`, a dash for NaN."""
    return "–" if np.isnan(value) else form.format(value)
