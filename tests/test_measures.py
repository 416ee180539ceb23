"""The measures of latent actions on cases that can be worked out by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, f1_score

from stages.latent_actions.measures import (
    AT_CHANGES,
    PROBES,
    classes_before,
    code_metrics,
    gain_db,
    information_gained,
    key_classes,
    no_probe_metrics,
    perplexity,
    picture_metrics,
    prediction_metrics,
    probe_metrics,
    shuffle_drop_db,
    sums_by_episode,
    zeroed_drop_db,
)
from stages.latent_actions.probes import repeat_answers, switch_answers

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


def of_probes(**right):
    return np.array([right.get(name, 0) for name in PROBES], float)


def test_information_gained_lies_between_the_past_and_the_next_frame():
    def gained(past, past_code, past_next):
        return float(information_gained(of_probes(past=past, past_code=past_code, past_next=past_next, accuracy=99)))

    assert gained(80, 96, 96) == 1 and gained(80, 80, 96) == 0 and gained(80, 88, 96) == 0.5
    assert gained(80, 76, 96) == -0.25  # the code disturbs
    assert math.isnan(gained(80, 90, 80)) and math.isnan(gained(80, 90, 70))


def test_the_class_before_never_comes_from_another_episode():
    assert classes_before(np.array([2, 1, 1, 0, 0]), np.array([0, 0, 0, 4, 4])).tolist() == [-1, 2, 1, -1, 0]
    answers = repeat_answers(
        {"train": np.array([1, 1, 0]), "val": np.array([2, 0, 2])},
        {"train": np.zeros(3, int), "val": np.array([0, 0, 1])},
    )
    assert {split: found.tolist() for split, found in answers.items()} == {"val": [1, 2, 1]}


def test_the_likeliest_other_class_is_told_from_the_changes_of_train():
    classes = {"train": np.array([0, 0, 1, 0, 2, 0, 1, 2, 2]), "val": np.array([2, 0, 0, 1])}
    episodes = {"train": np.array([0] * 7 + [1, 1]), "val": np.zeros(4, int)}
    # After 0 comes 1 twice and 2 once; after 1 and 2 comes 0; the 2 that begins an episode follows nothing.
    assert switch_answers(classes, episodes)["val"].tolist()[1:] == [0, 1, 1]


def test_probe_metrics_of_answers():
    classes = np.repeat([0, 1, 0, 1], 5)  # changes at 5 and 15; at 10 another episode begins
    answers = np.tile(classes[:, None], (1, len(PROBES)))
    wrong = {"accuracy": [5], "switch": range(5), "past": [5, 15, 1, 2], "past_code": [5, 1], "majority": range(10)}
    for name, at in wrong.items():
        column = answers[list(at), PROBES.index(name)]
        answers[list(at), PROBES.index(name)] = 1 - column
    found = probe_metrics(answers, classes, np.arange(20) % 4, np.repeat([0, 1], 10), name="probe", **DRAWN)
    shares = {"accuracy": 0.95, "majority": 0.5, "past": 0.8, "past_code": 0.9, "past_next": 1.0, "supervised": 1.0}
    assert {name: found[f"lam_probe_{name}"] for name in shares} == pytest.approx(shares)
    assert found["lam_information_gained"] == pytest.approx(0.5)
    assert found["lam_change_share"] == pytest.approx(0.1)
    at_changes = [found[f"lam_change_{name}"] for name in AT_CHANGES]
    assert at_changes == pytest.approx([0.5, 1.0, 0.0, 0.5, 1.0])
    assert (found["lam_change_accuracy_low"], found["lam_change_accuracy_high"]) == (0, 1)  # one episode right, one not
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
