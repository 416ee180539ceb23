"""How the play stage turns episodes into numbers."""

import numpy as np
import pytest

from stages.evaluation.baselines import MatchedRandom, PressStatistics
from stages.evaluation.returns import return_fraction
from stages.games.rollout import Played
from stages.models.acting import Acting
from stages.play import fraction_metrics, read_returns
from stages.play_baselines import best_blind, write_returns

BOOTSTRAP = {"resamples": 200, "seed": 0}


def returns(agent, blind, script):
    names = ("agent", "best_blind", "script")
    return {name: np.array(values, float) for name, values in zip(names, (agent, blind, script), strict=True)}


def test_the_fraction_is_one_for_the_script_and_zero_for_the_blind():
    blind, script = [1, 2, 3, 2], [10, 12, 11, 9]
    assert return_fraction(returns(script, blind, script), **BOOTSTRAP).value == pytest.approx(1)
    assert return_fraction(returns(blind, blind, script), **BOOTSTRAP).value == pytest.approx(0)
    half = return_fraction(returns([6, 6, 6, 6], [2] * 4, [10] * 4), **BOOTSTRAP)
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.5, 0.5))


def test_no_fraction_where_the_script_is_no_better_than_blind():
    metrics = fraction_metrics(returns([3, 3], [5, 5], [5, 5]), "val_", BOOTSTRAP)
    assert metrics["val_return_fraction"] is None
    assert metrics["val_return"] == 3 and metrics["val_return_blind"] == 5 and metrics["val_return_script"] == 5


def test_thresholds_are_the_tuned_ones_and_the_other_rules_follow_calibrated_probabilities():
    acting = Acting(np.array([0.5, 0.9]), np.array([1.0, 1.0]), np.array([0.0, 2.0]), "threshold")
    logits = np.array([0.1, 2.0], np.float32)
    assert acting.keys(logits).tolist() == [True, False]
    assert acting.by("likely").keys(logits).tolist() == [True, True]
    assert acting.by("likely").keys(np.array([-0.1, -1.9], np.float32)).tolist() == [False, True]
    generator, sampled = np.random.default_rng(1), acting.by("sampled")
    drawn = np.mean([sampled.keys(np.array([0.0, -2.0]), generator) for _ in range(4000)], axis=0)
    assert drawn == pytest.approx([0.5, 0.5], abs=0.03)


def test_the_best_blind_policy_is_found_by_halving():
    played = []

    def blind(tasks, title):
        played.append(len(tasks))
        return [Played(seed, float(policy) + seed % 2, np.zeros((1, 1), np.uint8)) for policy, seed in tasks]

    best, finalists = best_blind(blind, list(range(120)), list(range(10)))
    assert best == 119 and played == [240, 60, 30]
    assert finalists[0] == (119, 119.5)


def test_returns_are_read_back_by_split_and_policy(tmp_path):
    def episodes(*scores):
        return [Played(seed, score, np.zeros((2, 1), np.uint8)) for seed, score in enumerate(scores)]

    path = tmp_path / "returns.csv"
    write_returns(path, {("val", "nothing"): episodes(-1.0, 0.0), ("test", "nothing"): episodes(2.0)})
    found = read_returns(path, {"val": 48, "test": 200})
    assert found["val"]["nothing"].tolist() == [-1, 0] and found["test"]["nothing"].tolist() == [2]
    assert read_returns(path, {"val": 1, "test": 1})["val"]["nothing"].tolist() == [-1]


def test_matched_keys_are_a_row_a_frame_and_drawn_from_the_seed():
    known = PressStatistics(np.array([0.25, 1.0, 0.0]), np.array([5.0, 1.0, 0.0]))
    matched = MatchedRandom(known)
    rows = matched(1, 4000)
    assert rows.dtype == np.uint8 and rows.shape == (4000, 3)
    assert rows[:, 0].mean() == pytest.approx(0.25, abs=0.05) and rows[:, 1].all() and not rows[:, 2].any()
    assert np.array_equal(matched(1, 4000), rows) and not np.array_equal(matched(2, 4000), rows)
