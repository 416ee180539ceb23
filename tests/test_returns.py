"""Returns compared seed by seed."""

import numpy as np
import pytest

from stages.evaluation.returns import chosen_elsewhere, compared, share_of

BOOTSTRAP = {"resamples": 200, "seed": 0}


def test_a_share_is_of_means_and_is_paired():
    whole = np.array([10.0, 20, 30, 40])
    half = share_of(whole / 2, whole, **BOOTSTRAP)
    assert (half.low, half.value, half.high) == pytest.approx((0.5, 0.5, 0.5))
    assert share_of([0.0, 2], [1.0, 4], **BOOTSTRAP).value == pytest.approx(0.4)
    assert np.isnan(share_of([1.0, 1], [0.0, 0], **BOOTSTRAP).value)
    with pytest.raises(ValueError, match="the same games of all"):
        share_of([1.0], [1.0, 2], **BOOTSTRAP)


def test_rows_are_compared_with_cloning_from_as_many_labels_and_with_all():
    players = {"agent": np.array([10.0, 12]), "best_blind": np.array([2.0, 2]), "script": np.array([12.0, 12])}
    games = [
        {"labels": 10, "policy": "decoded", "returns": [9.0, 8], "absent": ["DASH"]},
        {"labels": 10, "policy": "cloning", "returns": [3.0, 4], "absent": ["DASH"]},
        {"labels": 30, "policy": "cloning", "returns": [8.0, 8], "absent": []},
    ]
    first, second, third = compared(games, players, **BOOTSTRAP)
    assert first["return"] == 8.5 and first["games"] == 2 and first["absent"] == ["DASH"] and "returns" not in first
    assert first["share_of_all_labels"] == pytest.approx(8.5 / 11)
    assert first["return_fraction"] == pytest.approx(6.5 / 10)
    assert first["gain_over_cloning"] == 5 and first["gain_over_all_labels"] == -2.5
    assert second["gain_over_cloning"] == 0 and third["gain_over_all_labels"] == -3
    assert {"return_low", "share_of_all_labels_high", "gain_over_cloning_low"} <= first.keys()


def test_the_rule_is_chosen_by_the_other_half_of_the_games():
    first, second = np.array([9.0, 1.0, 9.0, 1.0]), np.array([3.0, 4.0, 3.0, 4.0])
    # Even games favour the first rule, odd ones the second: each half is played by the other's choice.
    assert chosen_elsewhere([first, second]).tolist() == [3, 1, 3, 1]
    assert chosen_elsewhere([first, first + 1]).tolist() == (first + 1).tolist()
    assert chosen_elsewhere([np.array([2.0]), np.array([5.0])]).tolist() == [5]
