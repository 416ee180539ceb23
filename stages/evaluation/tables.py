"""The files that evaluate writes, apart from figures: metrics.json and tables as CSV.

actions.csv      predictor, playable, action ("all" = over actions), metric, value, low, high; empty = undefined
predictions.csv  a row a frame in store order: what the player did and the model's probabilities
confusion.csv    actual, predicted: key combinations as words, a row a frame, for DVC's confusion template
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from stages.episodes.store import EpisodeInfo
from stages.evaluation.baselines import PlayedSplit
from stages.evaluation.intervals import finite
from stages.evaluation.scorecard import Scorecard

NOTHING, OTHER = "nothing", "other"
COMBINATIONS = 12  # more would not be readable in a matrix
CONFUSION_ROWS = 40_000  # stays below 2 MB

OVERALL = ("onset_f1", "onset_f1_on_time", "onset_skill", "composite_f1", "frame_f1", "ap", "exact_match")
FURTHER = ("onset_f1_baseline", "short_f1", "long_f1", "distribution_l1", "distribution_l2", "distribution_kl")
BEATEN = ("composite_f1", "frame_f1", "ap", "exact_match")  # told beside those of baselines
BY_ACTION = ("onset_f1", "onset_f1_on_time", "onset_skill", "f1", "ap")


def headline_metrics(card: Scorecard, prefix: str) -> dict[str, float | None]:
    """The model's flat metrics, most important first: <prefix><metric>[_<ACTION>][_low|_high]; None = undefined."""
    flat: dict[str, float | None] = {}
    for metric in OVERALL + FURTHER:
        flat |= card.value("model", metric).as_metrics(prefix + metric)
    playable = [each.name for each in card.predictors if each.baseline and each.playable]
    for metric in BEATEN:
        best = max((card.value(name, metric).value for name in playable), default=math.nan)
        flat[f"{prefix}{metric}_baseline"] = finite(best)
        flat[f"{prefix}{metric}_repeat"] = finite(card.value("repeat_last", metric).value)
    flat[f"{prefix}frame_f1_at_half"] = finite(card.value("model_at_half", "frame_f1").value)
    for metric in BY_ACTION:
        for action in card.actions:
            flat |= card.value("model", metric, action).as_metrics(f"{prefix}{metric}_{action}")
    for action in card.actions:
        flat[f"{prefix}onsets_{action}"] = finite(card.value("model", "onsets", action).value)
    for metric in ("frames", "episodes"):
        flat[prefix + metric] = finite(card.value("model", metric).value)
    return flat


def write_scores(path: Path, card: Scorecard) -> None:
    """actions.csv, everything in the scorecard."""
    rows = (
        [predictor.name, str(predictor.playable).lower(), action, metric, *map(_number, interval)]
        for predictor, action, metric, interval in card.rows()
    )
    _write(path, ["predictor", "playable", "action", "metric", "value", "low", "high"], rows)


def write_predictions(
    path: Path, episodes: Sequence[EpisodeInfo], played: PlayedSplit, probabilities: np.ndarray, pressed: np.ndarray
) -> None:
    """predictions.csv of a split; probabilities and pressed (0/1) [N, A]."""
    header = ["session", "episode", "frame", "t"]
    header += [f"{action}_{column}" for action in played.actions for column in ("true", "p", "pressed")]
    frames = [(each.session, each.episode, frame) for each in episodes for frame in range(each.length)]
    held = (played.truth.astype(int).tolist(), probabilities.tolist(), pressed.astype(int).tolist())
    lines = (
        [*frame, f"{t:.6f}", *chain.from_iterable((on, f"{p:.5f}", down) for on, p, down in zip(*keys, strict=True))]
        for frame, t, *keys in zip(frames, played.times.tolist(), *held, strict=True)
    )
    _write(path, header, lines)


def write_confusion(path: Path, actions: Sequence[str], truth: np.ndarray, pressed: np.ndarray) -> None:
    """confusion.csv; combinations beyond the most common ones are "other", long splits are thinned out evenly."""
    step = -(-len(truth) // CONFUSION_ROWS)
    true, predicted = combinations(actions, truth[::step]), combinations(actions, pressed[::step])
    kept = {name for name, _ in Counter(true).most_common(COMBINATIONS)}
    pairs = ([a if a in kept else OTHER, b if b in kept else OTHER] for a, b in zip(true, predicted, strict=True))
    _write(path, ["actual", "predicted"], pairs)


def combinations(actions: Sequence[str], held: np.ndarray) -> list[str]:
    """The keys held in each frame in words, for example "LEFT+SHOOT"; held 0/1 [N, A]."""
    codes, inverse = np.unique(np.asarray(held, dtype=bool), axis=0, return_inverse=True)
    words = ["+".join(a for a, on in zip(actions, code, strict=True) if on) or NOTHING for code in codes]
    return [words[i] for i in inverse.reshape(-1)]


def _number(value: float) -> str:
    return "" if finite(value) is None else f"{value:.6g}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
