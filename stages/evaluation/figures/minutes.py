"""What more recordings are worth: how far the agent comes, over the minutes that were recorded for it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.style import MUTED, action_color, grid, new_figure, title


def minutes_figure(rows: Sequence[Mapping]) -> Figure:
    """Two panels over the minutes: return_fraction in test games with 95 % intervals, and onset F1.

    A dot is a training; the line joins the means of those from as many sessions. What is undefined (None) is left out.
    """
    figure, axes = new_figure(12, 4.6, cols=2)
    for axis, name, words in zip(
        axes[0], ("return_fraction", "onset_f1"), ("Share of the way to the player, test games", "Onset F1, test"),
        strict=True,
    ):  # fmt: skip
        known = [row for row in rows if row[name] is not None]
        counts = sorted({row["sessions"] for row in known})
        minutes, values = (
            [np.mean([row[key] for row in known if row["sessions"] == count]) for count in counts]
            for key in ("minutes", name)
        )
        axis.plot(minutes, values, "-", color=action_color(0))
        for row in known:
            axis.plot(row["minutes"], row[name], "o", color=action_color(0), markersize=4)
            if row.get(f"{name}_low") is not None:
                ends = [row[f"{name}_low"], row[f"{name}_high"]]
                axis.plot([row["minutes"]] * 2, ends, color=action_color(0), alpha=0.4)
        axis.set_xscale("log")
        axis.set_xticks(minutes, [f"{value:.1f}" for value in minutes])
        axis.minorticks_off()
        axis.set_xlabel("minutes of training and validation")
        title(axis, words)
        grid(axis)
    axes[0, 0].axhline(1, color=MUTED, linewidth=1, linestyle="--")
    return figure
