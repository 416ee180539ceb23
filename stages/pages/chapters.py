"""What each chapter of the report says: from the files of the stages to tables, pictures and words for the template.

Nothing here fails because something is legitimately absent (no state in the recordings, no bundled game): the entry is
None or empty, and the template says so.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from stages.episodes.store import EpisodeInfo
from stages.evaluation.figures import report as figures
from stages.evaluation.figures import style
from stages.pages.glossary import digits_of, in_words, interval_in_words, on_both, with_interval
from stages.pages.page import (
    Picture,
    Table,
    VideoBudget,
    bytes_uri,
    data_uri,
    number,
    pictures,
    read_json,
    read_rows,
)
from stages.pages.score_tables import keys_table, onset_table, predictors_table, scores

SPLITS = {"train": "learned from (train)", "val": "to choose by (val)", "test": "unseen until the end (test)"}
EXPLORE = {
    "balance.png": "How often each key is held, and how often it is pressed in each part.",
    "holds.png": "How long each key is held. Short holds are reflexes, long ones states.",
    "together.png": "Which keys are held together.",
}
AUTOENCODER = {"reconstructions.png": "Frames, what comes back out of the latent, and the difference."}
PICTURES = {
    "onset_f1.png": "Key presses found at the right moment, beside policies that see nothing and (hatched) one that "
    "knows the player's keys.",
    "timeline.png": "A stretch of a test episode, player against model.",
    "metrics_heatmap.png": "Scores of the model and the baselines for each key.",
    "confusion.png": "Keys held or not, player against model.",
}
PLAY = {"returns.png": "What each earned in the same games."}
RULE_WORDS = {
    "threshold": "it holds a key above the limit in the table of keys",
    "likely": "it holds what the player more likely held than not",
    "sampled": "it draws its keys with the probabilities it gives them",
}
DOCTOR = {  # key of a session's report -> heading
    "episodes": "episodes",
    "frames": "frames",
    "minutes": "minutes",
    "fps": "frames\na second",
    "gaps": "gaps",
    "repeats": "repeated\nframes",
    "tail_frames_cut": "frames\ncut off",
    "frames_left_out": "frames\nleft out",
    "key_repairs": "lost keyups\nreplaced",
    "unmarked_repeats": "same picture\nunmarked",
    "skipped_lines": "unreadable\nlines",
    "unclosed_episodes": "episodes\nwithout end",
    "key_events_outside_episodes": "key events\noutside episodes",
    "short_taps": "taps under\na frame",
    "short_taps_kept": "of these\nkept",
    "unmapped_keys": "presses of\nunknown keys",
}


def recorded(alignment: Mapping | None, episodes: Sequence[EpisodeInfo], fps: float) -> dict:
    """What was recorded: sums, a table a split, the doctor's table and its warnings."""
    reports = (alignment or {}).get("sessions", {})
    columns = {heading: [_doctor_cell(report, key) for report in reports.values()] for key, heading in DOCTOR.items()}
    clean = [heading for heading, cells in columns.items() if set(cells) <= {"0", "–"}]
    shown = {heading: cells for heading, cells in columns.items() if heading not in clean}
    return {
        "sessions": len({episode.session for episode in episodes}),
        "episodes": len(episodes),
        "minutes": f"{sum(episode.length for episode in episodes) / fps / 60:.1f}",
        "fps": number(fps, 2),
        "splits": split_table(episodes, fps),
        "doctor": Table(["session", *shown], list(map(list, zip(reports, *shown.values(), strict=True)))),
        "clean": [heading.replace("\n", " ") for heading in clean] if reports else [],
        "warnings": [
            *(f"{stem} is left out: {reasons[0]}" for stem, reasons in (alignment or {}).get("left_out", {}).items()),
            *(f"{stem}: {words}" for stem, report in reports.items() for words in report.get("warnings", [])),
        ],
    }


def split_table(episodes: Sequence[EpisodeInfo], fps: float) -> Table:
    """Sessions, episodes, frames, minutes and mean score of each split."""
    rows = []
    for split, words in SPLITS.items():
        mine = [episode for episode in episodes if episode.split == split]
        frames = sum(episode.length for episode in mine)
        scores = [episode.score for episode in mine if episode.score is not None]
        score = number(float(np.mean(scores)), 1) if scores else "–"
        counts = [len({episode.session for episode in mine}), len(mine), frames]
        rows.append([words, *map(number, counts), f"{frames / fps / 60:.1f}", score])
    return Table(["", "sessions", "episodes", "frames", "minutes", "mean score"], rows)


