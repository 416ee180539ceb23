"""Pictures of latent actions: predicted frames, what each code does to one frame, how roll-outs fare."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.pictures import bare, compared_figure, show, show_change
from stages.evaluation.figures.style import INK, MODEL, MUTED, grid, legend, new_figure

ROLLOUT_COLORS = (MODEL, "#56B4E9", MUTED, INK)  # inferred codes, random codes, copy, mean picture
COLUMNS = 6  # pictures in a row of the grid of codes


def predictions_figure(current: np.ndarray, following: np.ndarray, predicted: np.ndarray) -> Figure:
    """A column a transition: current and next frame uint8 [N, C, H, W], the prediction (0..255) and two differences.

    The last two rows are what a copy of the current frame and what the prediction get wrong.
    """
    shown = {"current": current, "next": following, "predicted": predicted}
    differences = {"copy\nminus next": (current, following), "predicted\nminus next": (predicted, following)}
    return compared_figure(shown, differences)


def every_code_figure(current: np.ndarray, following: np.ndarray, codes: np.ndarray, shares: np.ndarray) -> Figure:
    """One frame [C, H, W] and what each of codes [K] makes of it, 0..255 [K, C, H, W], as the change of grey levels.

    shares [K] say how often each code occurs; they stand above the pictures.
    """
    count, _, height, width = following.shape
    rows = -(-(count + 1) // COLUMNS)
    figure, axes = new_figure(12, rows * (12 / COLUMNS * height / width + 0.3) + 0.6, rows=rows, cols=COLUMNS)
    cells = axes.ravel()
    show(cells[0], current)
    cells[0].set_title("this frame", fontsize=9)
    change = (following - current.astype(np.float32)).mean(axis=1)
    for place in range(count):
        shade = show_change(cells[place + 1], change[place])
        cells[place + 1].set_title(f"code {codes[place]} ({shares[place]:.1%})", fontsize=9)
    bare(axes)
    for cell in cells[count + 1 :]:
        cell.set_visible(False)
    figure.colorbar(shade, ax=axes.ravel().tolist(), label="change, grey levels", shrink=0.8, pad=0.01)
    return figure


def rollout_figure(psnr: np.ndarray, names: Sequence[str]) -> Figure:
    """PSNR in dB over the steps of roll-outs, float64 [S, len(names)]: one line each."""
    figure, axes = new_figure(7, 3.2)
    panel = axes[0, 0]
    for column, (name, color) in enumerate(zip(names, ROLLOUT_COLORS, strict=True)):
        panel.plot(np.arange(1, len(psnr) + 1), psnr[:, column], marker="o", markersize=3, color=color, label=name)
    panel.set_xlabel("steps ahead, on its own predictions")
    panel.set_ylabel("PSNR, dB")
    grid(panel)
    legend(panel)
    return figure
