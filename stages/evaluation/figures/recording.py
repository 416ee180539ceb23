"""A session at a glance: frame intervals, repeats, episodes and the keys as lanes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures import style

LANE = 0.8


def session_figure(
    name: str,
    times: np.ndarray,
    repeats: np.ndarray,
    spans: Mapping[str, np.ndarray],
    episodes: Sequence[tuple[float, float]],
    verdict: str,
) -> Figure:
    """`times` float64 [T] in s, `repeats` bool [T], `spans`: key -> presses [P, 2] in s, `episodes`: (start, end)."""
    since = times - times[0]
    rows = max(len(spans), 1)
    figure, axes = style.new_figure(
        11, 3.2 + 0.32 * rows, rows=2, title=f"{name}: {verdict}", height_ratios=[2.2, 0.6 + 0.32 * rows], sharex=True
    )
    top, bottom = axes[:, 0]
    if len(times) > 1:
        interval_ms = np.diff(times) * 1000
        top.plot(since[1:], interval_ms, ".", markersize=2.5, color=style.HUMAN)
        again = np.flatnonzero(repeats[1:])
        top.plot(
            since[1:][again], interval_ms[again], "x", markersize=4, color=style.BAD, label="repeats the one before"
        )
        top.set_ylim(0, max(float(np.percentile(interval_ms, 99.5)) * 1.5, 1.0))
        if len(again):
            style.legend(top, loc="upper right")
    top.set_ylabel("frame interval, ms")
    style.grid(top)
    for row, presses in enumerate(spans.values()):
        down = presses[:, 0] - times[0]
        up = np.minimum(presses[:, 1] - times[0], since[-1])
        widths = np.maximum(up - down, 0)
        bottom.broken_barh(list(zip(down, widths, strict=True)), (row - LANE / 2, LANE), color=style.action_color(row))
    bottom.set_yticks(range(len(spans)), list(spans))
    bottom.set_ylim(rows - 0.4, -0.6)
    bottom.set_xlabel("seconds since the first frame; shaded: episodes")
    for start, end in episodes:
        for panel in (top, bottom):
            panel.axvspan(start - times[0], min(end - times[0], since[-1]), color=style.GRID, alpha=0.5, zorder=0)
    return figure
