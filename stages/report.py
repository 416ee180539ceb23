"""report: everything a person wants to see, on one page that opens offline, and the metrics of all stages in one file.

reports/index.html, reports/overlay.mp4 (a test episode with the keys of player and model), reports/metrics.json
(validation) and reports/test/metrics.json.
"""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from stages.episodes.preprocess import preprocess
from stages.episodes.store import EpisodeStore, picture_of
from stages.evaluation.figures.policy_figures import eventful_stretch
from stages.evaluation.overlay import overlay_frames, write_video
from stages.evaluation.predictions import Predictions, parse_predictions
from stages.learning.checkpoints import write_json
from stages.pages import chapters, page, score_tables
from stages.pages.glossary import HEADLINE, TEST_FIRST, beside, headline_first, headline_rows, test_name, with_interval
from stages.pages.latent_action_chapter import latent_action_chapter
from stages.pages.targets import targets, weaknesses
from stages.params import read_params
from stages.paths import EPISODES, METRICS, PAGE, PARAMS, POLICY, POLICY_NETWORK, REPORTS, TEST_REPORTS, TIMELINES
from stages.recordings.files import session_path
from stages.recordings.timeline import read_timeline
from stages.recordings.video import read_frames
from stages.run import run_stage

OVERLAY = REPORTS / "overlay.mp4"
PARTS = ("autoencoder", "policy", "play", "latent_action")
OVERLAY_S = 30.0
TIME_TOLERANCE_S = 1e-4  # times are written with 6 decimals
CARDS = {"return_fraction": "of the way from the best blind player (0) to the recorded player (1), in the real game",
         "onset_f1": "key presses at the right moment (onset F1: missed and invented ones both cost)",
         "ae_object_ap": "small objects found in the latent (average precision)",
         "lam_information_gained": "information on the keys in a latent action: 0 is what earlier frames tell, 1 what "
                                   "the next one shows"}  # fmt: skip


def main() -> None:
    params = read_params()
    val, test = write_merged_metrics()
    about_policy = page.read_json(POLICY_NETWORK / "config.json")
    thresholds = page.read_json(POLICY / "agent.json")["acting"]["thresholds"]
    store = EpisodeStore(EPISODES)
    episode = shown_stretch(TEST_REPORTS / "policy" / "predictions.csv", seconds=OVERLAY_S)
    session, number, _ = episode.keys[0]
    video, timeline = session_path(params.recordings, session, "video"), TIMELINES / f"{session}.csv"
    keys = (episode.truth, episode.probabilities, episode.pressed)
    write_video(OVERLAY, overlay_frames(frames_at(video, timeline, episode.times), episode.actions, *keys), store.fps)

    half = len(episode.times) // 2
    middle = next(frames_at(video, timeline, episode.times[half : half + 1]))
    small = preprocess(middle, **picture_of(store))
    budget = page.VideoBudget()
    played = chapters.played(TEST_REPORTS / "play", budget)
    recorded = chapters.recorded(page.read_json(TIMELINES / "alignment.json"), store.episodes(), store.fps)
    enough = chapters.enough(REPORTS / "explore")
    scores = score_tables.scores(TEST_REPORTS / "policy" / "actions.csv")
    paired = (page.read_json(TEST_REPORTS / "play" / "summary.json") or {}).get("paired", {})
    found = targets(test, scores, paired, min_onsets=params.evaluate.min_onsets)
    with tempfile.TemporaryDirectory() as scratch:
        learned = chapters.learned(REPORTS, val, test, thresholds, Path(scratch))
    html = page.render(
        "report.html",
        title=f"What the agent learned from {Path(params.recordings).name}",
        actions=params.actions,
        cards=cards(test),
        headline=page.Table(["", "validation", "test", "beside it, on test"], headline_rows(val, test)),
        targets=found,
        weaknesses=weaknesses(
            found,
            unit=params.split.unit,
            warnings=[*warned_sessions(recorded["warnings"]), *enough["warnings"]],
            in_game=played is not None,
            probed=val.get("ae_object_ap") is not None,
        ),
        unit=params.split.unit,
        recorded=recorded,
        recorded_s="" if params.play.elsewhere else f"{params.collect.max_episode_s:g}",
        played_s=f"{params.play.max_episode_s:g}",
        frame=chapters.seen_by_the_model(middle, small),
        enough=enough,
        foreseen=chapters.foreseen(TEST_REPORTS / "probe_onsets"),
        learned=learned,
        latent_words=f"{params.latent_dim} numbers" if params.autoencoder.kind == "dense" else "a small map",
        probe=params.autoencoder.probe,
        policy_reads=" and ".join(
            f"{about_policy.get(name, about_policy['window'])} {name}" for name in about_policy["shapes"]
        ),
        tolerance_s=f"{params.evaluate.onset_tolerance_s:g}",
        judged=chapters.judged(REPORTS, val, test),
        overlay=budget.video(OVERLAY, f"{session}, episode {number}. Blue: the player. Orange: the model."),
        played=played,
        latent=latent_action_chapter(REPORTS, val, test, budget),
        params_text=PARAMS.read_text(encoding="utf-8"),
    )
    size = page.write_page(PAGE, html)
    print(f"wrote {PAGE} ({size:.1f} MB), {OVERLAY}, {METRICS} ({len(val)} metrics)")
    for target in found:
        print(f"  {target.answer}: {target.words}: {target.found} (wanted {target.wanted})")


