"""The measures of latent actions on cases that can be worked out by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, f1_score

from stages.latent_actions.measures import (
    PROBES,
    code_metrics,
    gain_db,
    key_classes,
    no_probe_metrics,
    perplexity,
    picture_metrics,
    prediction_metrics,
    probe_metrics,
    probe_skill,
    shuffle_drop_db,
    sums_by_episode,
    zeroed_drop_db,
)

DRAWN = {"resamples": 200, "seed": 0}


def test_a_tenth_of_the_error_is_ten_decibels():
    sums = np.array([2.0, 20.0, 200.0, 2000.0, 0.0, 0.0, 9.0])  # ERRORS, pixels
    assert gain_db(sums) == pytest.approx(10)
    assert shuffle_drop_db(sums) == pytest.approx(20)
    assert zeroed_drop_db(sums) == pytest.approx(30)
    assert np.isnan(gain_db(np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 9.0])))


def test_errors_are_pooled_before_the_logarithm():
    errors = np.array([[1.0, 10.0, 1.0, 2.0, 51.0, 102.0], [9.0, 10.0, 9.0, 18.0, 0.0, 51.0]])
    found = prediction_metrics(errors, np.zeros(2, bool), np.array([0, 1]), 10, **DRAWN)
    assert found["lam_gain_db"] == pytest.approx(10 * math.log10(20 / 10))
    assert found["lam_shuffle_drop_db"] == 0
    assert found["lam_psnr_db"] == pytest.approx(10 * math.log10(255**2 * 20 / 10))
    assert found["lam_copy_psnr_db"] == pytest.approx(10 * math.log10(255**2 * 20 / 20))
    assert found["lam_zeroed_drop_db"] == pytest.approx(10 * math.log10(2))
    assert found["lam_l1"] == pytest.approx(51 / 20 / 255) and found["lam_copy_l1"] == pytest.approx(153 / 20 / 255)
    assert found["lam_l2"] == pytest.approx(10 / 20 / 255**2)
    assert found["lam_gain_db_low"] == pytest.approx(10 * math.log10(10 / 9))
    assert found["lam_gain_db_high"] == pytest.approx(10)


def test_identical_pairs_are_counted_and_left_out():
    errors = np.array([[5.0, 10.0, 20.0, 20.0, 1.0, 1.0], [7.0, 0.0, 7.0, 7.0, 1.0, 0.0]])
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
    episodes = np.array([0, 0, 1, 1])
    found = code_metrics(np.array([0, 5, 5, 5]), 8, episodes, **DRAWN)
    assert found["lam_codes_used"] == 2 and found["lam_capacity_bits"] == 3 and found["lam_codes_used_share"] == 0.25
    assert found["lam_perplexity"] == pytest.approx(perplexity(np.array([0, 5, 5, 5]), 8))
    low_high = found["lam_perplexity_low"], found["lam_perplexity_high"]
    assert low_high == pytest.approx((1, 2))  # only 5s; half and half
    assert code_metrics(np.zeros((4, 35), int), 256, episodes, **DRAWN)["lam_capacity_bits"] == 280


def test_macro_f1_is_scikit_learn_s_of_each_draw():
    draw = np.random.default_rng(0)
    classes, answers, episodes = (
        draw.integers(3, size=90),
        draw.integers(3, size=(90, len(PROBES))),
        np.arange(90) // 30,
    )
    found = probe_metrics(answers, classes, answers[:, 0], episodes, name="probe", **DRAWN)
    assert found["lam_probe_macro_f1"] == pytest.approx(f1_score(classes, answers[:, 0], average="macro"))
    single = [f1_score(classes[episodes == f], answers[episodes == f, 0], average="macro") for f in range(3)]
    assert min(single) == pytest.approx(found["lam_probe_macro_f1_low"])  # a draw of one episode three times
    assert max(single) == pytest.approx(found["lam_probe_macro_f1_high"])
    assert found["lam_probe_ami_low"] <= found["lam_probe_ami"] <= found["lam_probe_ami_high"]


def test_one_key_is_its_class_and_none_or_both_are_neither():
    actions = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    assert key_classes(actions, [0, 1]).tolist() == [0, 1, 2, 2]
    assert key_classes(actions, [1, 0]).tolist() == [1, 0, 2, 2]
    assert key_classes(actions, [2]).tolist() == [0, 1, 0, 1]


def test_skill_lies_between_a_guess_and_all_labels():
    def skill(*right):
        return float(probe_skill(np.array([*right, 0], float)))

    assert skill(90, 40, 50, 90) == 1 and skill(50, 40, 50, 90) == 0 and skill(70, 50, 40, 90) == 0.5
    assert skill(30, 40, 50, 90) == -0.5
    assert math.isnan(skill(60, 50, 40, 50)) and math.isnan(skill(60, 50, 40, 30))


def test_probe_metrics_of_answers():
    classes = np.zeros(20, int)
    answers = np.ones((20, 5), int)
    for column, right in enumerate((14, 8, 10, 18, 20)):
        answers[:right, column] = 0
    codes = np.arange(20) % 4
    found = probe_metrics(answers, classes, codes, np.repeat([0, 1], 10), name="probe", **DRAWN)
    assert [found[f"lam_probe_{name}"] for name in PROBES] == pytest.approx([0.7, 0.4, 0.5, 0.9, 1.0])
    assert found["lam_probe_skill"] == pytest.approx(0.5)
    assert found.keys() == no_probe_metrics("probe").keys() and set(no_probe_metrics("probe").values()) == {None}


def test_agreement_does_not_care_what_codes_are_called_and_is_none_by_chance():
    classes = np.repeat([0, 1, 2], 200)
    answers = np.stack([classes] * len(PROBES), axis=1)
    drawn = {"name": "moved", **DRAWN}
    same = probe_metrics(answers, classes, (classes * 7) % 5, np.arange(600) // 30, **drawn)
    assert same["lam_moved_ami"] == pytest.approx(1) and same["lam_moved_macro_f1"] == 1
    codes = np.random.default_rng(0).integers(9, size=(600, 1))
    chance = probe_metrics(np.zeros_like(answers), classes, codes, np.arange(600) // 30, **drawn)
    assert chance["lam_moved_ami"] == pytest.approx(adjusted_mutual_info_score(classes, codes[:, 0]))
    assert abs(chance["lam_moved_ami"]) < 0.02
    assert chance["lam_moved_macro_f1"] == pytest.approx((2 * (1 / 3) / (1 + 1 / 3)) / 3)  # F1 of one class of three


def test_moving_pixels_and_likeness_are_pooled():
    sums = np.array([[1.0, 10.0, 2.0, 4.0, 30.0, 20.0, 40.0], [3.0, 30.0, 6.0, 12.0, 10.0, 20.0, 40.0]])
    found = picture_metrics(sums, np.array([0, 1]), **DRAWN)
    assert found["lam_moving_gain_db"] == pytest.approx(10)
    assert found["lam_moving_shuffle_drop_db"] == pytest.approx(10 * math.log10(2))
    assert found["lam_moving_zeroed_drop_db"] == pytest.approx(10 * math.log10(4))
    assert found["lam_ssim"] == found["lam_copy_ssim"] == 0.5
    still = picture_metrics(np.zeros((1, 7)), np.array([0]), **DRAWN)
    assert still["lam_moving_gain_db"] is None and still["lam_ssim"] is None


def test_sums_skip_episodes_without_a_transition():
    assert sums_by_episode(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 3])).tolist() == [3.0, 4.0]
