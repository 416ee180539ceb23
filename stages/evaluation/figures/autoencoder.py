"""Picture of what the autoencoder gives back."""

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.pictures import compared_figure


def reconstructions_figure(originals: np.ndarray, reconstructions: np.ndarray) -> Figure:
    """A column a frame: original, reconstruction, difference; both uint8 [N, C, H, W], C 1 (grey) or 3 (RGB)."""
    shown = {"original": originals, "from the latent": reconstructions}
    return compared_figure(shown, {"difference": (reconstructions, originals)})
