"""The common look of all figures: colours that colour-blind readers tell apart, size, fonts, saving.

Figures are drawn through matplotlib's objects, without pyplot: nothing global is changed, no
window is opened, figures can be drawn in any thread. Colours: Okabe and Ito 2008.
"""

import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110
INK = "#222222"
MUTED = "#767676"
GRID = "#e4e4e4"
HUMAN = "#0072B2"
MODEL = "#D55E00"
NOT_PLAYABLE = "#CC79A7"
GOOD, BAD = "#009E73", "#D55E00"
ACTION_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A6A00", "#5D3A9B")
VALUE_MAP = "cividis"  # from low to high, even for every kind of colour vision
DIFFERENCE_MAP = "RdBu_r"  # around zero

_LOOK = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


def new_figure(
    width_in: float, height_in: float, rows: int = 1, cols: int = 1, *, title: str | None = None, **subplots
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes [rows, cols]; `subplots` goes to Figure.subplots (sharex, width_ratios...)."""
    with matplotlib.rc_context(_LOOK):
        figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, cols, squeeze=False, **subplots)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure, axes


def action_color(index: int) -> str:
    """The colour of the action in this column, the same in every figure; colours repeat after eight."""
    return ACTION_COLORS[index % len(ACTION_COLORS)]


def greys(count: int) -> list[str]:
    """So many greys for baselines, from dark to light, as far apart as they can be."""
    return [f"#{level:02x}{level:02x}{level:02x}" for level in np.linspace(0x40, 0xDC, count).round().astype(int)]


def grid(axes: Axes, axis: str = "y") -> None:
    """Thin lines behind the data."""
    axes.grid(True, axis=axis, color=GRID, linewidth=0.8)
    axes.tick_params(length=0)


def title(axes: Axes, text: str) -> None:
    """The title of one panel, bold above its left edge."""
    axes.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK)


def annotate(axes: Axes, x: float, y: float, text: str, *, on_dark: bool, size: float = 9) -> None:
    """A number in the middle of a heat map's cell, light on dark or dark on light."""
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color="white" if on_dark else INK)


def legend(target: Axes | Figure, **options) -> None:
    """A legend without a frame; `options` goes to matplotlib's legend."""
    target.legend(**{"frameon": False, "fontsize": 9, "labelcolor": INK, **options})


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure as PNG: the same figure gives the same bytes (no date, no program version)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
