"""What everybody who plays earned in the game."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures import style


def returns_figure(returns: Mapping[str, Sequence[float]]) -> Figure:
    """A lane for each who plays: every episode a dot, the mean a bar; `returns` {who: scores of the episodes}."""
    figure, axes = style.new_figure(8.5, 0.9 + 0.5 * len(returns), title="Score of every game played")
    axis = axes[0, 0]
    for lane, (name, scores) in enumerate(reversed(returns.items())):
        scores = np.asarray(scores, float)
        spread = np.random.default_rng(lane).uniform(-0.28, 0.28, len(scores))
        color = style.action_color(0) if name == "agent" else style.action_color(1)
        axis.plot(scores, lane + spread, ".", markersize=4, alpha=0.35, color=color)
        axis.plot([scores.mean()] * 2, [lane - 0.38, lane + 0.38], color=color, linewidth=3)
    axis.set_yticks(range(len(returns)), [name.replace("_", " ") for name in reversed(returns)])
    axis.set_xlabel("score (the bar is the mean)")
    style.grid(axis)
    return figure