def write_merged_metrics() -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Writes reports/metrics.json (val) and reports/test/metrics.json; returns both."""
    headline = tuple(HEADLINE)
    orders = {REPORTS: headline, TEST_REPORTS: (*TEST_FIRST, *map(test_name, headline))}
    merged = []
    for folder, first in orders.items():
        merged.append(merged_metrics([folder / part / "metrics.json" for part in PARTS], first))
        write_json(folder / "metrics.json", merged[-1])
    return merged[0], merged[1]


def merged_metrics(paths: Sequence[Path], first: Sequence[str]) -> dict[str, float | None]:
    """The metrics of several metrics.json as one, those of `first` first, rounded to 6 digits.

    ValueError for a missing file, a number that is not finite, and a metric that two files name.
    """
    merged: dict[str, float | None] = {}
    origin: dict[str, Path] = {}
    for path in paths:
        metrics = page.read_json(path)
        if metrics is None:
            raise ValueError(f"{path} is missing; run `dvc repro`")
        for name, value in metrics.items():
            if name in merged:
                raise ValueError(f"{name} stands in both {origin[name]} and {path}; rename one")
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{path}: {name} is {value}; a metric that is not defined must be null")
            merged[name] = None if value is None else round(value, 6)
            origin[name] = path
    return headline_first(merged, first)


def shown_stretch(path: Path, *, seconds: float) -> Predictions:
    """The stretch of one episode in which the player pressed most; ValueError when there are no predictions."""
    if not path.is_file():
        raise ValueError(f"{path} is missing; run `dvc repro`")
    predictions = parse_predictions(path.read_text(encoding="utf-8"))
    part = eventful_stretch(predictions.truth, predictions.times, predictions.episode, seconds=seconds)
    return predictions.part(part)


def frames_at(video: Path, timeline: Path, times: np.ndarray) -> Iterator[np.ndarray]:
    """The frames uint8 [H, W, 3] BGR of a session's video at `times` [T] in s, ascending; ValueError for a time that
    the timeline does not have."""
    known = read_timeline(timeline).times
    wanted = np.clip(np.searchsorted(known, times - TIME_TOLERANCE_S), 0, len(known) - 1)
    off = np.abs(known[wanted] - times)
    if (off > TIME_TOLERANCE_S).any():
        raise ValueError(f"{timeline} has no frame at t = {times[off.argmax()]:.6f} s; run `dvc repro`")
    left = iter(wanted.tolist())
    number = next(left)
    for index, image in enumerate(read_frames(video)):
        while index == number:
            yield image
            number = next(left, None)
        if number is None:
            return


def warned_sessions(warnings: Sequence[str]) -> list[str]:
    """One sentence on the sessions that the doctor warns of."""
    sessions = {warning.partition(":")[0] for warning in warnings}
    return [f"the doctor has remarks on {len(sessions)} of the sessions, see below."] if sessions else []


def cards(test: Mapping) -> list[dict[str, str]]:
    """The few numbers at the top of the page, on test; a number that does not exist is left out."""
    terms = {test_name(name): term for name, term in HEADLINE.items()}
    return [
        dict(zip(("number", "interval"), f"{with_interval(test, name, 2)} ".split(" ", 1), strict=True))
        | {"words": words, "beside": beside(terms[name], test)}
        for name, words in CARDS.items()
        if test.get(name) is not None
    ]


if __name__ == "__main__":
    run_stage(main)
