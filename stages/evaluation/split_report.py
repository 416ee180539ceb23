"""The report on one split: its scores, tables and figures, written into a folder.

The stage calls it once for val and once for test, so that both are judged in the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stages.episodes.store import EpisodeInfo
from stages.evaluation import tables
from stages.evaluation.baselines import PlayedSplit, Predictor, PressStatistics, baseline_predictors
from stages.evaluation.blind import RowsOf
from stages.evaluation.figures import policy_figures, style
from stages.evaluation.intervals import finite
from stages.evaluation.scorecard import Scorecard, ScoreSettings, score_split
from stages.learning.checkpoints import write_json
from stages.models.acting import Acting, sigmoid

TIMELINE_S = 20.0
NOT_SHOWN = ("model_at_half", "blind_frames", "blind_exact")  # among onsets
PANELS = {"frame F1": "f1", "onset F1": "onset_f1", "onset F1, on time": "onset_f1_on_time", "average precision": "ap"}


@dataclass(frozen=True)
class PredictedSplit:
    """A split with the policy's logits float64 [N, A] or [N, K] (see Acting), and how they become keys, beside what
    the player did."""

    name: str
    episodes: Sequence[EpisodeInfo]
    played: PlayedSplit
    logits: np.ndarray
    acting: Acting

    @property
    def probabilities(self) -> np.ndarray:
        """float64 [N, A]"""
        return sigmoid(self.acting.of_keys(self.logits))

    @property
    def pressed(self) -> np.ndarray:
        """bool [N, A]: the keys held where the tuned threshold is reached."""
        return self.acting.by("threshold").keys(self.logits)


def train_scores(train: PredictedSplit, settings: ScoreSettings) -> dict[str, float | None]:
    """train_frame_f1 and train_ap: how much better the model is on what it has learned from."""
    card = score_split(train.played, model_predictors(train)[:1], replace(settings, resamples=1))
    return {f"train_{metric}": finite(card.value("model", metric).value) for metric in ("frame_f1", "ap")}


def model_predictors(split: PredictedSplit) -> tuple[Predictor, Predictor]:
    """The model at its tuned thresholds and at one half."""
    p = split.probabilities

    def predictor(name: str, pressed: np.ndarray) -> Predictor:
        return Predictor(name, pressed[None], p, playable=True, baseline=False)

    return predictor("model", split.pressed), predictor("model_at_half", p >= 0.5)


def evaluate_split(
    split: PredictedSplit,
    known: PressStatistics,
    policies: Mapping[str, RowsOf],
    settings: ScoreSettings,
    directory: Path,
    prefix: str,
    further: Mapping[str, float | None],
) -> dict[str, float | None]:
    """Score a split against the baselines and write its tables and figures into the directory.

    `known` and `policies` are what the blind know from training: shares and holds, and who of them is chosen there.
    Returns what stands in metrics.json: names begin with `prefix`, `further` metrics follow at the end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    played = split.played
    models = model_predictors(split)
    baselines = baseline_predictors(known, policies, played.truth, played.episode, seed=settings.seed)
    card = score_split(played, models + baselines, settings)
    flat = tables.headline_metrics(card, prefix) | dict(further)
    write_json(directory / "metrics.json", flat)
    tables.write_scores(directory / "actions.csv", card)
    tables.write_predictions(directory / "predictions.csv", split.episodes, played, split.probabilities, split.pressed)
    tables.write_confusion(directory / "confusion.csv", played.actions, played.truth, models[0].pressed[0])
    draw(split, card, directory)
    return flat


def draw(split: PredictedSplit, card: Scorecard, directory: Path) -> None:
    """Write the four figures of a split."""
    actions, names = card.actions, [predictor.name for predictor in card.predictors]
    words = [name.replace("_", " ") for name in names]
    panels = {title: np.array([card.by_action[name][metric][0] for name in names]) for title, metric in PANELS.items()}
    rows = [w if p.playable else f"{w}*" for w, p in zip(words, card.predictors, strict=True)]
    title = f"Scores on {split.name} (* needs the player's own keys, cannot play)"
    style.save(policy_figures.score_heatmap(panels, rows, actions, title=title), directory / "metrics_heatmap.png")
    title = f"Key states on {split.name}: share and number of frames"
    confusions = policy_figures.action_confusions(card.confusion["model"], actions, title=title)
    style.save(confusions, directory / "confusion.png")
    shown = [i for i, name in enumerate(names) if name not in NOT_SHOWN]
    figure = policy_figures.score_bars(
        np.array([[card.value(names[i], "onset_f1", action) for action in actions] for i in shown]),
        [words[i] for i in shown],
        [card.predictors[i].playable for i in shown],
        actions,
        title=f"Onset F1 on {split.name} with 95 % intervals over episodes",
        label="onset F1",
    )
    style.save(figure, directory / "onset_f1.png")
    style.save(timeline(split), directory / "timeline.png")


def timeline(split: PredictedSplit) -> Figure:
    """The stretch in which the player did most, player against model."""
    played = split.played
    part = policy_figures.eventful_stretch(played.truth, played.times, played.episode, seconds=TIMELINE_S)
    number = int(played.episode[part.start])
    episode, begin = split.episodes[number], played.times[np.searchsorted(played.episode, number)]
    return policy_figures.key_timeline(
        played.times[part] - begin,
        played.truth[part],
        split.pressed[part],
        split.probabilities[part],
        split.acting.thresholds,
        played.actions,
        title=f"Player against model, {split.name}: {episode.session}, episode {episode.episode}",
    )
