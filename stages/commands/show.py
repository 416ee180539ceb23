"""`make show`: the experiments as a table of at most 120 columns, best first by validation.

The rows are those of `dvc exp show`; columns are the params that differ and the headline metrics under short names.
"""

import argparse
import textwrap
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from stages.pages.experiments import Experiment, changed_params, finished, ranked, show_experiments
from stages.pages.glossary import HEADLINE
from stages.run import run_stage

WIDTH = 120
NAME_WIDTH = 16
VALUE_WIDTH = 14
LEFT_OUT = "no room for: "
METRICS_AT_LEAST = 4  # columns of metrics that are kept when many params differ


def table_lines(rows: Sequence[Experiment], width: int = WIDTH) -> list[str]:
    """The table as lines of at most `width` characters; what did not fit is named in the last ones."""
    rows = ranked(rows, tuple(HEADLINE))
    names = [name for name in HEADLINE if any(name in row.metrics for row in rows)]
    params = [
        _column(_param_heading(name), [_value(row.params.get(name)) for row in rows]) for name in changed_params(rows)
    ]
    metrics = [
        _column(HEADLINE[name].heading, [_number(row.metrics.get(name), HEADLINE[name].digits) for row in rows])
        for name in names
    ]
    first = _column(("", "experiment"), [_cut(row.name, NAME_WIDTH) for row in rows], left=True)
    reserved = sum(_width(column) for column in metrics[:METRICS_AT_LEAST])
    shown_params = _fitting(params, width - _width(first) - reserved)
    used = _width(first) + sum(_width(column) for column in shown_params)
    shown_metrics = _fitting(metrics, width - used)
    columns = [first, *shown_params, *shown_metrics]
    lines = ["".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    lines.insert(2, "-" * max(len(line) for line in lines))
    left_out = changed_params(rows)[len(shown_params) :] + names[len(shown_metrics) :]
    indents = {"initial_indent": LEFT_OUT, "subsequent_indent": " " * len(LEFT_OUT)}
    return lines + textwrap.wrap(", ".join(left_out), width, break_long_words=False, break_on_hyphens=False, **indents)


def unfinished_lines(rows: Sequence[Experiment]) -> list[str]:
    """One line for each experiment that is queued, running or failed."""
    return [f"{row.state}: {row.name}" for row in rows if row.kind == "experiment" and row.state != "done"]


def _column(heading: tuple[str, str], cells: list[str], *, left: bool = False) -> list[str]:
    """Padded cells, two lines of heading first, one blank to the right of a left and to the left of a right column."""
    cells = [*heading, *cells]
    width = max(len(cell) for cell in cells)
    return [f"{cell:<{width}} " if left else f" {cell:>{width}}" for cell in cells]


def _width(column: list[str]) -> int:
    return len(column[0])


def _fitting(columns: list[list[str]], width: int) -> list[list[str]]:
    ends = accumulate(map(_width, columns))
    return [column for column, end in zip(columns, ends, strict=True) if end <= width]


def _param_heading(name: str) -> tuple[str, str]:
    section, _, key = name.rpartition(".")
    return _cut(section, max(len(key), 7)), _cut(key, VALUE_WIDTH)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return _cut(",".join(str(item) for item in value), VALUE_WIDTH)
    return _cut("-" if value is None else str(value), VALUE_WIDTH)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--all-commits", action="store_true", help="experiments of every commit, not only this one")
    rows = show_experiments(all_commits=arguments.parse_args().all_commits)
    done = finished(rows)
    if not done:
        raise ValueError("no experiment with metrics yet; run `dvc repro` or `dvc exp run` first")
    print("\n".join(table_lines(done) + unfinished_lines(rows)))


if __name__ == "__main__":
    run_stage(main)
