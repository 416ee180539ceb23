"""Pictures of codes: how often each occurs, what each does in the game, how they lie beside the true actions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from stages.evaluation.figures.style import HUMAN, MUTED, action_color, grid, legend, new_figure

MOST_CODES = 64  # that the figure of effects shows: those that occur most
PERPLEXITY, STEPS = 30.0, 500  # of t-SNE: about as many neighbours count


def codes_figure(codes: np.ndarray, count: int, classes: np.ndarray | None, names: Sequence[str]) -> Figure:
    """How often each of `count` codes occurs in codes int [N]; stacked by class int [N] where known."""
    figure, axes = new_figure(9, 3.2)
    bars, places = axes[0, 0], np.arange(count)
    if classes is None:
        bars.bar(places, np.bincount(codes, minlength=count), color=HUMAN)
    else:
        below = np.zeros(count)
        for index, name in enumerate(names):
            held = np.bincount(codes[classes == index], minlength=count)
            bars.bar(places, held, bottom=below, color=_color(index, names), label=name)
            below += held
        legend(bars, ncols=len(names))
    bars.set(xlabel="code", ylabel="transitions")
    if count <= MOST_CODES:
        bars.set_xticks(places)
    bars.margins(y=0.15)
    grid(bars)
    return figure


def effects_figure(codes: np.ndarray, effect: np.ndarray, count: int, name: str) -> Figure:
    """The distribution of what moved, float [N], for each code that occurs: boxes from 5 to 95 %, sorted by median."""
    known = np.isfinite(effect)
    often = np.argsort(-np.bincount(codes, minlength=count), kind="stable")[:MOST_CODES]
    moved = {code: effect[known & (codes == code)] for code in often}
    shown = sorted((code for code in often if len(moved[code])), key=lambda code: np.median(moved[code]))
    figure, axes = new_figure(9, 3.2)
    boxes = axes[0, 0]
    if shown:
        boxes.boxplot(
            [moved[code] for code in shown], whis=(5, 95), showfliers=False, tick_labels=[str(code) for code in shown],
            patch_artist=True, boxprops={"facecolor": HUMAN, "edgecolor": MUTED}, medianprops={"color": "black"},
        )  # fmt: skip
    boxes.set(xlabel="code", ylabel=name.replace("_", " "))
    grid(boxes)
    return figure


def tsne_figure(
    vectors: np.ndarray, codes: np.ndarray, classes: np.ndarray | None, names: Sequence[str], seed: int
) -> Figure:
    """Vectors before quantisation [N, D] in the plane, coloured by true action and by code; codes int [N].

    t-SNE: van der Maaten and Hinton 2008, by scikit-learn. Neighbours in the picture are neighbours in truth;
    distances between groups say nothing.
    """
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    placing = TSNE(perplexity=perplexity, init="pca", max_iter=STEPS, random_state=seed)
    places = placing.fit_transform(vectors.astype(np.float32))
    figure, axes = new_figure(9, 4.4, cols=2)
    by_action, by_code = axes[0]
    if classes is None:
        by_action.scatter(*places.T, s=5, color=MUTED)
        by_action.set_title("no keys were recorded", fontsize=9)
    else:
        for index, name in enumerate(names):
            by_action.scatter(*places[classes == index].T, s=5, color=_color(index, names), label=name)
        legend(by_action, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 0.98))
    by_code.scatter(*places.T, s=5, c=codes, cmap="nipy_spectral")
    for code in np.unique(codes):
        by_code.annotate(str(code), np.median(places[codes == code], axis=0), fontsize=8, ha="center")
    by_code.set_title("by code", fontsize=9)
    for panel in axes[0]:
        panel.set(xticks=[], yticks=[])
    return figure


def _color(index: int, names: Sequence[str]) -> str:
    return MUTED if index == len(names) - 1 else action_color(index)  # the last class is "neither"
