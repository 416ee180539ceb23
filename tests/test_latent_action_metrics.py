"""The measures of latent actions on cases that can be worked out by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.tree import DecisionTreeClassifier

from stages.evaluation.figures.latent_action import codes_figure, every_code_figure, predictions_figure, rollout_figure
from stages.evaluation.latent_actions import (
    PROBES,
    agreement_metrics,
    code_metrics,
    gain_db,
    key_classes,
    majority_by_code,
    no_probe_metrics,
    perplexity,
    picture_metrics,
    prediction_metrics,
    probe_metrics,
    probe_skill,
    shuffle_drop_db,
    sums_by_episode,
)

DRAWN = {"resamples": 200, "seed": 0}


def test_a_tenth_of_the_error_is_ten_decibels():
    sums = np.array([2.0, 20.0, 200.0, 9.0])  # model, copy, shuffled, pixels
    assert gain_db(sums) == pytest.approx(10)
    assert shuffle_drop_db(sums) == pytest.approx(20)
    assert np.isnan(gain_db(np.array([0.0, 1.0, 1.0, 9.0])))


def test_errors_are_pooled_before_the_logarithm():
    errors = np.array([[1.0, 10.0, 1.0], [9.0, 10.0, 9.0]])
    found = prediction_metrics(errors, np.zeros(2, bool), np.array([0, 1]), 10, **DRAWN)
    assert found["lam_gain_db"] == pytest.approx(10 * math.log10(20 / 10))
    assert found["lam_shuffle_drop_db"] == 0
    assert found["lam_psnr_db"] == pytest.approx(10 * math.log10(255**2 * 20 / 10))
    assert found["lam_copy_psnr_db"] == pytest.approx(10 * math.log10(255**2 * 20 / 20))
    assert found["lam_gain_db_low"] == pytest.approx(10 * math.log10(10 / 9))
    assert found["lam_gain_db_high"] == pytest.approx(10)


def test_identical_pairs_are_counted_and_left_out():
    errors = np.array([[5.0, 10.0, 20.0], [7.0, 0.0, 7.0]])
    found = prediction_metrics(errors, np.array([False, True]), np.array([0, 0]), 4, **DRAWN)
    assert found["lam_identical_pairs"] == 1
    assert found["lam_gain_db"] == pytest.approx(10 * math.log10(2))
    still = prediction_metrics(errors, np.array([True, True]), np.array([0, 0]), 4, **DRAWN)
    assert still["lam_identical_pairs"] == 2
    assert still["lam_gain_db"] is None and still["lam_psnr_db"] is None and still["lam_shuffle_drop_db_low"] is None


@pytest.mark.parametrize(("codes", "expected"), [([3, 3, 3], 1), ([0, 1, 2, 3], 4), ([0, 0, 1, 1], 2)])
def test_perplexity_counts_the_codes_that_share_the_work(codes, expected):
    assert perplexity(np.array(codes), 8) == pytest.approx(expected)


def test_codes_used_and_capacity():
    found = code_metrics(np.array([0, 5, 5, 5]), 8)
    assert found["lam_codes_used"] == 2 and found["lam_capacity_bits"] == 3


def test_one_key_is_its_class_and_none_or_both_are_neither():
    actions = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    assert key_classes(actions, [0, 1]).tolist() == [0, 1, 2, 2]
    assert key_classes(actions, [1, 0]).tolist() == [1, 0, 2, 2]
    assert key_classes(actions, [2]).tolist() == [0, 1, 0, 1]


def test_the_table_of_codes_is_the_best_probe_on_codes():
    draw = np.random.default_rng(0)
    codes = draw.integers(8, size=500)
    classes = np.where(draw.random(500) < 0.7, codes % 3, draw.integers(3, size=500))
    table = majority_by_code(codes, classes, 9)
    tree = DecisionTreeClassifier().fit(np.eye(8)[codes], classes)
    assert accuracy_score(classes, table[codes]) == pytest.approx(tree.score(np.eye(8)[codes], classes))
    assert table[8] == np.bincount(classes).argmax()  # never seen: the most frequent class


def test_skill_lies_between_a_guess_and_all_labels():
    def skill(*right):
        return float(probe_skill(np.array(right, float)))

    assert skill(90, 40, 50, 90) == 1 and skill(50, 40, 50, 90) == 0 and skill(70, 50, 40, 90) == 0.5
    assert skill(30, 40, 50, 90) == -0.5
    assert math.isnan(skill(60, 50, 40, 50)) and math.isnan(skill(60, 50, 40, 30))


def test_probe_metrics_of_right_answers():
    right = np.zeros((20, 4), bool)
    right[:14, 0], right[:8, 1], right[:10, 2], right[:18, 3] = True, True, True, True
    found = probe_metrics(right, np.repeat([0, 1], 10), **DRAWN)
    assert [found[f"lam_probe_{name}"] for name in PROBES] == pytest.approx([0.7, 0.4, 0.5, 0.9])
    assert found["lam_probe_skill"] == pytest.approx(0.5)
    answers = np.array([0, 1, 1, 2])
    found |= agreement_metrics(np.array([5, 3, 3, 1]), answers, answers)
    assert found.keys() == no_probe_metrics().keys() and set(no_probe_metrics().values()) == {None}


def test_agreement_does_not_care_what_codes_are_called_and_is_none_by_chance():
    classes = np.repeat([0, 1, 2], 200)
    same = agreement_metrics((classes * 7) % 5, classes, classes)
    assert same == {"lam_ami": pytest.approx(1), "lam_probe_macro_f1": 1}
    chance = agreement_metrics(np.random.default_rng(0).integers(9, size=600), classes, np.zeros(600, int))
    assert abs(chance["lam_ami"]) < 0.02
    assert chance["lam_probe_macro_f1"] == pytest.approx((2 * (1 / 3) / (1 + 1 / 3)) / 3)  # F1 of one class of three


def test_moving_pixels_and_likeness_are_pooled():
    sums = np.array([[1.0, 10.0, 30.0, 20.0, 40.0], [3.0, 30.0, 10.0, 20.0, 40.0]])
    found = picture_metrics(sums, np.array([0, 1]), **DRAWN)
    assert found["lam_moving_gain_db"] == pytest.approx(10)
    assert found["lam_ssim"] == found["lam_copy_ssim"] == 0.5
    still = picture_metrics(np.zeros((1, 5)), np.array([0]), **DRAWN)
    assert still["lam_moving_gain_db"] is None and still["lam_ssim"] is None


def test_a_roll_out_is_drawn_with_a_line_for_each_way_of_driving():
    figure = rollout_figure(np.array([[30.0, 29.0, 28.0], [29.0, 27.0, 26.0]]), ("inferred", "random", "copy"))
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [[30, 29], [29, 27], [28, 26]]


def test_sums_skip_episodes_without_a_transition():
    assert sums_by_episode(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 3])).tolist() == [3.0, 4.0]


def test_figures_are_drawn_grey_and_in_colour():
    for channels in (1, 3):
        frames = np.full((2, channels, 8, 12), 100, np.uint8)
        assert len(predictions_figure(frames, frames, frames.astype(np.float32)).axes) == 5 * 2 + 1
        grid = every_code_figure(frames[0], np.full((7, channels, 8, 12), 120.0), np.arange(7))
        assert sum(axes.get_visible() for axes in grid.axes) == 1 + 7 + 1
    for classes, bars in ((None, 4), (np.array([0, 1, 1]), 8)):
        figure = codes_figure(np.array([0, 3, 3]), 4, classes, ("LEFT", "neither"))
        assert len(figure.axes[0].patches) == bars
    with pytest.raises(ValueError, match="nothing to compare"):
        predictions_figure(frames, frames[:1], frames)
