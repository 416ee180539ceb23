"""Do small things survive in a latent? Linear probes from a frame's features to what the game knows.

Two questions about the objects of one prefix (state columns `<prefix>_in_view`, `<prefix>_x_px`):
is one in view (logistic regression, scored by average precision), and where (ridge regression of
x on the frames that have one in view, scored by the error in px of the recorded video). A probe is
fitted on train, its regularisation chosen on episodes of train that are held back, and scored on
other splits; the same probe from the shrunken raw frame and a constant stand beside it.
Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import minimize

from stages.evaluation.intervals import UNDEFINED, Interval, interval_of, resample_weights, sums_interval
from stages.evaluation.metrics import average_precision, mean_of_sums, per_episode

RAW_PIXELS = 48 * 27  # a raw frame is shrunk to about so many pixels
MOST_FRAMES = 8192  # a probe is fitted on at most so many frames ...
MOST_VALUES = 2**24  # ... and on at most so many numbers: fewer frames when each has many features
HELD_SHARE = 0.2  # of train's episodes, to choose the regularisation by
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the squared weights, beside the mean loss a frame
SPREAD_FLOOR = 0.05  # of the largest spread: a feature that hardly varies is not blown up to noise


@dataclass(frozen=True)
class LinearProbe:
    """features [N, D] -> standardised features @ weights + bias."""

    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    bias: float
    penalty: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """features [N, D] -> log odds or px, float64 [N]."""
        return ((features - self.mean) / self.spread).astype(np.float64) @ self.weights + self.bias


@dataclass(frozen=True)
class ObjectProbe:
    """Both probes; None where the frames do not hold what is needed (an object in some, none in others)."""

    detector: LinearProbe | None
    locator: LinearProbe | None


def probe_columns(prefix: str) -> tuple[str, str]:
    """The state columns that a probe of this prefix reads."""
    return f"{prefix}_in_view", f"{prefix}_x_px"


def object_state(state: np.ndarray, columns: Sequence[str], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """State [N, S] with named columns -> in_view (0, 1, NaN unknown) and x_px (NaN: none), float64 [N] each."""
    in_view, x_px = (state[:, list(columns).index(name)].astype(np.float64) for name in probe_columns(prefix))
    return in_view, np.where(in_view > 0, x_px, math.nan)


def raw_features(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 [N, C, H, W] -> float32 [N, C * h * w] in 0..1, shrunk (AREA) to about RAW_PIXELS pixels."""
    size = _shrunken(*frames.shape[2:])
    planes = frames.reshape(-1, *frames.shape[2:])
    small = np.array([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes], np.float32)
    return small.reshape(len(frames), raw_size(frames.shape[1:])) / 255


def raw_size(shape: Sequence[int]) -> int:
    """How many features `raw_features` makes of a frame [C, H, W]."""
    return shape[0] * math.prod(_shrunken(*shape[1:]))


