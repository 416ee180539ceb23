"""All rows as one file, one page, and the validation metrics that experiments may be compared by.

reports/labels.json is committed: its test figures are no metric of DVC. reports/labels/val.json is one, and reads
validation data alone.
"""

from collections.abc import Sequence

import numpy as np

from stages.evaluation.returns import compared
from stages.games.catalog import TEST_SEEDS, game_seeds
from stages.latent_actions.few_label_policies import POLICIES
from stages.latent_actions.few_labels import CHOICES
from stages.latent_actions.pseudo_labels import SLOW_LABELLERS
from stages.learning.checkpoints import read_json, write_json
from stages.pages import page
from stages.pages.labels_page import MARKS, labels_page, printed
from stages.params import Params, read_params
from stages.paths import REPORTS, TEST_REPORTS
from stages.run import run_stage
from stages.studies.labels.inputs import accuracy_file, played_file

OUT, PAGE, METRICS = REPORTS / "labels.json", REPORTS / "labels.html", REPORTS / "labels/val.json"
RETURNS = TEST_REPORTS / "play/returns.csv"


def main() -> None:
    params = read_params()
    rows, games = curve_rows(params), played_rows(params)
    players = read_players(params) if games else {}
    drawn = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    marks = {name: float(scores.mean()) for name, scores in players.items() if name in MARKS}
    found = {"curve": rows, "play": compared(games, players, **drawn), "marks": marks,
             "choice": params.labelling.choice}  # fmt: skip
    write_json(OUT, found)
    METRICS.parent.mkdir(parents=True, exist_ok=True)
    write_json(METRICS, validation_metrics(rows, games, params.labelling.choice))
    size = page.write_page(PAGE, labels_page(found))
    print(printed(found))
    print(f"wrote {OUT}, {METRICS} and {PAGE} ({size:.1f} MB)")


def curve_rows(params: Params) -> list[dict]:
    """A row for each number of labels, way to choose them and labeller."""
    own, rows = params.labelling, []
    for count in own.counts:
        files = [(choice, "decoders") for choice in CHOICES] + [(own.choice, name) for name in SLOW_LABELLERS]
        for choice, labellers in files:
            rows += read_json(accuracy_file(count, choice, labellers))["rows"]
    return rows


def played_rows(params: Params) -> list[dict]:
    """A row for each number of labels and each of POLICIES, none where no game could be played."""
    files = [played_file(count, name) for count in params.labelling.played for name in POLICIES]
    return [row for row in (read_json(path)["row"] for path in files) if row is not None]


def validation_metrics(rows: Sequence[dict], games: Sequence[dict], choice: str) -> dict[str, float]:
    """By number of labels: how right the pseudo-labels are that policies are cloned from, and what policies earn."""
    found = {
        f"val_label_accuracy_{row['labels']}": row["val_exact"]
        for row in rows
        if row["labeller"] == "vectors" and row["choice"] == choice
    }
    return found | {f"val_return_{row['policy']}_{row['labels']}": row["val_return"] for row in games}


def read_players(params: Params) -> dict[str, np.ndarray]:
    """The scores [S] on the test seeds of the players of the stage play: the agent of all labels, and two marks."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in page.read_rows(RETURNS):
        found.setdefault(row["policy"], []).append((int(row["seed"]), float(row["return"])))
    seeds = game_seeds(TEST_SEEDS, params.play.seed, params.play.test_episodes)
    for name in MARKS:
        if [seed for seed, _ in found.get(name, [])] != seeds:
            raise ValueError(f"{RETURNS} has not the {len(seeds)} test games of {name}; run `dvc repro` first")
    return {name: np.array([score for _, score in games]) for name, games in found.items()}


if __name__ == "__main__":
    run_stage(main)
