"""Experiments side by side: names, order, tables. Everything here reads validation metrics only."""

from collections.abc import Sequence

import numpy as np

from stages.pages.experiments import Experiment, changed_params
from stages.pages.glossary import HEADLINE, digits_of, headline_first, with_interval
from stages.pages.page import Table, number

CRITERIA = ("val_return_fraction", "val_onset_f1", "val_composite_f1", "val_frame_f1")
KINDS = ("val_", "ae_", "lam_")


def criteria_of(rows: Sequence[Experiment]) -> list[str]:
    """What ranks the rows: the first of CRITERIA that any of them has, the later ones break ties."""
    found = [name for name in CRITERIA if any(name in row.metrics for row in rows)]
    if not found:
        raise ValueError(f"no experiment has any of {', '.join(CRITERIA)}; was its report stage run?")
    return found


def model_labels(rows: Sequence[Experiment]) -> dict[str, str]:
    """A short name for each experiment by name: its params where they differ, "latent_dim 512, lstm, focal".

    A number that changes only together with a word is left out, and so is the size of a spatial latent, which has none.
    """
    names = changed_params(rows)
    words = [name for name in names if isinstance(rows[0].params.get(name), str)]
    names = [n for n in names if n in words or not any(_same_groups(rows, n, word) for word in words)]
    labels = {row.name: _label(row, names) for row in rows}
    doubled = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    return {
        name: f"{label} ({name})" if label in doubled and label != name else label for name, label in labels.items()
    }


def _label(row: Experiment, names: Sequence[str]) -> str:
    if row.params.get("autoencoder.kind") == "spatial":
        names = [name for name in names if name != "latent_dim"]
    return ", ".join(_said(name, row.params.get(name)) for name in names) or row.name


def _same_groups(rows: Sequence[Experiment], one: str, other: str) -> bool:
    """True where two params divide the rows in the same way."""
    pairs = {(str(row.params.get(one)), str(row.params.get(other))) for row in rows}
    return len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs})


def _said(name: str, value) -> str:
    return value if isinstance(value, str) else f"{name.rpartition('.')[2]} {value}"


def metric_names(rows: Sequence[Experiment]) -> list[str]:
    """Every validation metric that a row has, headline first, without the ends of intervals."""
    names = dict.fromkeys(name for row in rows for name in row.metrics if name.startswith(KINDS))
    ends = {name for name in names if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in names}
    plain = {name: None for name in names if name not in ends}
    return list(headline_first(plain, tuple(HEADLINE)))


def told_apart(rows: Sequence[Experiment], criterion: str) -> list[Experiment]:
    """The rows after the first that are clearly worse: their interval ends below the start of the first one's.

    A row without an interval is judged by its value; without an interval of the first nobody is told apart.
    """
    low = rows[0].metrics.get(f"{criterion}_low", -np.inf)
    highest = [row.metrics.get(f"{criterion}_high", row.metrics.get(criterion, -np.inf)) for row in rows[1:]]
    return [row for row, high in zip(rows[1:], highest, strict=True) if high < low]


def headline_table(rows: Sequence[Experiment], labels: dict[str, str]) -> Table:
    """One row a model, one column a headline metric, with intervals."""
    names = [name for name in HEADLINE if any(name in row.metrics for row in rows)]
    head = ["model", *("\n".join(HEADLINE[name].heading) for name in names)]
    cells = [[labels[row.name], *(with_interval(row.metrics, n, HEADLINE[n].digits) for n in names)] for row in rows]
    return Table(head, cells, strong=(0,))


def full_table(rows: Sequence[Experiment], labels: dict[str, str]) -> Table:
    """One row a metric, one column a model, with intervals."""
    head = ["metric", *(labels[row.name].replace(", ", "\n") for row in rows)]
    cells = [
        [name, *(with_interval(row.metrics, name, digits_of(name)) for row in rows)] for name in metric_names(rows)
    ]
    return Table(head, cells)


def gap_pairs(rows: Sequence[Experiment]) -> list[tuple[str, str]]:
    """(metric on train, the same on val) for every metric that is measured on both."""
    names = {name for row in rows for name in row.metrics}
    pairs = []
    for name in sorted(names):
        if "train_" in name and not name.endswith(("_low", "_high")):
            twins = [name.replace("train_", "val_"), name.replace("train_", "")]
            pairs += [(name, twin) for twin in twins if twin in names][:1]
    return pairs


def gap_table(rows: Sequence[Experiment], labels: dict[str, str]) -> Table:
    """How much better each model is on what it learned from."""
    pairs = gap_pairs(rows)
    head = ["model"]
    for _, twin in pairs:
        words = twin.removeprefix("val_").replace("_", " ")
        head += [f"{words}\ntrain", f"{words}\nval", "gap"]
    cells = []
    for row in rows:
        line = [labels[row.name]]
        for train, val in pairs:
            ends = row.metrics.get(train), row.metrics.get(val)
            known = None not in ends
            line += [number(ends[0]), number(ends[1]), f"{ends[0] - ends[1]:+.3f}" if known else "–"]
        cells.append(line)
    return Table(head, cells if pairs else [])


def csv_rows(rows: Sequence[Experiment]) -> list[list]:
    """The comparison as a CSV: rank, name, revision, changed params, every metric; header first."""
    params, metrics = changed_params(rows), list(dict.fromkeys(name for row in rows for name in row.metrics))
    lines = [["rank", "name", "rev", *params, *metrics]]
    for rank, row in enumerate(rows, 1):
        values = [row.params.get(name, "") for name in params] + [row.metrics.get(name, "") for name in metrics]
        lines.append([rank, row.name, row.rev, *values])
    return lines
