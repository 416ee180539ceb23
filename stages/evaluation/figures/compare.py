"""Figures of the comparison page: experiments side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.evaluation.figures import style
from stages.evaluation.figures.heat_map import heat_map, in_cells
from stages.evaluation.onsets import holds


def metric_heatmap(values: np.ndarray, metrics: Sequence[str], models: Sequence[str], lower: Sequence[bool]) -> Figure:
    """Every metric of every model; values [M, E], NaN where there is none.

    The colour says where a model lies between the worst (0) and the best (1) of its row; `lower` [M] marks the
    metrics whose smallest value is the best.
    """
    values = np.asarray(values, dtype=float)
    size = 2.6 + 1.0 * len(models), 1.6 + 0.27 * len(metrics)
    figure, axes = style.new_figure(*size, title="Every validation metric (bright: best of its row)")
    shades = row_shades(values, lower)
    words = in_cells(values, np.where(np.abs(values) < 100, "{:.3f}", "{:.0f}"))
    columns = [name.replace(", ", "\n") for name in models]
    heat_map(axes[0, 0], shades, words, columns=columns, rows=metrics, size=8)
    axes[0, 0].xaxis.tick_top()
    axes[0, 0].tick_params(labelsize=8)
    return figure


def row_shades(values: np.ndarray, lower: Sequence[bool]) -> np.ndarray:
    """[M, E] -> 0 for the worst and 1 for the best of each row; a row without differences is 0.5, NaN stays."""
    signed = np.where(np.asarray(lower, dtype=bool)[:, None], -values, values)
    filled = np.where(np.isnan(signed), np.inf, signed)
    worst = filled.min(axis=1, keepdims=True)
    best = np.where(np.isnan(signed), -np.inf, signed).max(axis=1, keepdims=True)
    spread = np.where(np.isfinite(best - worst), best - worst, 0)
    return np.where(
        np.isnan(values),
        np.nan,
        np.divide(signed - worst, spread, out=np.full(values.shape, 0.5), where=spread > 1e-12),
    )


def ranking(values: np.ndarray, lows: np.ndarray, highs: np.ndarray, models: Sequence[str], criterion: str) -> Figure:
    """The models from best (top) to worst by one metric, with intervals; values, lows, highs [E], NaN where unknown."""
    figure, axes = style.new_figure(8.5, 1.0 + 0.36 * len(models), title=criterion)
    axis = axes[0, 0]
    places = np.arange(len(models))
    known = np.isfinite(values) & np.isfinite(lows) & np.isfinite(highs)
    axis.hlines(places[known], lows[known], highs[known], color=style.MUTED, linewidth=2)
    axis.plot(values, places, "o", color=style.MODEL, markersize=7)
    _name_lanes(axis, models)
    return figure


def _name_lanes(axis: Axes, names: Sequence[str]) -> None:
    """The first at the top."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    style.grid(axis, "x")


def latent_size(
    curves: Mapping[str, Sequence[tuple[float, float]]], levels: Mapping[str, Mapping[str, float]]
) -> Figure:
    """What the latent size does: one panel a metric; `curves` metric -> (latent_dim, value) of every dense model,
    `levels` metric -> name -> value of what has no size (the spatial latent, the raw frame)."""
    figure, axes = style.new_figure(4.3 * len(curves), 3.4, 1, len(curves))
    for axis, (name, points) in zip(axes[0], curves.items(), strict=True):
        sizes = sorted({size for size, _ in points})
        means = [np.mean([value for size, value in points if size == wanted]) for wanted in sizes]
        axis.plot(sizes, means, "-", color=style.MODEL, linewidth=1.5)
        axis.plot(*np.transpose(points), "o", color=style.MODEL, label="dense latent")
        for i, (words, value) in enumerate(levels.get(name, {}).items()):
            axis.axhline(value, color=style.MUTED, linestyle=("--", ":", "-.")[i % 3], label=words)
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [str(int(size)) for size in sizes])
        axis.minorticks_off()
        axis.set_xlabel("numbers in the latent")
        style.title(axis, name)
        style.grid(axis)
    handles = {
        words: handle for axis in axes[0] for handle, words in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    style.legend(
        figure, handles=list(handles.values()), labels=list(handles), loc="outside lower center", ncols=len(handles)
    )
    return figure


def best_timelines(
    times: np.ndarray, truth: np.ndarray, pressed: Mapping[str, np.ndarray], actions: Sequence[str], title: str
) -> Figure:
    """The same stretch for several models: for each action the player's keys, then each model's.

    times [T] in s, truth and every value of `pressed` 0/1 [T, A].
    """
    figure, axes = style.new_figure(11, 0.9 + len(actions) * (0.3 + 0.24 * (1 + len(pressed))), len(actions), 1,
                                    title=title, sharex=True)  # fmt: skip
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    rows = {"player": truth, **pressed}
    for i, (axis, action) in enumerate(zip(axes[:, 0], actions, strict=True)):
        for lane, keys in enumerate(rows.values()):
            spans = [(float(times[start]), (stop - start) * step) for start, stop in holds(keys[:, i])]
            axis.broken_barh(spans, (lane - 0.4, 0.8), color=style.HUMAN if lane == 0 else style.MODEL)
        axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlim(float(times[0]), float(times[-1]) + step)
        axis.tick_params(length=0)
        style.title(axis, action)
    axes[-1, 0].set_xlabel("seconds since the start of the episode")
    return figure


def train_gap(train: np.ndarray, val: np.ndarray, models: Sequence[str], title: str) -> Figure:
    """A line from val to train for each model, [E] each: the longer, the more it learned by heart."""
    figure, axes = style.new_figure(8.5, 1.0 + 0.36 * len(models), title=title)
    axis = axes[0, 0]
    places = np.arange(len(models))
    axis.hlines(places, val, train, color=style.MUTED, linewidth=2)
    axis.plot(val, places, "o", color=style.MODEL, label="val")
    axis.plot(train, places, "o", color=style.HUMAN, label="train")
    _name_lanes(axis, models)
    style.legend(axis, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # above: lines may end anywhere inside
    return figure
