"""Figures of the report: the curves of the trainings."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures import style

Curve = tuple[np.ndarray, np.ndarray]  # steps [E], values [E]
COLUMNS = 3
COLORS = {"train": style.HUMAN, "val": style.MODEL}


def read_curves(live: Path) -> dict[str, dict[str, Curve]]:
    """The TSV files of a dvclive folder: metric -> part ("train", "val", "" for others) -> curve; empty without any."""
    metrics = live / "plots" / "metrics"
    curves: dict[str, dict[str, Curve]] = {}
    for path in sorted(metrics.rglob("*.tsv")):
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        values = np.array([[float(cell or "nan") for cell in line.split("\t")[:2]] for line in lines]).reshape(-1, 2)
        *folders, name = path.relative_to(metrics).with_suffix("").parts
        part = folders[0] if folders and folders[0] in COLORS else ""
        if part:
            folders = folders[1:]
        curves.setdefault("/".join([*folders, name]), {})[part] = values[:, 0], values[:, 1]
    return curves


def training_curves(curves: Mapping[str, Mapping[str, Curve]], *, title: str) -> Figure:
    """One panel a metric, train and val in it where both are measured; those with both come first."""
    names = sorted(curves, key=lambda name: (-len(curves[name]), name != "loss", "" in curves[name], name))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, axes = style.new_figure(1 + 3.4 * columns, 0.5 + 2.2 * rows, rows, columns, title=title)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        for part, (steps, values) in sorted(curves[name].items()):
            axis.plot(steps, values, "o-", markersize=3, color=COLORS.get(part, style.MUTED), label=part or name)
        if len(curves[name]) > 1:
            style.legend(axis)
        axis.xaxis.get_major_locator().set_params(integer=True)
        style.title(axis, name if len(curves[name]) > 1 else f"{name} {next(iter(curves[name]))}".strip())
        style.grid(axis)
    return figure
