"""Everything that is said about one split: every predictor, metric and action, with intervals.

Each predictor is reduced to counts an episode. The counts are summed over all episodes (row 0) and over
the episodes of every bootstrap draw (rows 1..R), and all scores are computed from the [1 + R, ...]
sums at once. All predictors share the draws, so `onset_skill` is a paired difference; the best
baseline is looked for anew in every draw.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluation import metrics
from stages.evaluation.baselines import PlayedSplit, Predictor
from stages.evaluation.intervals import Interval, interval_of, resample_weights
from stages.evaluation.onsets import onset_counts

ALL = "all"  # stands in an action's place for metrics over all actions
PLAIN = ("support", "short_support", "long_support", "onsets", "predicted_onsets", "frames", "episodes")  # no interval


@dataclass(frozen=True)
class ScoreSettings:
    """How is scored; composite maps actions to weights, holds below `short_hold_s` are short."""

    tolerance_s: float
    min_onsets: int
    composite: dict[str, float]
    short_hold_s: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class Scorecard:
    """Scores of all predictors; row 0 of each array is the measured value, the others are draws."""

    actions: tuple[str, ...]
    predictors: tuple[Predictor, ...]
    episodes: int
    by_action: dict[str, dict[str, np.ndarray]]  # predictor -> metric -> [1 + R, A]
    overall: dict[str, dict[str, np.ndarray]]  # predictor -> metric -> [1 + R]
    confusion: dict[str, np.ndarray]  # predictor -> frames [A, 2, 2], true state by predicted state

    def value(self, predictor: str, metric: str, action: str = ALL) -> Interval:
        """The metric with its interval; KeyError for an unknown predictor or metric."""
        if action == ALL:
            column = self.overall[predictor][metric]
        else:
            column = self.by_action[predictor][metric][:, self.actions.index(action)]
        draws = column[:0] if metric in PLAIN else column[1:]
        return interval_of(column[0], draws, episodes=self.episodes)

    def rows(self) -> Iterator[tuple[Predictor, str, str, Interval]]:
        """(predictor, action, metric, interval) of everything, overall first."""
        for predictor in self.predictors:
            for metric in self.overall[predictor.name]:
                yield predictor, ALL, metric, self.value(predictor.name, metric)
            for action in self.actions:
                for metric in self.by_action[predictor.name]:
                    yield predictor, action, metric, self.value(predictor.name, metric, action)


def score_split(played: PlayedSplit, predictors: Sequence[Predictor], settings: ScoreSettings) -> Scorecard:
    """The scorecard of predictors on one split; those that are no baselines are also given an onset_skill."""
    drawn = resample_weights(played.episodes, resamples=settings.resamples, seed=settings.seed)
    weights = np.vstack([np.ones((1, played.episodes)), drawn])
    counts = {predictor.name: _counts(played, predictor, settings) for predictor in predictors}
    sums = {
        name: {key: np.tensordot(weights, value, axes=1) for key, value in of.items()} for name, of in counts.items()
    }
    by_action = {name: action_scores(of) for name, of in sums.items()}
    for name, column in _average_precisions(played, predictors, weights).items():
        by_action[name]["ap"] = column
    _add_onset_skill(by_action, predictors)
    overall = {name: overall_scores(sums[name], by_action[name], played.actions, settings) for name in sums}
    confusion = {name: _confusion(of) for name, of in sums.items()}
    return Scorecard(played.actions, tuple(predictors), played.episodes, by_action, overall, confusion)


def _counts(played: PlayedSplit, predictor: Predictor, settings: ScoreSettings) -> dict[str, np.ndarray]:
    """Counts an episode, [F, A] or [F], averaged over the predictor's draws."""
    short = metrics.hold_lengths(played.truth, played.episode) * played.frame_s < settings.short_hold_s
    draws = []
    for pressed in predictor.pressed:
        frames = metrics.frame_counts(played.truth, pressed, played.episode, short=short)
        onsets = onset_counts(played.truth, pressed, played.times, played.episode, tolerance_s=settings.tolerance_s)
        agree = (played.truth == pressed).all(axis=1)
        whole = {
            "exact": metrics.per_episode(agree, played.episode),
            "frames": metrics.per_episode(np.ones(len(agree), dtype=bool), played.episode),
            "true_idle": metrics.per_episode(~played.truth.any(axis=1), played.episode),
            "predicted_idle": metrics.per_episode(~pressed.any(axis=1), played.episode),
            "episodes": np.ones(played.episodes),
        }
        draws.append({**frames, **onsets, **whole})
    return {name: np.mean([draw[name] for draw in draws], axis=0) for name in draws[0]}


