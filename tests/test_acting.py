"""Tests of stages.models.acting."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from stages.models.acting import Acting, best_threshold, fit_acting, platt_scaling, sigmoid

NAMES = ["LEFT", "DASH"]


TOGETHER = np.array([[False, False], [True, False], [False, True]])  # neither, the first, the second


def test_of_combinations_the_likeliest_is_held_though_no_key_is_likely_by_itself():
    shares = np.array([0.25, 0.4, 0.35])
    acting = Acting(np.array([0.5, 0.5]), np.ones(2), np.zeros(2), "likely", TOGETHER)
    assert acting.keys(np.log(shares)).tolist() == [True, False]
    assert np.allclose(acting.probabilities(np.log(shares)), [0.4, 0.35], atol=1e-6)
    assert acting.by("threshold").keys(np.log(shares)).tolist() == [False, False]


def test_combinations_are_drawn_with_their_probabilities_and_never_others():
    shares = np.array([0.2, 0.5, 0.3])
    acting = Acting(np.array([0.5, 0.5]), np.ones(2), np.zeros(2), "sampled", TOGETHER)
    drawn = acting.keys(np.tile(np.log(shares), (4000, 1)), np.random.default_rng(0))
    assert not drawn.all(axis=1).any()
    assert np.allclose(drawn.mean(axis=0), shares[1:], atol=0.03)


def test_combinations_are_read_back_whatever_the_order_of_the_actions():
    acting = Acting(np.array([0.5, 0.5]), np.ones(2), np.zeros(2), "likely", TOGETHER)
    found = Acting.from_json(json.loads(json.dumps(acting.as_json(NAMES[:2]))), NAMES[:2][::-1])
    assert found.combinations.tolist() == TOGETHER[:, ::-1].tolist()


def test_threshold_by_hand():
    truth = np.array([False, False, True, True])
    assert best_threshold(truth, np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)  # midway of the gap
    # pressing all but the first: F1 .8; only the last two: 2/3
    assert best_threshold(np.array([False, True, False, True]), np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.15)
    assert best_threshold(np.array([True, False]), np.array([0.2, 0.6])) == pytest.approx(0.1)  # press always


def test_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.2
    probabilities = np.round(np.clip(truth * 0.3 + rng.random(300) * 0.6, 0, 1), 2)  # with ties
    found = f1_score(truth, probabilities >= best_threshold(truth, probabilities))
    every = [f1_score(truth, probabilities >= cut) for cut in np.linspace(0.005, 0.905, 91)]
    assert found == pytest.approx(max(every))


@pytest.mark.parametrize("value", [True, False])
def test_nothing_to_tune_on_gives_one_half(value):
    assert best_threshold(np.full(5, value), np.linspace(0, 1, 5)) == 0.5


def test_platt_finds_the_distortion():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=40_000) * 2
    truth = rng.random(40_000) < sigmoid(logits)
    scale, shift = platt_scaling(truth, (logits - 1) / 2.5)  # the true logit is 2.5 x + 1
    assert (scale, shift) == (pytest.approx(2.5, rel=0.03), pytest.approx(1, abs=0.03))
    assert platt_scaling(truth, logits) == (pytest.approx(1, rel=0.03), pytest.approx(0, abs=0.03))


def test_platt_keeps_the_mean_probability():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=2000)
    truth = rng.random(2000) < sigmoid(logits * 2 - 1)
    scale, shift = platt_scaling(truth, logits)
    assert sigmoid(scale * logits + shift).mean() == pytest.approx(truth.mean(), abs=1e-3)


def test_platt_of_a_perfect_ranking_stays_finite():
    truth = np.arange(20) >= 10
    scale, shift = platt_scaling(truth, np.linspace(-1, 1, 20))
    assert 0 < scale < 100
    assert sigmoid(scale + shift) == pytest.approx(11 / 12, abs=0.08)  # Platt's target for 10 positives


@pytest.mark.parametrize("active", [0, 30])
def test_platt_of_an_action_that_never_or_always_occurs(active):
    truth = np.arange(30) < active
    scale, shift = platt_scaling(truth, np.linspace(-1, 1, 30))
    expected = 1 / 32 if active == 0 else 31 / 32
    assert sigmoid(scale * np.array([-1, 0, 1]) + shift) == pytest.approx(expected, abs=1e-3)


def test_platt_of_a_ranking_worse_than_chance_is_the_share():
    truth = np.arange(100) < 30
    scale, shift = platt_scaling(truth, np.linspace(-1, 1, 100))
    assert scale == 0
    assert sigmoid(shift) == pytest.approx(0.3, abs=0.02)


def test_fit_acting_treats_each_action_alone():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(500, 2))
    truth = rng.random((500, 2)) < sigmoid(logits * [1.0, 3.0])
    acting = fit_acting(truth, logits)
    for column in (0, 1):
        alone = fit_acting(truth[:, [column]], logits[:, [column]])
        assert (acting.thresholds[column], acting.scale[column]) == (alone.thresholds[0], alone.scale[0])
    assert acting.scale[1] > 2 * acting.scale[0]
    assert f1_score(truth[:, 1], acting.keys(logits)[:, 1]) >= f1_score(truth[:, 1], logits[:, 1] >= 0)


def test_acting_works_on_any_leading_shape():
    acting = Acting(np.array([0.5, 0.9]), np.array([1.0, 2.0]), np.array([0.0, -1.0]), "threshold")
    logits = np.zeros((3, 4, 2))
    assert acting.keys(logits).tolist() == np.broadcast_to([True, False], (3, 4, 2)).tolist()
    assert acting.probabilities(logits)[0, 0] == pytest.approx([0.5, sigmoid(np.array(-1.0))])


def test_sigmoid_far_out():
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_round_trip_by_name():
    acting = Acting(np.array([0.25, 0.75]), np.array([1.5, 2.5]), np.array([-0.5, 1 / 3]), "likely")
    found = Acting.from_json(json.loads(json.dumps(acting.as_json(NAMES))), NAMES[::-1])
    for field in ("thresholds", "scale", "shift"):
        assert getattr(found, field).tolist() == getattr(acting, field)[::-1].tolist()
    assert found.rule == "likely"


def test_a_rule_that_does_not_exist():
    with pytest.raises(ValueError, match="rule is 'greedy', expected one of threshold, likely, sampled"):
        Acting(*np.ones((3, 1)), "likely").by("greedy")
