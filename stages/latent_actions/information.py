"""What a code tells of the keys that the past has not told.

A code is made from past, current and next frames, so it may name a key for what was seen before it. Three predictors
with all labels, alike but for what they see, part the two: `past` sees the frames up to the current one, `past_code`
the code as well, `past_next` the next frame as well. Each is a logistic regression, on features that nobody learned:
of each pair of frames how well every displacement explains each third of the picture, and how a coarse grid changed.

Conventions: N transitions, D features; classes int64 [N], one dictionary entry a split; everything is fitted on train.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from stages.latent_actions.measures import SEEN, occurrences
from stages.latent_actions.transitions import Transitions, batches
from stages.learning.fast.threads import in_threads
from stages.models.block_matching import BlockMatching, matched

BANDS = 3  # thirds of the picture: sky, wall, floor
GRID = (9, 16)  # rows and columns
CHANGES = 2 * GRID[0] * GRID[1]  # the last features of a pair: the grid's, after those of block matching
STRICTNESS = 0.003  # C of the regressions: hundreds of features that are alike


@torch.inference_mode()
def pair_features(frames: np.ndarray, search_px: Sequence[int]) -> np.ndarray:
    """What nobody learned of pairs of frames uint8 [N, 2, C, H, W]: float32 [N, D].

    The share of each displacement of up to `search_px` (across, down) in each of BANDS, and of each cell of GRID the
    mean change and the mean size of it.
    """
    first, second = (torch.from_numpy(np.ascontiguousarray(part)).float() / 255 for part in frames.swapaxes(0, 1))
    shares = functional.adaptive_avg_pool2d(matched(BlockMatching(search_px)(first, second)), (BANDS, 1))
    change = (second - first).mean(dim=1, keepdim=True)
    grids = [functional.adaptive_avg_pool2d(each, GRID) for each in (change, change.abs())]
    return torch.cat([each.flatten(1) for each in (shares, *grids)], dim=1).numpy()


def unlearned_features(transitions: Transitions, search_px: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of every pair of a transition's frames, what `pair_features` says: the past pairs float32 [N, P * D], and the
    pair of current and next frame [N, D]."""
    rows = transitions.rows
    gap = rows[0, 1] - rows[0, 0]
    starts, place = np.unique(rows[:, :-1], return_inverse=True)
    pairs = np.stack([starts, starts + gap], axis=1)
    found = in_threads(lambda part: pair_features(transitions.bank.take(part), search_px), batches(pairs))
    features = np.concatenate(list(found))[place.reshape(rows[:, :-1].shape)]
    return features[:, :-1].reshape(len(rows), -1), features[:, -1]


def answers_seeing(
    transitions: Mapping[str, Transitions], codes: Mapping[str, np.ndarray], classes: Mapping[str, np.ndarray],
    count: int, search_px: Sequence[int],
) -> dict[str, dict[str, np.ndarray]]:  # fmt: skip
    """What each of SEEN says of every transition of the splits beside train, int64 [N]; codes are out of `count`."""
    seen: dict[str, dict[str, np.ndarray]] = {name: {} for name in SEEN}
    for split, found in transitions.items():
        past, following = unlearned_features(found, search_px)
        seen["past"][split] = past
        seen["past_code"][split] = np.hstack([past, one_hot(codes[split], count)])
        seen["past_next"][split] = np.hstack([past, following])
    return {name: _fitted_answers(features, classes) for name, features in seen.items()}


def one_hot(codes: np.ndarray, count: int) -> np.ndarray:
    """Codes [N] or [N, n], each out of `count`, as columns of 0 and 1: float32 [N, n * count]."""
    columns = [occurrences(column, count) for column in codes.reshape(len(codes), -1).T]
    return np.hstack(columns).astype(np.float32)


def _fitted_answers(features: Mapping[str, np.ndarray], classes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=STRICTNESS, max_iter=300))
    regression.fit(features["train"], classes["train"])
    return {split: regression.predict(own) for split, own in features.items() if split != "train"}