def action_scores(counts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores [..., A] of summed counts [..., A]."""
    tp, fp, fn, tn = (counts[name] for name in ("tp", "fp", "fn", "tn"))
    frames = tp + fp + fn + tn
    onsets, predicted = counts["onsets"], counts["predicted_onsets"]
    scores = {
        "support": tp + fn,
        "share_true": metrics.ratio(tp + fn, frames),
        "share_predicted": metrics.ratio(tp + fp, frames),
        "precision": metrics.ratio(tp, tp + fp),
        "recall": metrics.ratio(tp, tp + fn),
        "f1": metrics.f1(tp, tp + fp, tp + fn),
        "ap": None,  # filled in by score_split; here for its place in the table
        "accuracy": metrics.ratio(tp + tn, frames),
        "never_press_accuracy": metrics.ratio(fp + tn, frames),
    }
    for kind in ("short", "long"):
        hits, misses = counts[f"{kind}_tp"], counts[f"{kind}_fn"]
        scores[f"{kind}_support"] = hits + misses
        scores[f"{kind}_recall"] = metrics.ratio(hits, hits + misses)
        scores[f"{kind}_f1"] = metrics.f1(hits, hits + _alarms_of(kind, counts), hits + misses)
    return scores | {
        "onsets": onsets,
        "predicted_onsets": predicted,
        "onset_precision": metrics.ratio(counts["matched"], predicted),
        "onset_recall": metrics.ratio(counts["matched"], onsets),
        "onset_f1": metrics.f1(counts["matched"], predicted, onsets),
        "onset_f1_on_time": metrics.f1(counts["matched_on_time"], predicted, onsets),
    }


def _alarms_of(kind: str, counts: dict[str, np.ndarray]) -> np.ndarray:
    """The false alarms [..., A] that short or long holds bear: their part of the true frames."""
    true, of_kind = counts["tp"] + counts["fn"], counts[f"{kind}_tp"] + counts[f"{kind}_fn"]
    return counts["fp"] * np.divide(of_kind, true, out=np.zeros_like(true), where=true > 0)


def overall_scores(
    counts: dict[str, np.ndarray], scores: dict[str, np.ndarray], actions: Sequence[str], settings: ScoreSettings
) -> dict[str, np.ndarray]:
    """Scores [1 + R] over all actions. Onset means take only actions with at least min_onsets onsets."""
    enough = (scores["onsets"][0] >= settings.min_onsets).astype(float)
    weights = np.array([settings.composite.get(action, 0.0) for action in actions])
    overall = {
        "frames": counts["frames"],
        "episodes": counts["episodes"],
        "onset_f1": metrics.nanmean(scores["onset_f1"], enough),
        "onset_f1_on_time": metrics.nanmean(scores["onset_f1_on_time"], enough),
    }
    for name in ("onset_skill", "onset_f1_baseline"):
        if name in scores:
            overall[name] = metrics.nanmean(scores[name], enough)
    overall |= {
        "composite_f1": metrics.composite(scores["f1"], weights),
        "frame_f1": metrics.nanmean(scores["f1"]),
        "ap": metrics.nanmean(scores["ap"]),
        "exact_match": metrics.ratio(counts["exact"], counts["frames"]),
    }
    for kind in ("short", "long"):  # pooled over actions: single ones have too few short holds
        parts = (counts[f"{kind}_tp"], _alarms_of(kind, counts), counts[f"{kind}_fn"])
        hits, alarms, misses = (part.sum(axis=-1) for part in parts)
        overall[f"{kind}_f1"] = metrics.f1(hits, hits + alarms, hits + misses)
    true = np.concatenate([counts["tp"] + counts["fn"], counts["true_idle"][:, None]], axis=1)
    predicted = np.concatenate([counts["tp"] + counts["fp"], counts["predicted_idle"][:, None]], axis=1)
    distances = metrics.distribution_distance(true, predicted)
    return overall | {f"distribution_{name}": distance for name, distance in distances.items()}


def _average_precisions(
    played: PlayedSplit, predictors: Sequence[Predictor], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Average precision [1 + R, A] a predictor; predictors that share a score array share the work."""
    known: dict[int, np.ndarray] = {}
    for predictor in predictors:
        if id(predictor.score) not in known:
            columns = [
                metrics.average_precision(played.truth[:, i], predictor.score[:, i], weights, played.episode)
                for i in range(len(played.actions))
            ]
            known[id(predictor.score)] = np.stack(columns, axis=1)
    return {predictor.name: known[id(predictor.score)] for predictor in predictors}


def _add_onset_skill(by_action: dict[str, dict[str, np.ndarray]], predictors: Sequence[Predictor]) -> None:
    blind = [by_action[p.name]["onset_f1"] for p in predictors if p.baseline and p.playable]
    if not blind:
        return
    best = np.maximum.reduce(blind)
    for predictor in predictors:
        if not predictor.baseline:
            scores = by_action[predictor.name]
            scores["onset_f1_baseline"] = best
            scores["onset_skill"] = scores["onset_f1"] - best


def _confusion(sums: dict[str, np.ndarray]) -> np.ndarray:
    """Frames [A, 2, 2] over the whole split: [action, true state, predicted state]."""
    tn, fp, fn, tp = (sums[name][0] for name in ("tn", "fp", "fn", "tp"))
    return np.stack([np.stack([tn, fp], axis=-1), np.stack([fn, tp], axis=-1)], axis=-2)
