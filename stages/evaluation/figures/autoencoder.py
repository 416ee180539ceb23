"""Picture of what the autoencoder gives back."""

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.style import DIFFERENCE_MAP, new_figure

LOUDEST = 64  # grey levels at which the colours of the differences end


def reconstructions_figure(originals: np.ndarray, reconstructions: np.ndarray) -> Figure:
    """A column a frame: original, reconstruction, difference; both uint8 [N, C, H, W], C 1 (grey) or 3 (RGB)."""
    if originals.shape != reconstructions.shape or not len(originals):
        raise ValueError(f"nothing to compare in {list(originals.shape)} and {list(reconstructions.shape)}")
    count, _, height, width = originals.shape
    cell_in = 12 / count
    figure, axes = new_figure(12, 3 * cell_in * height / width + 0.6, rows=3, cols=count)
    difference = (reconstructions.astype(np.float32) - originals).mean(axis=1)
    shade = None
    for column in range(count):
        for row, images in enumerate((originals, reconstructions)):
            picture = images[column].transpose(1, 2, 0)
            axes[row, column].imshow(picture.squeeze(-1) if picture.shape[2] == 1 else picture, **_grey(picture))
        shade = axes[2, column].imshow(difference[column], cmap=DIFFERENCE_MAP, vmin=-LOUDEST, vmax=LOUDEST)
    for cell in axes.flat:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
    for row, name in enumerate(("original", "from the latent", "difference")):
        axes[row, 0].set_ylabel(name)
    figure.colorbar(shade, ax=axes[2, :].tolist(), label="grey levels", shrink=0.9, pad=0.01)
    return figure


def _grey(picture: np.ndarray) -> dict:
    return {"cmap": "gray", "vmin": 0, "vmax": 255} if picture.shape[2] == 1 else {}
