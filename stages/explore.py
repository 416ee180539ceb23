"""Stage explore: what was recorded, and is it enough? -> reports/explore: tables, figures, warnings in words."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from stages.episodes import balance
from stages.episodes.balance import Balance, Hold, Stretch
from stages.episodes.splits import SPLITS
from stages.episodes.store import EpisodeStore
from stages.episodes.timelines import frame_interval, read_timelines
from stages.evaluation.figures import explore as figures
from stages.evaluation.figures import style
from stages.params import read_params
from stages.paths import EPISODES, REPORTS, TIMELINES
from stages.run import run_stage

OUT = REPORTS / "explore"


def main() -> None:
    params = read_params()
    timelines = read_timelines(TIMELINES)
    splits = {(episode.session, episode.episode): episode.split for episode in EpisodeStore(EPISODES).episodes()}
    names = next(iter(timelines.values())).action_names
    if not names:
        raise ValueError(
            f"{TIMELINES} come from pictures without a key log: there are no actions to look at. "
            f"Latent actions need none: dvc repro evaluate_latent_action"
        )
    whole, episodes = balance.stretches(timelines, splits)
    everywhere = balance.balance_of(whole, names, scope=balance.WHOLE)
    inside = balance.balance_of(episodes, names, scope=balance.EPISODES)
    overall = [row for row in inside if row.split == balance.ALL]
    kinds = {row.action: balance.kind_of(row, params.explore.reflex_hold_s) for row in overall}
    limits = {"min_presses": params.explore.min_presses, "min_share": params.explore.min_share}
    warnings = balance.warnings_of(inside, episodes, **limits)

    build = OUT.with_name(OUT.name + ".partial")
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    write_table(build / "balance.csv", [asdict(row) | {"kind": kinds[row.action]} for row in everywhere + inside])
    text = json.dumps({"warnings": warnings}, indent=2, ensure_ascii=False)
    (build / "warnings.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    shares = {"whole recordings": column(everywhere, "share"), "inside episodes": column(inside, "share")}
    presses = {split: column(inside, "presses", split) for split in SPLITS}
    bars = figures.balance_bars(shares, presses, names, min_presses=params.explore.min_presses)
    style.save(bars, build / "balance.png")
    notes = {row.action: note(row, kinds) for row in overall}
    frame_s = float(np.median([frame_interval(timeline.times) for timeline in timelines.values()]))
    write_holds(build, episodes, notes, frame_s=frame_s, reflex_hold_s=params.explore.reflex_hold_s)
    write_together(build, episodes, names)
    shutil.rmtree(OUT, ignore_errors=True)
    build.rename(OUT)

    for row in overall:
        print(f"{row.action}: {row.share:.1%} of the frames of episodes, {row.presses} presses; {notes[row.action]}")
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"wrote {OUT}")


def write_holds(
    folder: Path, episodes: Sequence[Stretch], notes: Mapping[str, str], *, frame_s: float, reflex_hold_s: float
) -> None:
    """holds.csv with a row a press, holds.png with a histogram an action; notes: a few words an action."""
    names = list(notes)
    holds = balance.holds_of(episodes)
    write_table(folder / "holds.csv", [asdict(hold) | {"action": names[hold.action]} for hold in holds], of=Hold)
    lengths = {name: np.array([hold.hold_s for hold in holds if hold.action == i]) for i, name in enumerate(names)}
    figure = figures.hold_histograms(lengths, notes, frame_s=frame_s, reflex_hold_s=reflex_hold_s)
    style.save(figure, folder / "holds.png")


def write_together(folder: Path, episodes: Sequence[Stretch], names: Sequence[str]) -> None:
    """together.csv: frames in which two actions are held; at_once.csv: frames in which n are; and their picture."""
    pairs, at_once = balance.together(episodes, len(names))
    rows = [
        {"action": name} | dict(zip(names, row, strict=True)) for name, row in zip(names, pairs.tolist(), strict=True)
    ]
    write_table(folder / "together.csv", rows)
    write_table(folder / "at_once.csv", [{"actions": n, "frames": frames} for n, frames in enumerate(at_once.tolist())])
    style.save(figures.together_map(pairs, at_once, names), folder / "together.png")


def column(rows: Sequence[Balance], field: str, split: str = balance.ALL) -> np.ndarray:
    """One number an action, float64 [A], in the order of the actions."""
    return np.array([getattr(row, field) for row in rows if row.split == split], dtype=float)


def note(row: Balance, kinds: Mapping[str, str]) -> str:
    """What an action is, in a few words."""
    kind = kinds[row.action]
    return (
        "never pressed"
        if kind == "never"
        else f"{kind}; half of its time is in holds of {row.typical_hold_s:.2g} s or more"
    )


def write_table(path: Path, rows: Sequence[Mapping], of: type | None = None) -> None:
    """A CSV of the rows with a header (of the fields of `of` when there is no row); NaN becomes an empty cell."""
    header = list(rows[0]) if rows else [field.name for field in fields(of)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else round(value, 6)
    return value


if __name__ == "__main__":
    run_stage(main)
