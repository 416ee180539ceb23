"""Pictures and videos of latent actions: what is drawn, and how."""

import numpy as np
import pytest

from stages.evaluation.figures.codes import codes_figure, effects_figure, tsne_figure
from stages.evaluation.figures.latent_action import every_code_figure, predictions_figure, rollout_figure
from stages.latent_actions.pictures import tiled
from stages.latent_actions.rollouts import DRIVEN


def test_films_are_shown_side_by_side_with_even_sides():
    frames = np.repeat(np.array([11, 13, 16], np.uint8), 40).reshape(3, 1, 5, 8)
    shown = list(tiled({"true": frames, "a": frames, "b": frames, "c": frames, "d": frames}))
    assert len(shown) == 3 and all(side % 2 == 0 for side in shown[0].shape[:2]) and shown[0].dtype == np.uint8


def test_a_roll_out_is_drawn_with_a_line_for_each_way_of_driving():
    figure = rollout_figure(np.array([[30.0, 29.0, 28.0, 27.0], [29.0, 27.0, 26.0, 27.0]]), DRIVEN)
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[30, 29], [29, 27], [28, 26], [27, 27]]


def test_figures_are_drawn_grey_and_in_colour():
    for channels in (1, 3):
        frames = np.full((2, channels, 8, 12), 100, np.uint8)
        assert len(predictions_figure(frames, frames, frames.astype(np.float32)).axes) == 5 * 2 + 1
        grid = every_code_figure(frames[0], np.full((7, channels, 8, 12), 120.0), np.arange(7), np.full(7, 1 / 7))
        assert sum(axes.get_visible() for axes in grid.axes) == 1 + 7 + 1
    for classes, bars in ((None, 4), (np.array([0, 1, 1]), 8)):
        figure = codes_figure(np.array([0, 3, 3]), 4, classes, ("LEFT", "neither"))
        assert len(figure.axes[0].patches) == bars
    with pytest.raises(ValueError, match="nothing to compare"):
        predictions_figure(frames, frames[:1], frames)


def test_effects_are_sorted_by_what_codes_do_and_neighbours_are_drawn_by_action_and_code():
    codes, effect = np.array([0, 0, 2, 2]), np.array([3.0, 5.0, -1.0, np.nan])
    axes = effects_figure(codes, effect, 4, "paddle_x_px").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "0"]
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    for classes in (np.arange(12) % 3, None):
        panels = tsne_figure(vectors, np.arange(12) % 4, classes, ("LEFT", "RIGHT", "neither"), 0).axes
        assert len(panels[0].collections) == (1 if classes is None else 3) and len(panels[1].texts) == 4