def _shrunken(height: int, width: int) -> tuple[int, int]:
    """Width and height as cv2 wants them."""
    shrink = min(1.0, math.sqrt(RAW_PIXELS / (height * width)))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def probe_rows(frames: int, features: int) -> np.ndarray:
    """The frames that a probe of so many features is fitted on, evenly spread: int64 [M]."""
    most = max(1, min(MOST_FRAMES, MOST_VALUES // features))
    return np.arange(frames) if frames <= most else np.arange(most) * frames // most


def fit_object_probe(
    features: np.ndarray, in_view: np.ndarray, x_px: np.ndarray, episode: np.ndarray, *, seed: int
) -> ObjectProbe:
    """Detector and locator fitted on features float32 [N, D]; episodes held back by `seed` choose the penalties.

    in_view, x_px float [N] as `object_state` gives them; episode int [N].
    """
    known, placed = np.isfinite(in_view), np.isfinite(x_px)
    seen = in_view[known] > 0
    detector = locator = None
    if seen.any() and not seen.all():
        detector = _fit(features[known], seen.astype(np.float64), episode[known], _logistic, _log_loss, seed)
    if placed.sum() > 1:
        locator = _fit(features[placed], x_px[placed], episode[placed], _ridge, _absolute_error, seed)
    return ObjectProbe(detector, locator)


def detection_ap(in_view: np.ndarray, score: np.ndarray, episode: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """Average precision of "is one in view" from scores [N]; undefined where no frame holds one.

    episode int64 [N] ascends from 0 without gaps; the interval is from a bootstrap over episodes.
    """
    known = np.isfinite(in_view)
    truth = in_view[known] > 0
    if not truth.any():
        return UNDEFINED
    episodes = int(episode[-1]) + 1
    weights = resample_weights(episodes, resamples=resamples, seed=seed)
    draws = average_precision(truth, score[known], weights, episode[known])
    return interval_of(float(average_precision(truth, score[known])), draws, episodes=episodes)


def location_error_px(
    x_px: np.ndarray, predicted: np.ndarray, episode: np.ndarray, *, resamples: int, seed: int
) -> Interval:
    """Mean |predicted - x| in px [N] where one is in view; undefined where none ever is. episode as above."""
    placed = np.isfinite(x_px)
    error = np.where(placed, np.abs(predicted - x_px), 0.0)
    counts = per_episode(np.stack([error, placed], axis=1), episode)
    return sums_interval(mean_of_sums, counts, resamples=resamples, seed=seed)


def held_back(episode: np.ndarray, *, seed: int) -> np.ndarray:
    """Frames of the episodes held back, bool [N]: HELD_SHARE of the episodes; of a single episode its last frames."""
    episodes = np.unique(episode)
    if len(episodes) == 1:
        return np.arange(len(episode)) >= round(len(episode) * (1 - HELD_SHARE))
    drawn = np.random.default_rng(seed).permutation(episodes)[: max(1, round(HELD_SHARE * len(episodes)))]
    return np.isin(episode, drawn)


Solutions = list[tuple[np.ndarray, float]]  # weights [D] and bias for every penalty
Solver = Callable[[np.ndarray, np.ndarray, Sequence[float]], Solutions]


def _fit(
    features: np.ndarray,
    target: np.ndarray,
    episode: np.ndarray,
    solve: Solver,
    badness: Callable[[np.ndarray, np.ndarray], float],
    seed: int,
) -> LinearProbe:
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.maximum(spread, max(SPREAD_FLOOR * float(spread.max()), 1e-6))
    features = (features - mean) / spread
    held = held_back(episode, seed=seed)
    penalty = PENALTIES[-1]
    if held.any() and not held.all() and np.ptp(target[~held]) > 0:
        tried = solve(features[~held], target[~held], PENALTIES)
        penalty = PENALTIES[int(np.argmin([badness(features[held] @ w + b, target[held]) for w, b in tried]))]
    weights, bias = solve(features, target, [penalty])[0]
    return LinearProbe(mean, spread, weights, bias, penalty)


def _ridge(features: np.ndarray, target: np.ndarray, penalties: Sequence[float]) -> Solutions:
    """Minimises mean squared error + penalty |w|^2 for every penalty, by one eigendecomposition.

    Of the features' covariance, or of the frames' Gram matrix where there are fewer frames than features.
    """
    center, bias = features.mean(axis=0), float(target.mean())
    features, rest = features - center, ((target - bias) / len(target)).astype(features.dtype)
    if len(features) >= features.shape[1]:
        values, vectors = np.linalg.eigh((features.T @ features).astype(np.float64) / len(features))
        back, along = vectors, vectors.T @ (features.T @ rest)
    else:
        values, vectors = np.linalg.eigh((features @ features.T).astype(np.float64) / len(features))
        back, along = features.T @ vectors, vectors.T @ rest
    solved = [back @ (along / (np.maximum(values, 0) + penalty)) for penalty in penalties]
    return [(weights, bias - float(center @ weights)) for weights in solved]


def _logistic(features: np.ndarray, target: np.ndarray, penalties: Sequence[float]) -> Solutions:
    """Minimises mean log loss + penalty / 2 |w|^2, each from the solution of the next stronger penalty."""
    sign = (2 * target - 1).astype(features.dtype)
    solution = np.zeros(features.shape[1] + 1)
    solved = {}
    for penalty in sorted(penalties, reverse=True):
        solution = minimize(
            _logistic_loss, solution, (features, sign, penalty),
            jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-6},
        ).x  # fmt: skip
        solved[penalty] = (solution[:-1], float(solution[-1]))
    return [solved[penalty] for penalty in penalties]


def _logistic_loss(
    solution: np.ndarray, features: np.ndarray, sign: np.ndarray, penalty: float
) -> tuple[float, np.ndarray]:
    """Loss and gradient; sums over frames in the features' precision, everything else in float64."""
    weights, bias = solution[:-1], solution[-1]
    margin = sign * (features @ weights.astype(features.dtype) + bias)
    pull = -sign * np.exp(-np.logaddexp(0, margin)) / len(sign)
    slope = features.T @ pull.astype(features.dtype) + penalty * weights
    loss = float(np.logaddexp(0, -margin).mean()) + penalty / 2 * float(weights @ weights)
    return loss, np.append(slope, pull.sum()).astype(np.float64)


def _log_loss(score: np.ndarray, target: np.ndarray) -> float:
    return float(np.logaddexp(0, -(2 * target - 1) * score).mean())


def _absolute_error(score: np.ndarray, target: np.ndarray) -> float:
    return float(np.abs(score - target).mean())
