"""What few labels are worth: the accuracy of pseudo-labels and the scores of policies, over the number of labels."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.evaluation.figures.style import MUTED, action_color, grid, legend, new_figure, title

Line = Sequence[tuple[int, float, float | None, float | None]]  # labels, value, low, high


def accuracy_figure(exact: Mapping[str, Line], macro_f1: Mapping[str, Line]) -> Figure:
    """Two panels, a line for each labeller."""
    figure, axes = new_figure(12, 5.2, cols=2)
    panels = ("Pseudo-labels with all keys right", exact), ("Macro F1 of pseudo-labels", macro_f1)
    for axis, (words, lines) in zip(axes[0], panels, strict=True):
        _lines(axis, lines)
        title(axis, f"{words}, test transitions")
        axis.set_ylim(0, 1)
    legend(figure, handles=axes[0, 0].lines, loc="outside lower center", ncols=3)
    return figure


def returns_figure(returns: Mapping[str, Line], marks: Mapping[str, float]) -> Figure:
    """Mean return over labels, a line for each policy; `marks` are levels that need no labels or all."""
    figure, axes = new_figure(9, 5.4)
    axis = axes[0, 0]
    for name, value in marks.items():
        axis.axhline(value, color=MUTED, linewidth=1, linestyle="--")
        axis.annotate(name, (0.995, value), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                      fontsize=9, color=MUTED)  # fmt: skip
    _lines(axis, returns)
    title(axis, "Mean score of the test games")
    legend(figure, handles=axis.lines[len(marks) :], loc="outside lower center", ncols=1)
    return figure


def _lines(axis: Axes, lines: Mapping[str, Line]) -> None:
    for number, (name, points) in enumerate(lines.items()):
        labels, values, low, high = zip(*points, strict=True)
        color = action_color(number)
        axis.plot(labels, values, "o-", color=color, label=name, markersize=4)
        if None not in (*low, *high):
            axis.fill_between(labels, low, high, color=color, alpha=0.15, linewidth=0)
    counts = sorted({point[0] for points in lines.values() for point in points})
    axis.set_xscale("log")
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.minorticks_off()
    axis.set_xlabel("labelled transitions")
    grid(axis)
