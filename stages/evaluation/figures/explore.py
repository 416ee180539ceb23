"""Pictures of what was recorded: class balance, hold times, actions held together. Arrays in, a figure out.

Conventions: A actions in the order of their columns; shares lie in 0..1.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from stages.evaluation.figures import style
from stages.evaluation.figures.heat_map import heat_map, in_cells

NOTE_WIDTH = 26  # characters of a line in a panel
BAR = 0.8  # of the room between two actions
SPLIT_COLORS = ("#3b3b3b", "#8a8a8a", "#c4c4c4")
SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 300)


def balance_bars(
    shares: Mapping[str, np.ndarray], presses: Mapping[str, np.ndarray], actions: Sequence[str], *, min_presses: int
) -> Figure:
    """Share of active frames a scope, and presses a split: each a mapping from legend entry to [A]."""
    figure, axes = style.new_figure(10, 1.8 + 0.5 * len(actions), 1, 2, title="What was recorded", sharey=True)
    left, right = axes[0]
    _bars(left, {name: values * 100 for name, values in shares.items()}, "{:.1f} %", (style.HUMAN, "#9ecae1"))
    style.title(left, "frames in which an action is held")
    left.set_xlabel("% of frames")
    left.set_yticks(range(len(actions)), actions)
    left.invert_yaxis()
    _bars(right, presses, "{:.0f}", SPLIT_COLORS)
    style.title(right, "presses inside episodes")
    right.set_xlabel("presses")
    right.axvline(min_presses, color=style.INK, linewidth=1, linestyle=":", label=f"fewer than {min_presses}: too few")
    for panel in (left, right):
        style.grid(panel, "x")
        panel.set_xlim(0, 1.18 * panel.get_xlim()[1])
        handles = sorted(panel.get_legend_handles_labels()[0], key=lambda handle: isinstance(handle, Line2D))
        below = -0.6 / len(actions) - 0.02
        style.legend(panel, handles=handles, loc="upper left", bbox_to_anchor=(0, below), ncols=4, columnspacing=1.2)
    return figure


def _bars(axes: Axes, groups: Mapping[str, np.ndarray], number: str, colors: Sequence[str]) -> None:
    height = BAR / len(groups)
    for row, ((name, values), color) in enumerate(zip(groups.items(), colors, strict=False)):
        places = np.arange(len(values)) - BAR / 2 + (row + 0.5) * height
        bars = axes.barh(places, np.nan_to_num(values), height * 0.9, color=color, label=name)
        labels = ["–" if np.isnan(value) else number.format(value) for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=8, color=style.MUTED)


def hold_histograms(
    holds: Mapping[str, np.ndarray], notes: Mapping[str, str], *, frame_s: float, reflex_hold_s: float
) -> Figure:
    """How long each action is held: holds maps it to the lengths of its presses in seconds, notes to a few words."""
    columns = min(4, len(holds))
    rows = -(-len(holds) // columns)
    longest = max((values.max() for values in holds.values() if len(values)), default=0)
    edges = _edges(longest, frame_s)
    title = "How long actions are held inside episodes"
    figure, axes = style.new_figure(0.8 + 2.6 * columns, 0.7 + 2.2 * rows, rows, columns, title=title, sharex=True)
    for index, panel in enumerate(axes.flat):
        if index >= len(holds):
            panel.set_visible(False)
            continue
        name, values = list(holds.items())[index]
        panel.hist(values, bins=edges, color=style.action_color(index))
        panel.axvline(reflex_hold_s, ymax=0.8, color=style.MUTED, linewidth=1, linestyle=":")
        style.title(panel, name)
        panel.text(
            0.98,
            0.97,
            textwrap.fill(notes[name], NOTE_WIDTH),
            transform=panel.transAxes,
            ha="right",
            va="top",
            fontsize=9,
        )
        panel.set_ylim(0, 1.25 * max(panel.get_ylim()[1], 1))
        panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        _seconds(panel, edges)
        if index % columns == 0:
            panel.set_ylabel("presses")
        if index + columns >= len(holds):
            panel.set_xlabel("seconds held")
            panel.tick_params(labelbottom=True)
    return figure


def _edges(longest: float, frame_s: float) -> np.ndarray:
    """Bins between whole numbers of frames, wider from bin to bin: labels know no fraction of a frame."""
    frames = np.geomspace(1, max(longest / frame_s, 10) + 1, 20)
    return (np.unique(np.round(frames)) - 0.5) * frame_s


def _seconds(axes: Axes, edges: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    style.grid(axes)
    ticks = [tick for tick in SECONDS if edges[0] <= tick <= edges[-1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def together_map(pairs: np.ndarray, at_once: np.ndarray, actions: Sequence[str]) -> Figure:
    """Which actions are held together: pairs [A, A] and at_once [A + 1] in frames (`balance.together`)."""
    size = 0.62 * len(actions)
    figure, axes = style.new_figure(
        6.6 + size, 2.0 + size, 1, 2, title="Actions held at the same time, inside episodes", width_ratios=[1.15, 1]
    )
    left, right = axes[0]
    held = np.diag(pairs)[:, None]
    shares = np.divide(pairs, held, out=np.full(pairs.shape, np.nan), where=held > 0)
    np.fill_diagonal(shares, np.nan)
    words = np.where(np.eye(len(actions), dtype=bool), "", in_cells(shares, "{:.0%}"))
    heat_map(left, shares, words, columns=actions, rows=actions)
    left.set_facecolor(style.GRID)
    left.set_ylabel("while this one is held ...")
    style.title(left, "... how often that one is too")
    _at_once(right, at_once)
    return figure


def _at_once(axes: Axes, frames: np.ndarray) -> None:
    shares = 100 * frames / max(frames.sum(), 1)
    bars = axes.bar(range(len(shares)), shares, 0.7, color=style.HUMAN)
    axes.bar_label(bars, [f"{share:.1f}" for share in shares], padding=2, fontsize=8, color=style.MUTED)
    style.title(axes, "actions at once")
    axes.set_xlabel("actions held in a frame")
    axes.set_ylabel("% of frames")
    axes.set_xticks(range(len(shares)))
    style.grid(axes)
