"""How near reconstructions are to their originals: PSNR and SSIM, over all pixels and over moving ones.

Conventions: images are uint8 [N, C, H, W] in grey levels 0..255. A static picture scores well on the
whole image, so everything is also measured on moving pixels alone. Scores are pooled: errors are
summed over pixels and frames before the logarithm is taken (a mean of per-frame PSNRs would be
infinite with one perfect frame, and undefined for frames in which nothing moves).

SSIM: Wang et al. 2004, with the 7x7 uniform window, the sample covariance (divided by n - 1) and the
constants K1 .01 and K2 .03 of scikit-image, whose `structural_similarity` this equals.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from stages.evaluation.intervals import Interval, sums_interval
from stages.evaluation.metrics import mean_of_sums

WHITE = 255.0
WINDOW = 7  # pixels on a side of SSIM's window
BORDER = WINDOW // 2
SCORES = {  # and the sums that each is made of: (values, pixels)
    "psnr_db": ("error", "pixels"),
    "moving_psnr_db": ("moving_error", "moving_pixels"),
    "ssim": ("ssim", "ssim_pixels"),
    "moving_ssim": ("moving_ssim", "moving_ssim_pixels"),
}


def moving_pixels(images: np.ndarray, previous: np.ndarray, threshold: float) -> np.ndarray:
    """Pixels that differ from the frame before by at least `threshold` grey levels in some channel.

    Two uint8 [N, C, H, W] -> bool [N, H, W].
    """
    _check(images, previous)
    change = np.maximum(images, previous) - np.minimum(images, previous)  # cannot wrap round
    return (change >= threshold).any(axis=1)


def squared_error(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared difference in grey levels, mean over channels: two uint8 [N, C, H, W] -> float32 [N, H, W]."""
    _check(images, others)
    return np.square(images.astype(np.float32) - others).mean(axis=1)


def psnr_db(mean_squared_error: np.ndarray) -> np.ndarray:
    """10 log10(255^2 / MSE) in dB; infinite for an MSE of 0, NaN for NaN."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(WHITE**2 / np.asarray(mean_squared_error, dtype=np.float64))


def ssim_map(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """SSIM of the window around each pixel, mean over channels: uint8 [N, C, H, W] -> float32 [N, H-6, W-6].

    Only pixels whose window lies inside the image, as scikit-image averages them. ValueError when the
    images are smaller than the window.
    """
    _check(images, others)
    if min(images.shape[2:]) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, found {list(images.shape)}")
    x, y = images.astype(np.float32), others.astype(np.float32)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (_window_mean(part) for part in (x, y, x * x, y * y, x * y))
    to_sample = WINDOW**2 / (WINDOW**2 - 1)
    var_x, var_y = to_sample * (mean_xx - mean_x**2), to_sample * (mean_yy - mean_y**2)
    covariance = to_sample * (mean_xy - mean_x * mean_y)
    c1, c2 = (0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean(axis=1)


def _window_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the window around each pixel, float32 [N, C, H, W] -> [N, C, H-6, W-6]."""
    means = np.empty_like(values)
    for plane, mean in zip(values.reshape(-1, *values.shape[2:]), means.reshape(-1, *values.shape[2:]), strict=True):
        cv2.blur(plane, (WINDOW, WINDOW), dst=mean)
    return means[..., BORDER:-BORDER, BORDER:-BORDER]


def image_sums(images: np.ndarray, others: np.ndarray, moving: np.ndarray) -> dict[str, np.ndarray]:
    """What the scores are made of, summed over each frame: names of the parts of `SCORES` -> float64 [N].

    images, others uint8 [N, C, H, W]; moving bool [N, H, W].
    """
    error, likeness = squared_error(images, others), ssim_map(images, others)
    inside = moving[:, BORDER:-BORDER, BORDER:-BORDER]
    maps = {
        "error": error,
        "pixels": np.ones_like(error),
        "moving_error": error * moving,
        "moving_pixels": moving,
        "ssim": likeness,
        "ssim_pixels": np.ones_like(likeness),
        "moving_ssim": likeness * inside,
        "moving_ssim_pixels": inside,
    }
    return {name: values.sum(axis=(1, 2), dtype=np.float64) for name, values in maps.items()}


def image_scores(sums: Mapping[str, np.ndarray], *, resamples: int, seed: int) -> dict[str, Interval]:
    """SCORES with intervals from a bootstrap over episodes; sums as `image_sums` has them, per episode [F]."""
    return {
        name: sums_interval(
            (lambda sums: psnr_db(mean_of_sums(sums))) if name.endswith("psnr_db") else mean_of_sums,
            np.stack([sums[part] for part in parts], axis=1),
            resamples=resamples,
            seed=seed,
        )
        for name, parts in SCORES.items()
    }


def _check(images: np.ndarray, others: np.ndarray) -> None:
    for name, array in (("images", images), ("others", others)):
        if array.dtype != np.uint8 or array.ndim != 4:
            raise ValueError(f"{name} must be uint8 [N, C, H, W], found {array.dtype} {list(array.shape)}")
    if images.shape != others.shape:
        raise ValueError(f"images to compare must have one shape, found {list(images.shape)} and {list(others.shape)}")
