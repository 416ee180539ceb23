"""Kinds of policy side by side: how they score and play, and what each presses in the same stretch of an episode."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures import style
from stages.evaluation.onsets import holds

PANELS = {
    "return_fraction": "Way to the player, test games",
    "onset_f1": "Onset F1, test",
    "ap": "Average precision, test",
}


def policies_figure(rows: Sequence[Mapping]) -> Figure:
    """A panel a score of PANELS, a line a kind: a dot a training with its 95 % interval; None is left out."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    figure, axes = style.new_figure(12, 1.4 + 0.34 * len(kinds), cols=len(PANELS), sharey=True)
    for axis, (name, words) in zip(axes[0], PANELS.items(), strict=True):
        for row in rows:
            if row[name] is None:
                continue
            place, color = kinds.index(row["kind"]), style.action_color(0)
            axis.plot([row[f"{name}_low"], row[f"{name}_high"]], [place] * 2, color=color, alpha=0.4)
            axis.plot(row[name], place, "o", color=color, markersize=5)
        style.title(axis, words)
        style.grid(axis, "x")
    axes[0, 0].axvline(1, color=style.MUTED, linewidth=1, linestyle="--")
    axes[0, 0].set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    axes[0, 0].set_ylim(len(kinds) - 0.5, -0.5)
    return figure


def keys_of_all(
    times: np.ndarray, truth: np.ndarray, pressed: Mapping[str, np.ndarray], actions: Sequence[str], *, title: str
) -> Figure:
    """A stretch of one episode, a panel an action: the player's key on top, below it that of every kind.

    times [T] in seconds from the start of the episode; truth and each of `pressed` 0/1 [T, A].
    """
    lanes = {"player": truth, **pressed}
    figure, axes = style.new_figure(
        11, 0.8 + len(actions) * (0.3 + 0.17 * len(lanes)), len(actions), 1, title=title, sharex=True
    )
    edges = np.r_[times, times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1.0)]
    for index, (axis, action) in enumerate(zip(axes[:, 0], actions, strict=True)):
        for lane, (name, held) in enumerate(lanes.items()):
            spans = [(edges[start], edges[stop] - edges[start]) for start, stop in holds(held[:, index])]
            color = style.HUMAN if name == "player" else style.MODEL
            axis.broken_barh(spans, (lane - 0.35, 0.7), color=color, linewidth=0)
        axis.set_yticks(range(len(lanes)), [name.replace("_", " ") for name in lanes], fontsize=7)
        axis.set_ylim(len(lanes) - 0.5, -0.5)
        axis.set_ylabel(action, fontweight="bold")
        style.grid(axis, "x")
    axes[-1, 0].set_xlim(edges[0], edges[-1])
    axes[-1, 0].set_xlabel("seconds into the episode")
    return figure
