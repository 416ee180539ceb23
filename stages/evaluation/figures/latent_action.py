"""Pictures of latent actions: predicted frames, what each code does to one frame, how roll-outs fare."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.style import DIFFERENCE_MAP, INK, MODEL, MUTED, grid, legend, new_figure

LOUDEST = 64  # grey levels at which the colours of the differences end
ROLLOUT_COLORS = (MODEL, "#56B4E9", MUTED, INK)  # inferred codes, random codes, copy, mean picture
COLUMNS = 6  # pictures in a row of the grid of codes


def predictions_figure(current: np.ndarray, following: np.ndarray, predicted: np.ndarray) -> Figure:
    """A column a transition: current and next frame uint8 [N, C, H, W], the prediction (0..255) and two differences.

    The last two rows are what a copy of the current frame and what the prediction get wrong.
    """
    if not len(current) or not current.shape == following.shape == predicted.shape:
        shapes = [list(images.shape) for images in (current, following, predicted)]
        raise ValueError(f"nothing to compare in {shapes[0]}, {shapes[1]} and {shapes[2]}")
    count, _, height, width = current.shape
    figure, axes = new_figure(12, 5 * 12 / count * height / width + 0.8, rows=5, cols=count)
    target = following.astype(np.float32)
    for column in range(count):
        for row, images in enumerate((current, following, predicted)):
            _show(axes[row, column], images[column])
        for row, images in ((3, current), (4, predicted)):
            error = (images[column].astype(np.float32) - target[column]).mean(axis=0)
            shade = axes[row, column].imshow(error, cmap=DIFFERENCE_MAP, vmin=-LOUDEST, vmax=LOUDEST)
    _bare(axes)
    names = ("current", "next", "predicted", "copy\nminus next", "predicted\nminus next")
    for row, name in enumerate(names):
        axes[row, 0].set_ylabel(name)
    figure.colorbar(shade, ax=axes[3:, :].ravel().tolist(), label="grey levels", shrink=0.9, pad=0.01)
    return figure


def every_code_figure(current: np.ndarray, following: np.ndarray, codes: np.ndarray, shares: np.ndarray) -> Figure:
    """One frame [C, H, W] and what each of codes [K] makes of it, 0..255 [K, C, H, W], as the change of grey levels.

    shares [K] say how often each code occurs; they stand above the pictures.
    """
    count, _, height, width = following.shape
    rows = -(-(count + 1) // COLUMNS)
    figure, axes = new_figure(12, rows * (12 / COLUMNS * height / width + 0.3) + 0.6, rows=rows, cols=COLUMNS)
    cells = axes.ravel()
    _show(cells[0], current)
    cells[0].set_title("this frame", fontsize=9)
    change = (following - current.astype(np.float32)).mean(axis=1)
    for place in range(count):
        shade = cells[place + 1].imshow(change[place], cmap=DIFFERENCE_MAP, vmin=-LOUDEST, vmax=LOUDEST)
        cells[place + 1].set_title(f"code {codes[place]} ({shares[place]:.1%})", fontsize=9)
    _bare(axes)
    for cell in cells[count + 1 :]:
        cell.set_visible(False)
    figure.colorbar(shade, ax=axes.ravel().tolist(), label="change, grey levels", shrink=0.8, pad=0.01)
    return figure


def _show(axes, picture: np.ndarray) -> None:
    """A frame [C, H, W] in grey levels, grey or in colour."""
    picture = np.asarray(picture, np.float32).transpose(1, 2, 0) / 255
    axes.imshow(picture.squeeze(-1) if picture.shape[2] == 1 else picture, cmap="gray", vmin=0, vmax=1)


def _bare(axes: np.ndarray) -> None:
    for cell in axes.flat:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)


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
