"""The report's chapter on latent actions: metrics, what codes do and go with, figures and videos."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.pages.chapters import metrics_table
from stages.pages.glossary import digits_of, in_words
from stages.pages.page import Table, VideoBudget, number, pictures, read_json

LATENT_ACTION = {
    "predictions.png": "Transitions of validation episodes, their prediction, what a copy gets wrong and what it does.",
    "every_code.png": "What each code makes of one and the same frame, as the change of grey levels.",
    "codes.png": "How often each code occurs, and with which key.",
    "effects.png": "What each code moves, over many situations: boxes hold half of the transitions, whiskers 90 %.",
    "tsne.png": "Transitions before they are rounded to a code (t-SNE): neighbours look alike to the model.",
    "rollout.png": "How like the truth the pictures stay when the model goes on from its own predictions, with the "
    "codes of what happened (inferred) and with random codes; beside it the first picture and the mean one.",
}
LATENT_ACTION_VIDEOS = {
    "rollouts.mp4": "From one moment: what really happened, what the inferred codes make of it, and each code held.",
    "driven.mp4": "The model as a game: its predictions are its next frames; the code of each key is held for a while.",
}


def latent_action_chapter(reports: Path, val: Mapping, test: Mapping, budget: VideoBudget) -> dict:
    """The latent action model: its metrics, what its codes do and go with, its figures and videos."""
    folder, names = reports / "latent_action", [name for name in val if name.startswith("lam_")]
    beside = read_json(reports / "test" / "latent_action" / "splits.json") or {}
    rows = [
        [in_words(name), *(number(found.get(name), digits_of(name)) for found in beside.values())]
        for name in beside.get("train", {})
    ]
    effects = read_json(folder / "effects.json") or {"effect": "", "codes": [], "events": []}
    return {
        "metrics": metrics_table(val, test, names),
        "splits": Table(["", *beside], rows),
        "effect": effects["effect"].replace("_", " "),
        "codes": _effects_table(effects["codes"]),
        "events": _events_table(effects["events"]),
        "pictures": pictures(folder, LATENT_ACTION),
        "videos": [budget.video(folder / name, words) for name, words in LATENT_ACTION_VIDEOS.items()],
    }


def _effects_table(rows: Sequence[Mapping]) -> Table:
    found = [
        [str(row["code"]), f"{row['share']:.1%}", *(number(row[name], 2) for name in ("mean", "spread", "median"))]
        for row in sorted(rows, key=lambda row: -row["share"])
    ]
    return Table(["code", "share", "mean", "spread", "median"], found)


def _events_table(rows: Sequence[Mapping]) -> Table:
    found = []
    for row in rows:
        code, caught = row["code"], row["caught"]
        found.append([
            row["event"], str(row["times"]), "–" if code is None else str(code), number(row["lift"], 1),
            "–" if caught is None else f"{caught:.0%}",
        ])  # fmt: skip
    return Table(
        ["event", "times", "code", "how many times as\nfrequent with it", "share of the events\nwith this code"], found
    )
