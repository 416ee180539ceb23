"""What a code tells of the keys that the past has not told.

A code is made from past, current and next frames, so it may name a key for what was seen before it. Three predictors
with all labels, alike but for what they see, part the two: `past` sees the frames up to the current one, `past_code`
the code as well, `past_next` the next frame as well. Each is a logistic regression on features that nobody learned: of
the current frame a coarse grid, and of each pair of frames how well every displacement explains each third of the
picture, and how the grid changed. So "told" means told to such a reader, the same for all three.

Conventions: N transitions, D features; classes int64 [N], one dictionary entry a split; everything is fitted on train.
"""

from collections.abc import Mapping

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

SEARCHES = ((24, 0), (0, 8))  # px across and down; the yardstick is the same whatever the model looks for
BANDS = 3  # thirds of the picture: sky, wall, floor
GRID = (9, 16)  # rows and columns
CHANGES = 2 * GRID[0] * GRID[1]  # the last features of a pair: the grid's, after those of block matching
STRICTNESS = 0.003  # C of the regressions: hundreds of features that are alike


@torch.inference_mode()
def pair_features(frames: np.ndarray) -> np.ndarray:
    """What nobody learned of pairs of frames uint8 [N, 2, C, H, W]: float32 [N, D].

    The share of each displacement of SEARCHES in each of BANDS, and of each cell of GRID the mean change and the mean
    size of it.
    """
    first, second = (torch.from_numpy(np.ascontiguousarray(part)).float() / 255 for part in frames.swapaxes(0, 1))
    shares = [
        functional.adaptive_avg_pool2d(matched(BlockMatching(search)(first, second)), (BANDS, 1)) for search in SEARCHES
    ]
    change = (second - first).mean(dim=1, keepdim=True)
    grids = [functional.adaptive_avg_pool2d(each, GRID) for each in (change, change.abs())]
    return torch.cat([each.flatten(1) for each in (*shares, *grids)], dim=1).numpy()


def current_features(frames: np.ndarray) -> np.ndarray:
    """The mean of each cell of GRID of frames uint8 [N, C, H, W]: float32 [N, D]."""
    levels = torch.from_numpy(np.ascontiguousarray(frames)).float().mean(dim=1, keepdim=True) / 255
    return functional.adaptive_avg_pool2d(levels, GRID).flatten(1).numpy()


def next_features(transitions: Transitions) -> np.ndarray:
    """What `pair_features` says of current and next frame, float32 [N, D]."""
    return _of(pair_features, transitions, transitions.rows[:, -2:])


def past_features(transitions: Transitions) -> np.ndarray:
    """The same of every pair of frames up to the current one, and the current frame itself, float32 [N, D]."""
    rows = transitions.rows[:, :-1]
    # A past pair is that of many transitions: each is looked at once.
    pairs, place = np.unique(np.stack([rows[:, :-1], rows[:, 1:]], axis=2).reshape(-1, 2), axis=0, return_inverse=True)
    past = _of(pair_features, transitions, pairs)[place.reshape(len(rows), -1)]
    current = _of(current_features, transitions, rows[:, -1])
    return np.hstack([past.reshape(len(rows), -1), current])


def _of(features, transitions: Transitions, rows: np.ndarray) -> np.ndarray:
    return np.concatenate(list(in_threads(lambda part: features(transitions.bank.take(part)), batches(rows))))


def answers_seeing(
    transitions: Mapping[str, Transitions], codes: Mapping[str, np.ndarray], classes: Mapping[str, np.ndarray],
    count: int,
) -> dict[str, dict[str, np.ndarray]]:  # fmt: skip
    """What each of SEEN says of every transition of the splits beside train, int64 [N]; codes are out of `count`."""
    past = {split: past_features(found) for split, found in transitions.items()}
    further = {
        "past": lambda split: [],
        "past_code": lambda split: [one_hot(codes[split], count)],
        "past_next": lambda split: [next_features(transitions[split])],
    }
    answers = {}
    for name in SEEN:
        features = {split: np.hstack([own, *further[name](split)]) for split, own in past.items()}
        answers[name] = _fitted_answers(features, classes)
    return answers


def one_hot(codes: np.ndarray, count: int) -> np.ndarray:
    """Codes [N] or [N, n], each out of `count`, as columns of 0 and 1: float32 [N, n * count]."""
    columns = [occurrences(column, count) for column in codes.reshape(len(codes), -1).T]
    return np.hstack(columns).astype(np.float32)


def _fitted_answers(features: Mapping[str, np.ndarray], classes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=STRICTNESS, max_iter=300))
    regression.fit(features["train"], classes["train"])
    return {split: regression.predict(own) for split, own in features.items() if split != "train"}