def _doctor_cell(report: Mapping, key: str) -> str:
    if key == "minutes":
        return f"{report['seconds'] / 60:.1f}" if "seconds" in report else "–"
    value = report.get(key)
    if key == "fps":
        median = (report.get("interval_ms") or {}).get("median")
        return number(1000 / median, 2) if median else "–"
    if key == "gaps" and isinstance(value, Mapping):
        value = value.get("count")
    elif isinstance(value, Mapping):
        value = sum(value.values())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = len(value)
    return number(value)


def seen_by_the_model(frame_bgr: np.ndarray, small: np.ndarray) -> Picture:
    """The recorded frame [H, W, 3] beside what is left of it for the model, uint8 [C, h, w], enlarged."""
    height, width = frame_bgr.shape[:2]
    image = (
        cv2.cvtColor(small[0], cv2.COLOR_GRAY2BGR)
        if len(small) == 1
        else np.ascontiguousarray(small[::-1].transpose(1, 2, 0))
    )
    enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)
    gap = np.full((height, 8, 3), 255, np.uint8)
    png = cv2.imencode(".png", np.hstack([frame_bgr, gap, enlarged]))[1].tobytes()
    words = f"A recorded frame ({width}x{height}) and what the model sees of it ({small.shape[2]}x{small.shape[1]})."
    return Picture(bytes_uri(png, "image/png"), words)


def enough(folder: Path) -> dict:
    """Is it enough: the class balance inside episodes, the warnings in words, the figures."""
    rows = defaultdict(dict)
    for row in read_rows(folder / "balance.csv"):
        rows[row["action"]][row.get("scope"), row.get("split")] = row
    cells = []
    for action, found in rows.items():
        inside, whole = found.get(("episodes", "all"), {}), found.get(("recordings", "all"), {})
        presses = [number(found.get(("episodes", split), {}).get("presses")) for split in SPLITS]
        holds = [number(inside.get("mean_hold_s"), 2), inside.get("kind") or "–"]
        cells.append([action, _percent(inside.get("share")), _percent(whole.get("share")), *presses, *holds])
    head = [
        "key",
        "held in\nepisodes",
        "held in\nall",
        "presses\ntrain",
        "presses\nval",
        "presses\ntest",
        "mean hold\ns",
        "kind",
    ]
    warnings = read_json(folder / "warnings.json") or {}
    words = warnings.get("warnings", []) if isinstance(warnings, Mapping) else warnings
    return {
        "balance": Table(head, cells),
        "warnings": list(words),
        "pictures": pictures(folder, EXPLORE),
    }


def _percent(value) -> str:
    return "–" if value in (None, "") else f"{100 * float(value):.1f} %"


AUGMENTED = {
    "augmented.png": "Windows of frames as they were recorded, and as the policy learned from them (`augment` in "
    "params.yaml). One draw changes all frames of a window alike."
}


def learned(reports: Path, val: Mapping, test: Mapping, thresholds: Mapping[str, float], scratch: Path) -> dict:
    """What was learned: pictures of the autoencoder, the probe, curves of every training, a table of the keys."""
    curves = []
    for name, folder in {
        "autoencoder": reports / "autoencoder",
        "policy": reports / "policy_training",
        "latent action model": reports / "latent_action_training",
    }.items():
        found = figures.read_curves(folder / "live")
        if found:
            figure = figures.training_curves(found, title=f"Training of the {name}")
            path = style.save(figure, scratch / f"curves_{name.replace(' ', '_')}.png")
            words = f"Training of the {name}: orange on val, blue on train. {training_words(folder)}"
            curves.append(Picture(data_uri(path), words))
    curves += pictures(reports / "policy_training", AUGMENTED)
    return {
        "reconstruction": metrics_table(val, test, [n for n in val if n.startswith("ae_") and "object" not in n]),
        "probe": metrics_table(val, test, [n for n in val if n.startswith("ae_object") and val[n] is not None]),
        "pictures": pictures(reports / "autoencoder", AUTOENCODER),
        "curves": curves,
        "by_key": keys_table(scores(reports / "test" / "policy" / "actions.csv"), thresholds),
    }


FORESEEN = {
    "leads.png": "How well a press is told from the frames before it (AUC; .5 is chance), over how long before it they "
    "end. Hollow dots: the last frame alone."
}
SOURCES = {"window": "all frames", "last_frame": "last frame", "state": "the game's state", "keys": "the player's keys"}


