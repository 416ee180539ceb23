"""How like the true next frames the predicted ones are, to the eye: over moving pixels and by structure."""

import numpy as np

from stages.evaluation.images import image_sums, moving_pixels
from stages.latent_actions.transitions import PredictNext, Transitions, batches
from stages.learning.threads import in_threads


def picture_sums(
    transitions: Transitions, samples: np.ndarray, codes: np.ndarray, predict: PredictNext, *,
    threshold: float, seed: int,
) -> np.ndarray:  # fmt: skip
    """PICTURE_SUMS of the transitions `samples` [M], float64 [M, PICTURE_SUMS]; codes int64 [N] of all transitions.

    A pixel moves that changes by `threshold` grey levels. Pairs of identical frames have sums of 0: a copy predicts
    them for nothing. The shuffled codes are a permutation of those of the samples.
    """
    shuffled = np.random.default_rng(seed).permutation(codes[samples])

    def sums_of(places: np.ndarray) -> np.ndarray:
        frames, own_codes = transitions.take(samples[places]), codes[samples[places]]
        current, following = frames[:, -2], frames[:, -1]
        moving = moving_pixels(following, current, threshold)
        own, copy, other, zeroed = (
            image_sums(following, picture, moving)
            for picture in (
                predicted(frames, own_codes), current, predicted(frames, shuffled[places]), predicted(frames, None),
            )
        )  # fmt: skip
        columns = [each["moving_error"] for each in (own, copy, other, zeroed)]
        columns += [own["ssim"], copy["ssim"], own["ssim_pixels"]]
        return np.stack(columns, axis=1) * (current != following).any(axis=(1, 2, 3))[:, None]

    def predicted(frames: np.ndarray, by: np.ndarray | None) -> np.ndarray:
        return predict(frames[:, :-1], by).round().astype(np.uint8)

    return np.concatenate(list(in_threads(sums_of, batches(np.arange(len(samples))))))
