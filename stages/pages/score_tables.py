"""actions.csv, which holds the scores of the model and the baselines key by key, read back and put into tables."""

from collections.abc import Mapping
from pathlib import Path

from stages.pages.glossary import interval_in_words
from stages.pages.page import Table, number, read_rows

PREDICTORS = {
    "model": "the model",
    "model_at_half": "the model, every limit 0.5",
    "majority": "what the player mostly does",
    "always_on": "always pressing",
    "matched_random": "at random, as often and as long",
    "iid_random": "at random, as often",
    "metronome": "a tap every so often",
    "blind_onsets": "a fixed pattern, best presses",
    "blind_frames": "a fixed pattern, best frames",
    "blind_exact": "a fixed pattern, most frames right",
    "replay": "recorded keys, played again",
    "repeat_last": "the player's last keys again",
}


def scores(path: Path) -> dict:
    """actions.csv as {(predictor, action, metric): {"value", "low", "high"}}; numbers, None where undefined.

    The key ("playable", predictor) says whether a predictor could play.
    """
    found: dict = {}
    for row in read_rows(path):
        ends = {end: float(row[end]) if row.get(end) else None for end in ("value", "low", "high")}
        found[row["predictor"], row["action"], row["metric"]] = ends
        found["playable", row["predictor"]] = row["playable"] == "true"
    return found


def _score(found: Mapping, predictor: str, action: str, metric: str) -> str:
    ends = found.get((predictor, action, metric), {})
    return interval_in_words(ends.get("value"), ends.get("low"), ends.get("high"), 2)


def predictors_of(found: Mapping) -> list[str]:
    """The predictors of `scores`, in the order of the file."""
    return list(dict.fromkeys(key[0] for key in found if len(key) == 3))


def actions_of(found: Mapping) -> list[str]:
    """The actions of `scores`, in the order of the file."""
    return list(dict.fromkeys(key[1] for key in found if len(key) == 3 and key[1] != "all"))


def named_predictor(name: str) -> str:
    """A predictor of actions.csv in words."""
    return PREDICTORS.get(name, name.replace("_", " "))


def keys_table(found: Mapping, thresholds: Mapping[str, float]) -> Table:
    """The model, key by key, on test."""
    head = [
        "key",
        "frames\nheld",
        "presses",
        "F1",
        "precision",
        "recall",
        "average\nprecision",
        "pressed when\nsurer than",
    ]
    rows = []
    for action in actions_of(found):
        counts = [number(found.get(("model", action, name), {}).get("value"), 0) for name in ("support", "onsets")]
        values = [_score(found, "model", action, name) for name in ("f1", "precision", "recall", "ap")]
        rows.append([action, *counts, *values, number(thresholds.get(action), 2)])
    return Table(head, rows)


def predictors_table(found: Mapping) -> Table:
    """The model and the baselines over all keys, on test."""
    columns = {
        "onset_f1": "onset F1",
        "composite_f1": "weighted F1",
        "frame_f1": "frame F1",
        "exact_match": "all keys right",
    }
    rows, strong = [], []
    for predictor in predictors_of(found):
        name = named_predictor(predictor) + ("" if found["playable", predictor] else " (not playable)")
        if predictor == "model":
            strong.append(len(rows))
        rows.append([name, *(_score(found, predictor, "all", metric) for metric in columns)])
    return Table(["", *columns.values()], rows, strong=strong)


def best_baseline(found: Mapping, action: str, metric: str) -> tuple[str, float] | None:
    """The playable baseline that does best on one key, and its value; None where none has a value."""
    values = {
        predictor: found.get((predictor, action, metric), {}).get("value")
        for predictor in predictors_of(found)
        if found["playable", predictor] and not predictor.startswith("model")
    }
    known = {predictor: value for predictor, value in values.items() if value is not None}
    return max(known.items(), key=lambda item: item[1]) if known else None


def onset_table(on_val: Mapping, on_test: Mapping) -> Table:
    """Onset F1 of each key on val and test beside the best playable baseline on test."""
    head = [
        "key",
        "presses\ntest",
        "onset F1\nval",
        "onset F1\ntest",
        "best blind\nbaseline, test",
        "frame F1\nval",
        "frame F1\ntest",
    ]
    rows = []
    for action in actions_of(on_test):
        best = best_baseline(on_test, action, "onset_f1")
        rival = "–" if best is None else f"{best[1]:.2f} ({named_predictor(best[0])})"
        onsets = number(on_test.get(("model", action, "onsets"), {}).get("value"), 0)
        onset = [_score(found, "model", action, "onset_f1") for found in (on_val, on_test)]
        frame = [_score(found, "model", action, "f1") for found in (on_val, on_test)]
        rows.append([action, onsets, *onset, rival, *frame])
    return Table(head, rows)
