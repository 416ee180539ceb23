"""Study policies, stage summarise: reports/policies.json (a row a training), tables and pictures, val's for DVC."""

import csv
import json
from pathlib import Path

import numpy as np

from stages.evaluation.figures import style
from stages.evaluation.figures.policies import keys_of_all, policies_figure
from stages.evaluation.figures.policy_figures import eventful_stretch
from stages.learning.checkpoints import read_json, write_json
from stages.pages.glossary import with_interval
from stages.pages.page import markdown
from stages.params import read_params
from stages.paths import REPORTS
from stages.run import run_stage
from stages.studies.policies.inputs import PoliciesParams, folder_of

SECONDS = 12.0  # of the timeline
SCORES = ("return_fraction", "onset_f1", "onset_skill", "frame_f1", "ap", "exact_match")


def main() -> None:
    params = read_params()
    study = params.section("policies", PoliciesParams)
    folders = [(row.kind, folder_of(row.kind, row.seed)) for row in study.rows]
    rows = [read_json(folder / "row.json") for _, folder in folders]
    out = REPORTS / "policies"
    out.mkdir(parents=True, exist_ok=True)
    (REPORTS / "policies.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8", newline="\n")
    style.save(policies_figure(rows), out / "policies.png")
    predicted = {kind: folder / "predictions.csv" for kind, folder in reversed(folders)}  # of a kind the first
    predicted = {kind: predicted[kind] for kind, _ in folders}
    style.save(timeline(predicted, params.actions), out / "timeline.png")
    val = {f"policies_{row['kind']}_seed{row['seed']}_val_ap": row["val_ap"] for row in rows}
    write_json(out / "val.json", val)
    print(table(rows), by_action(rows), sep="\n\n")
    print(f"wrote {REPORTS / 'policies.json'} and {out}")


def table(rows: list[dict]) -> str:
    """The rows as Markdown: scores on test, and what they cost."""
    scores = [name.replace("_", " ") for name in SCORES]
    cells = [
        [
            row["kind"], str(row["seed"]), *(with_interval(row, name, 2) for name in SCORES),
            f"{row['train_ap']:.2f} / {row['val_ap']:.2f}", f"{row['episode_s']:.0f}", f"{row['survived_share']:.0%}",
            f"{row['parameters']:,}", f"{row['decision_ms']:.1f}", f"{row['seconds'] / 60:.1f}",
        ]
        for row in rows
    ]  # fmt: skip
    return markdown(
        [
            "kind",
            "seed",
            *scores,
            "AP train / val",
            "s a game",
            "survived",
            "weights",
            "ms a decision",
            "minutes to train",
        ],
        *cells,
    )


def by_action(rows: list[dict]) -> str:
    """Precision / recall / F1 / AP / onset F1 of every action as Markdown, a line a training."""
    actions = list(rows[0]["actions"])
    cells = []
    for row in rows:
        scores = [" / ".join(map(two_digits, row["actions"][name].values())) for name in actions]
        cells.append([row["kind"], str(row["seed"]), *scores])
    return markdown(["precision / recall / F1 / AP / onset F1", "seed", *actions], *cells)


def two_digits(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"


def timeline(predicted: dict[str, Path], actions: tuple[str, ...]):
    """The stretch of the test recordings in which the player did most, and what every kind pressed there."""
    found = {kind: read_predictions(path, actions) for kind, path in predicted.items()}
    times, episode, truth, _ = next(iter(found.values()))
    part = eventful_stretch(truth, times, episode, seconds=SECONDS)
    start = times[np.searchsorted(episode, episode[part.start])]
    pressed = {kind: held[part] for kind, (_, _, _, held) in found.items()}
    return keys_of_all(
        times[part] - start, truth[part], pressed, actions, title="The player and every kind of policy, test"
    )


def read_predictions(path: Path, actions: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """Of predictions.csv: times [N] in s, episode [N] numbered through, truth and pressed 0/1 [N, A]."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys((row["session"], row["episode"]) for row in rows))
    number = {name: i for i, name in enumerate(names)}
    columns = [
        np.array([[int(row[f"{action}_{what}"]) for action in actions] for row in rows]) for what in ("true", "pressed")
    ]
    episode = np.array([number[row["session"], row["episode"]] for row in rows])
    return np.array([float(row["t"]) for row in rows]), episode, *columns


if __name__ == "__main__":
    run_stage(main)
