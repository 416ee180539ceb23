"""Study codes, stage summarise: reports/codes.json (a row a game and seed), a table, val's figures for DVC."""

import json

from stages.learning.checkpoints import read_json, write_json
from stages.pages.glossary import with_interval
from stages.pages.page import markdown
from stages.params import read_params
from stages.paths import REPORTS
from stages.run import run_stage
from stages.studies.codes.inputs import CodesParams, row_file

COLUMNS = {
    "information_gained": "information gained",
    "change_accuracy": "where the key changes: code",
    "change_past": "past",
    "change_switch": "the likeliest other key",
    "change_past_next": "past and next frame",
    "probe_past": "all transitions: past",
    "probe_past_code": "past and code",
    "probe_past_next": "past and next frame",
}


def main() -> None:
    own = read_params().section("codes", CodesParams)
    rows = [read_json(row_file(game, seed)) for game in own.games for seed in own.seeds]
    (REPORTS / "codes").mkdir(parents=True, exist_ok=True)
    (REPORTS / "codes.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8", newline="\n")
    val = {f"codes_{row['game']}_seed{row['seed']}_val": row["val_information_gained"] for row in rows}
    write_json(REPORTS / "codes" / "val.json", val)
    print(table(rows))
    print(f"wrote {REPORTS / 'codes.json'}")


def table(rows: list[dict]) -> str:
    """The rows on test, as Markdown."""
    cells = [[row["game"], str(row["seed"]), *(with_interval(row, name, 2) for name in COLUMNS)] for row in rows]
    return markdown(["game", "seed", *COLUMNS.values()], *cells)


if __name__ == "__main__":
    run_stage(main)
