"""Pictures of how well the policy presses the player's keys. Each function takes arrays and returns a figure.

Conventions: A actions, P predictors, T frames; scores lie in 0..1 and are NaN where undefined.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from stages.evaluation.figures import style
from stages.evaluation.figures.heat_map import DARK, colours, heat_map, in_cells
from stages.evaluation.onsets import holds


def score_heatmap(
    scores: Mapping[str, np.ndarray], predictors: Sequence[str], actions: Sequence[str], *, title: str
) -> Figure:
    """One panel a metric, one row a predictor, one column an action; scores: panel title -> [P, A]."""
    columns = len(scores) if len(actions) <= 5 else min(2, len(scores))
    rows = -(-len(scores) // columns)
    size = (1.9 + columns * max(2.4, 0.72 * len(actions)), 0.5 + rows * (0.7 + 0.36 * len(predictors)))
    figure, axes = style.new_figure(*size, rows, columns, title=title, sharex=True, sharey=True)
    for panel in axes.flat[len(scores) :]:
        panel.set_visible(False)
    for panel, (name, values) in zip(axes.flat, scores.items(), strict=False):
        heat_map(panel, values, in_cells(values, "{:.2f}"), columns=actions, rows=predictors)
        style.title(panel, name)
    return figure


def action_confusions(counts: np.ndarray, actions: Sequence[str], *, title: str) -> Figure:
    """A 2x2 table an action; counts [A, 2, 2] in frames (true state by predicted), shares are of the true state."""
    columns = min(4, len(actions))
    rows = -(-len(actions) // columns)
    figure, axes = style.new_figure(0.7 + 2.3 * columns, 0.6 + 2.3 * rows, rows, columns, title=title)
    for index, panel in enumerate(axes.flat):
        if index >= len(actions):
            panel.set_visible(False)
            continue
        _confusion(panel, np.asarray(counts[index], dtype=float))
        style.title(panel, actions[index])
        if index % columns == 0:
            panel.set_ylabel("player")
        if index // columns == rows - 1 or index + columns >= len(actions):
            panel.set_xlabel("model")
    return figure


def _confusion(axes: Axes, counts: np.ndarray) -> None:
    frames = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, frames, out=np.full(counts.shape, np.nan), where=frames > 0)
    colours(axes, shares, columns=("up", "down"), rows=("up", "down"))
    for true, predicted in np.ndindex(2, 2):
        share = shares[true, predicted]
        dark = bool(share < DARK)
        text = "–" if np.isnan(share) else f"{100 * share:.0f} %"
        style.annotate(axes, predicted, true - 0.1, text, on_dark=dark, size=12)
        style.annotate(axes, predicted, true + 0.2, f"{counts[true, predicted]:,.0f}", on_dark=dark, size=8)


def key_timeline(
    times: np.ndarray,
    truth: np.ndarray,
    pressed: np.ndarray,
    probabilities: np.ndarray,
    thresholds: Sequence[float],
    actions: Sequence[str],
    *,
    title: str,
) -> Figure:
    """A stretch of one episode, one lane an action: the player's key above the model's, its probability below.

    times [T] in seconds from the start of the episode; truth, pressed 0/1 and probabilities [T, A].
    """
    figure, axes = style.new_figure(11, 1.0 + 1.15 * len(actions), len(actions), 1, title=title, sharex=True)
    last_s = np.median(np.diff(times)) if len(times) > 1 else 1.0
    edges = np.r_[times, times[-1] + last_s]
    for index, (lane, action) in enumerate(zip(axes[:, 0], actions, strict=True)):
        bars = ((truth[:, index], 1.45, style.HUMAN), (pressed[:, index], 1.1, style.MODEL))
        for held, bottom, color in bars:
            spans = [(edges[start], edges[stop] - edges[start]) for start, stop in holds(held)]
            lane.broken_barh(spans, (bottom, 0.3), color=color, linewidth=0)
        lane.fill_between(edges[:-1], probabilities[:, index], step="post", color=style.MODEL, alpha=0.18, linewidth=0)
        lane.step(edges[:-1], probabilities[:, index], where="post", color=style.MODEL, linewidth=1.1)
        lane.axhline(thresholds[index], color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        lane.set_ylim(0, 1.8)
        lane.set_yticks([0, 1], ["0", "1"])
        lane.set_ylabel(action, rotation=0, ha="right", va="center", fontweight="bold", labelpad=4)
        style.grid(lane, "x")
    axes[-1, 0].set_xlim(edges[0], edges[-1])
    axes[-1, 0].set_xlabel("seconds into the episode")
    keys = [
        Patch(color=style.HUMAN, label="player holds the key"),
        Patch(color=style.MODEL, label="model holds the key"),
        Patch(color=style.MODEL, alpha=0.25, label="model's probability"),
        Line2D([], [], color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 2)), label="threshold"),
    ]
    style.legend(figure, handles=keys, loc="outside lower center", ncols=4)
    return figure


def eventful_stretch(truth: np.ndarray, times: np.ndarray, episode: np.ndarray, *, seconds: float) -> slice:
    """The frames, of one episode and at most `seconds` long, in which the player's presses are worth most.

    A press counts one over how often its action is pressed at all, so that rare actions are seen.
    It is chosen by what the player did only. truth 0/1 [N, A], times [N] in s, episode [N].
    """
    same = episode[1:] == episode[:-1]
    rising = (np.diff(np.asarray(truth, dtype=int), axis=0) == 1) & same[:, None]
    worth = np.r_[0.0, (rising / np.maximum(rising.sum(axis=0), 1)).sum(axis=1)]
    total = np.r_[0.0, np.cumsum(worth)]
    best, chosen = -1.0, slice(0, 1)
    for number in range(int(episode[-1]) + 1):
        first, stop = np.searchsorted(episode, [number, number + 1])
        starts = np.arange(first, stop)
        ends = first + np.searchsorted(times[first:stop], times[starts] + seconds)
        values = total[ends] - total[starts]
        # Of equally good ones the longest: a stretch that is cut off by the end of the episode shows less.
        index = int(np.lexsort((ends - starts, values))[-1])
        if values[index] > best:
            best, chosen = float(values[index]), slice(int(starts[index]), int(ends[index]))
    return chosen


def score_bars(
    intervals: np.ndarray,
    predictors: Sequence[str],
    playable: Sequence[bool],
    actions: Sequence[str],
    *,
    title: str,
    label: str,
) -> Figure:
    """One group of bars an action, one bar a predictor with its interval (value, low, high): [P, A, 3].

    The first predictor is the model; those that are not playable are hatched.
    """
    figure, axes = style.new_figure(max(6.0, 1.6 + 2.1 * len(actions)), 4.0, title=title)
    panel, width = axes[0, 0], 0.86 / len(predictors)
    greys = iter(style.greys(max(sum(playable) - 1, 0)))
    for number, (name, scores) in enumerate(zip(predictors, intervals, strict=True)):
        values, lows, highs = scores.T
        if number == 0:
            look = {"color": style.MODEL}
        elif playable[number]:
            look = {"color": next(greys)}
        else:
            look = {"color": "white", "edgecolor": style.MUTED, "hatch": "////"}
        x = np.arange(len(actions)) + (number - (len(predictors) - 1) / 2) * width
        shown = np.isfinite(values)
        label_of = name if playable[number] else f"{name} (not playable)"
        panel.bar(x[shown], values[shown], width * 0.92, label=label_of, **look)
        _whiskers(panel, x, values, lows, highs)
        if number == 0:
            tops = np.nan_to_num(np.where(np.isfinite(highs), highs, values))
            for at, top, value in zip(x, tops, values, strict=True):
                text = "–" if np.isnan(value) else f"{value:.2f}"
                panel.text(at, top + 0.02, text, ha="center", fontsize=9, fontweight="bold")
    panel.set_xticks(range(len(actions)), actions, fontweight="bold")
    panel.set_ylim(0, 1.09)
    panel.set_ylabel(label)
    style.grid(panel)
    style.legend(figure, loc="outside lower center", ncols=min(3, len(predictors)))
    return figure


def _whiskers(axes: Axes, x: np.ndarray, values: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> None:
    known = np.isfinite(values) & np.isfinite(lows) & np.isfinite(highs)
    if known.any():
        below, above = np.maximum(values - lows, 0)[known], np.maximum(highs - values, 0)[known]
        axes.errorbar(x[known], values[known], [below, above], fmt="none", ecolor=style.INK, elinewidth=1, capsize=2)
