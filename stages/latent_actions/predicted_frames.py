"""How like the true next frames the predicted ones are, to the eye: over moving pixels and by structure."""

import numpy as np

from stages.evaluation.images import image_sums, moving_pixels
from stages.latent_actions.transitions import PredictNext, Transitions, batches
from stages.learning.threads import in_threads


def picture_sums(
    transitions: Transitions, samples: np.ndarray, codes: np.ndarray, predict: PredictNext, *, threshold: float
) -> np.ndarray:
    """PICTURE_SUMS of the transitions `samples` [M], float64 [M, 5]; codes int64 [N] of all transitions.

    A pixel moves that changes by `threshold` grey levels.
    """

    def sums_of(part: np.ndarray) -> np.ndarray:
        frames = transitions.take(part)
        current, following = frames[:, -2], frames[:, -1]
        guess = predict(frames[:, :-1], codes[part]).round().astype(np.uint8)
        moving = moving_pixels(following, current, threshold)
        own, copy = (image_sums(following, other, moving) for other in (guess, current))
        columns = (own["moving_error"], copy["moving_error"], own["ssim"], copy["ssim"], own["ssim_pixels"])
        return np.stack(columns, axis=1)

    return np.concatenate(list(in_threads(sums_of, batches(samples))))
