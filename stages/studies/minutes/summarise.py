"""Study minutes, stage summarise: reports/minutes.json (a row a training), the curve, and val's figures for DVC."""

import json
from collections.abc import Iterable, Mapping

import numpy as np

from stages.evaluation.figures import style
from stages.evaluation.figures.minutes import minutes_figure
from stages.learning.checkpoints import read_json, write_json
from stages.pages.glossary import with_interval
from stages.pages.page import markdown
from stages.params import read_params
from stages.paths import MINUTES, REPORTS
from stages.run import run_stage
from stages.studies.minutes.inputs import MinutesParams

COLUMNS = ("sessions", "train_frames", "minutes", "seed", "return_fraction", "onset_f1", "seconds")


def main() -> None:
    own = read_params().section("minutes", MinutesParams)
    rows = [
        read_json(MINUTES / "rows" / f"{count}_sessions_seed{seed}.json")
        for count in own.sessions
        for seed in own.seeds
    ]
    (REPORTS / "minutes").mkdir(parents=True, exist_ok=True)
    (REPORTS / "minutes.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8", newline="\n")
    style.save(minutes_figure(rows), REPORTS / "minutes" / "minutes.png")
    val = {
        f"minutes_{count}_val_return_fraction": mean_of(row for row in rows if row["sessions"] == count)
        for count in own.sessions
    }
    write_json(REPORTS / "minutes" / "val.json", val)
    print(table(rows))
    print(f"wrote {REPORTS / 'minutes.json'} and {REPORTS / 'minutes' / 'minutes.png'}")


def mean_of(rows: Iterable[Mapping]) -> float | None:
    """The mean share on validation games; None where a row has none, since its script is no better than blind."""
    shares = [row["val_return_fraction"] for row in rows]
    return None if None in shares else float(np.mean(shares))


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    cells = [
        [
            str(row["sessions"]), f"{row['train_frames']:,}", str(row["minutes"]), str(row["seed"]),
            with_interval(row, "return_fraction", 2), with_interval(row, "onset_f1", 2), f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    return markdown([name.replace("_", " ") for name in COLUMNS], *cells)


if __name__ == "__main__":
    run_stage(main)
