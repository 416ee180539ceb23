"""How well a press is foreseen, over how long before it the window ends."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures.style import MUTED, action_color, grid, new_figure, title

BINS = 20  # of the histograms of probabilities


def lead_time_figure(rows: Sequence[Mapping], actions: Sequence[str], fps: float, against: Sequence[str]) -> Figure:
    """A panel for each kind of moments without a press (`against`), a line an action: AUC over the lead in s.

    Lines are of the whole window with 95 % intervals, hollow dots of the last frame alone; the dashed line is chance.
    """
    figure, axes = new_figure(4.2 * len(against), 4.2, cols=len(against), sharey=True)
    for axis, kind in zip(axes[0], against, strict=True):
        for index, action in enumerate(actions):
            own = [row for row in rows if (row["action"], row["against"]) == (action, kind) and row["auc"] is not None]
            curve = sorted((row for row in own if row["from"] == "window"), key=lambda row: row["lead"])
            color, shift = action_color(index), 0.004 * (index - (len(actions) - 1) / 2)
            leads = [row["lead"] / fps + shift for row in curve]
            axis.plot(leads, [row["auc"] for row in curve], "o-", color=color, markersize=4, label=action)
            for lead, row in zip(leads, curve, strict=True):
                if row["auc_low"] is not None:
                    axis.plot([lead] * 2, [row["auc_low"], row["auc_high"]], color=color, alpha=0.4)
            for row in own:
                if row["from"] == "last_frame":
                    axis.plot(row["lead"] / fps + shift, row["auc"], "o", color=color, markerfacecolor="none")
        axis.axhline(0.5, color=MUTED, linewidth=1, linestyle="--")
        axis.set_xlabel("s from the window's end to the press")
        title(axis, f"against {kind} moments")
        grid(axis)
    axes[0, 0].set_ylabel("AUC")
    axes[0, 0].legend(loc="lower left")
    return figure


def answers_figure(answers: Mapping[str, Mapping[str, Sequence[float]]], kinds: Sequence[str]) -> Figure:
    """A panel an action: how often the network gives which probability of a press, a line a kind of moment."""
    figure, axes = new_figure(3.6 * len(answers), 3.2, cols=len(answers), sharey=True)
    for axis, (action, own) in zip(axes[0], answers.items(), strict=True):
        for index, kind in enumerate(kinds):
            if len(own.get(kind, ())):
                shares = np.histogram(own[kind], bins=BINS, range=(0, 1))[0] / len(own[kind])
                axis.stairs(shares, np.linspace(0, 1, BINS + 1), color=action_color(index), label=kind)
        axis.set_xlabel("probability of a press")
        title(axis, action)
        grid(axis)
    axes[0, 0].set_ylabel("share of the moments")
    axes[0, 0].legend()
    return figure
