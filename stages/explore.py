"""Stage explore: what was recorded, and is it enough? -> reports/explore: tables, figures, warnings in words."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from stages.episodes import balance
from stages.episodes.balance import Balance, Hold
from stages.episodes.splits import SPLITS
from stages.episodes.store import EpisodeStore
from stages.episodes.timelines import frame_interval, read_timelines
from stages.evaluation.figures import explore as figures
from stages.evaluation.figures import style
from stages.params import read_params
from stages.run import run_stage

TIMELINES = Path("data/timelines")
STORE = Path("data/episodes.zarr")
OUT = Path("reports/explore")


def main() -> None:
    params = read_params().explore
    timelines = read_timelines(TIMELINES)
    names = next(iter(timelines.values())).action_names
    splits = {(episode.session, episode.fight): episode.split for episode in EpisodeStore(STORE).episodes()}
    whole, fights = balance.stretches(timelines, splits)
    everywhere = balance.balance_of(whole, names, scope=balance.WHOLE)
    inside = balance.balance_of(fights, names, scope=balance.FIGHTS)
    kinds = {row.action: balance.kind_of(row, params.reflex_hold_s) for row in inside if row.split == balance.ALL}
    holds = balance.holds_of(fights)
    pairs, at_once = balance.together(fights, len(names))
    warnings = balance.warnings_of(inside, fights, min_presses=params.min_presses, min_share=params.min_share)
    frame_s = float(np.median([frame_interval(timeline.times) for timeline in timelines.values()]))

    build = OUT.with_name(OUT.name + ".partial")
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    write_table(build / "balance.csv", [asdict(row) | {"kind": kinds[row.action]} for row in everywhere + inside])
    write_table(build / "holds.csv", [asdict(hold) | {"action": names[hold.action]} for hold in holds], of=Hold)
    held_with = [dict(zip(names, row, strict=True)) for row in pairs.tolist()]
    write_table(build / "together.csv", [{"action": a} | row for a, row in zip(names, held_with, strict=True)])
    write_table(build / "at_once.csv", [{"actions": n, "frames": frames} for n, frames in enumerate(at_once.tolist())])
    text = json.dumps({"warnings": warnings}, indent=2, ensure_ascii=False)
    (build / "warnings.json").write_text(text + "\n", encoding="utf-8", newline="\n")

    shares = {"whole recordings": column(everywhere, "share"), "inside fights": column(inside, "share")}
    presses = {split: column(inside, "presses", split) for split in SPLITS}
    lengths = {name: np.array([hold.hold_s for hold in holds if hold.action == i]) for i, name in enumerate(names)}
    drawn = {
        "balance.png": figures.balance_bars(shares, presses, names, min_presses=params.min_presses),
        "holds.png": figures.hold_histograms(lengths, kinds, frame_s=frame_s, reflex_hold_s=params.reflex_hold_s),
        "together.png": figures.together_map(pairs, at_once, names),
    }
    for name, figure in drawn.items():
        style.save(figure, build / name)
    shutil.rmtree(OUT, ignore_errors=True)
    build.rename(OUT)
    print_summary(inside, kinds, warnings)


def column(rows: Sequence[Balance], field: str, split: str = balance.ALL) -> np.ndarray:
    """One number an action, float64 [A], in the order of the actions."""
    return np.array([getattr(row, field) for row in rows if row.split == split], dtype=float)


def write_table(path: Path, rows: Sequence[Mapping], of: type | None = None) -> None:
    """A CSV of the rows with a header (of the fields of `of` when there is no row); NaN becomes an empty cell."""
    fields = list(rows[0]) if rows else list(of.__dataclass_fields__)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else round(value, 6)
    return value


def print_summary(inside: Sequence[Balance], kinds: Mapping[str, str], warnings: Sequence[str]) -> None:
    for row in inside:
        if row.split == balance.ALL:
            print(
                f"{row.action}: {row.share:.1%} of the frames of fights, {row.presses} presses, "
                f"mean hold {row.mean_hold_s:.2f} s ({kinds[row.action]})"
            )
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"wrote {OUT}")


if __name__ == "__main__":
    run_stage(main)
