"""Study suite, stage summarise: reports/suite.json (a row a game, policy and seed), a chart, val's figures for DVC."""

import json

import numpy as np

from stages.evaluation.figures import style
from stages.evaluation.figures.suite import suite_figure
from stages.learning.checkpoints import read_json, write_json
from stages.pages.glossary import with_interval
from stages.pages.page import markdown
from stages.params import read_params
from stages.paths import REPORTS, SUITE
from stages.run import run_stage
from stages.studies.suite.inputs import SuiteParams

COLUMNS = (
    "game",
    "policy",
    "seed",
    "minutes",
    "return",
    "script",
    "best_blind",
    "return_fraction",
    "onset_f1",
    "seconds",
)


def main() -> None:
    own = read_params().section("suite", SuiteParams)
    rows = [
        read_json(SUITE / "rows" / f"{game}_{policy}_seed{seed}.json")
        for policy in own.policies
        for game in own.games
        for seed in own.seeds
    ]
    (REPORTS / "suite").mkdir(parents=True, exist_ok=True)
    (REPORTS / "suite.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8", newline="\n")
    style.save(suite_figure(rows), REPORTS / "suite" / "suite.png")
    val = {}
    for policy in own.policies:
        shares = [row["val_return_fraction"] for row in rows if row["policy"] == policy]
        val[f"suite_{policy}_val_return_fraction"] = median(shares)
    write_json(REPORTS / "suite" / "val.json", val)
    print(table(rows))
    for policy in own.policies:
        found = median([row["return_fraction"] for row in rows if row["policy"] == policy])
        print(f"{policy}: median return_fraction {'not defined' if found is None else f'{found:.2f}'}")
    print(f"wrote {REPORTS / 'suite.json'} and {REPORTS / 'suite' / 'suite.png'}")


def median(shares: list[float | None]) -> float | None:
    """Of all games; None where one has no share, since its script is no better than blind."""
    return None if None in shares else float(np.median(shares))


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    cells = [
        [
            row["game"], row["policy"], str(row["seed"]), f"{row['minutes']:.1f}",
            *(f"{row[name]:.1f}" for name in ("return", "script", "best_blind")),
            with_interval(row, "return_fraction", 2), with_interval(row, "onset_f1", 2), f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    return markdown([name.replace("_", " ") for name in COLUMNS], *cells)


if __name__ == "__main__":
    run_stage(main)