def foreseen(folder: Path) -> dict:
    """When a press can be foreseen, on test: in words, a table at the shortest lead, the curve."""
    rows = read_json(folder / "rows.json") or []
    shortest = min((row["lead"] for row in rows), default=0)
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in rows:
        if row["lead"] == shortest:
            cells[row["action"], row["against"]][row["from"]] = with_interval(row, "auc", 2)
    sources = [source for source in SOURCES if any(source in found for found in cells.values())]
    table = [[*names, *(found.get(source, "–") for source in sources)] for names, found in cells.items()]
    return {
        "words": read_json(folder / "words.json") or [],
        "table": Table(["key", "against moments", *(SOURCES[source] for source in sources)], table),
        "pictures": pictures(folder, FORESEEN),
    }


def training_words(folder: Path) -> str:
    """When a training stopped and why; `folder` holds its training.json."""
    told = read_json(folder / "training.json")
    if told is None:
        return ""
    return (
        f"It stopped after {told['steps_made']} of {told['steps']} steps ({told['why_stopped']}), "
        f"{told['passes']} times through all samples; kept is what was best on val, after step {told['best_step']}."
    )


def metrics_table(val: Mapping, test: Mapping, names: Sequence[str]) -> Table:
    """Metrics by name on val and on test; the ends of intervals stand in brackets behind their value."""
    plain = [name for name in names if not name.endswith(("_low", "_high"))]
    rows = [[in_words(name), *on_both(val, test, name, digits_of(name))] for name in plain]
    return Table(["", "val", "test"], rows)


def judged(reports: Path, val: Mapping, test: Mapping) -> dict:
    """How good against baselines: every predictor on test, each key on val and test, figures of test."""
    on_val, on_test = (scores(folder / "policy" / "actions.csv") for folder in (reports, reports / "test"))
    return {
        "predictors": predictors_table(on_test),
        "by_key": onset_table(on_val, on_test),
        "overall": metrics_table(val, test, [n for n in OVERALL if n in val]),
        "pictures": pictures(reports / "test" / "policy", PICTURES),
    }


OVERALL = (
    *("val_onset_f1", "val_onset_f1_on_time", "val_onset_skill", "val_composite_f1", "val_frame_f1"),
    *("val_ap", "val_exact_match", "val_short_f1", "val_long_f1"),
    *("val_distribution_l1", "val_distribution_l2", "val_distribution_kl"),
)


def played(folder: Path, budget: VideoBudget) -> dict | None:
    """How it plays on test seeds; None when the recordings come from no bundled game."""
    summary = read_json(folder / "summary.json")
    if not summary or not summary.get("policies"):
        return None
    returns = defaultdict(list)
    for row in read_rows(folder / "returns.csv"):
        returns[row["policy"]].append(float(row["return"]))
    rows, names = [], list(summary["policies"])
    for name, ends in summary["policies"].items():
        spread = np.quantile(returns[name], [0, 0.5, 1]).tolist() if returns[name] else [None] * 3
        spread = [number(value, 1) for value in spread]
        rows.append([name.replace("_", " "), _mean(ends), number(ends.get("episodes")), *spread])
    paired = [[name.replace("_", " "), _mean(ends), _verdict(ends)] for name, ends in summary.get("paired", {}).items()]
    words = {
        "best": "The best episode.",
        "median": "The median episode: what to expect.",
        "worst": "The worst episode.",
    }
    return {
        "returns": Table(
            ["who plays", "mean score", "games", "worst", "median", "best"],
            rows,
            strong=[names.index("agent")],
        ),
        "paired": Table(["in the same games", "mean difference", "above 0?"], paired),
        "rule": RULE_WORDS.get(summary.get("acting_rule"), "not said"),
        "blind": _in_words(summary.get("blind_policy")),
        "pictures": pictures(folder, PLAY),
        "videos": [budget.video(folder / f"{name}.mp4", words[name]) for name in ("median", "best", "worst")],
    }


def _mean(ends: Mapping) -> str:
    return interval_in_words(ends.get("mean"), ends.get("low"), ends.get("high"), 2)


def _verdict(ends: Mapping) -> str:
    low, high = ends.get("low"), ends.get("high")
    if low is None or high is None:
        return "–"
    return "yes" if low > 0 else "no, below" if high < 0 else "not certain"


def _in_words(value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_in_words(part)}" for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(_in_words(part) for part in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value or "not said").replace("_", " ")
