"""Choosing transitions to label, decoding keys from few labels, and scoring pseudo-labels."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from stages.latent_actions.few_labels import (
    CERTAIN,
    FOLDS,
    KeyDecoder,
    absent_actions,
    chosen,
    f1_of,
    folds_of,
    key_layers,
    keys_by_code,
    labelling_scores,
    surroundings,
)


def test_surroundings_never_leave_their_episode():
    values = np.array([[1], [2], [3], [10], [20]])
    around = surroundings(values, [3, 2], 1, 2)
    assert around.tolist() == [[1, 1, 2, 3], [1, 2, 3, 3], [2, 3, 3, 3], [10, 10, 20, 20], [10, 20, 20, 20]]
    assert surroundings(values, [3, 2], 0, 0).tolist() == values.tolist()
    assert surroundings(values, [3, 2], 1, 1, emphasis=3)[3:].tolist() == [[10, 30, 20], [10, 60, 20]]


def test_random_labels_are_as_many_different_ones_and_a_function_of_the_seed():
    features = np.zeros((50, 2))
    first = chosen("random", features, 20, seed=1)
    assert len(set(first.tolist())) == 20 and np.array_equal(first, np.sort(first)) and first.max() < 50
    assert np.array_equal(first, chosen("random", features, 20, seed=1))
    assert not np.array_equal(first, chosen("random", features, 20, seed=2))


def test_spread_labels_take_what_is_rare():
    draw = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]])
    group = np.repeat([0, 1, 2], [960, 38, 2])  # the third is two transitions in a thousand
    features = centres[group] + draw.normal(0, 0.1, (1000, 2))
    samples = chosen("spread", features, 3, seed=0)
    assert sorted(group[samples].tolist()) == [0, 1, 2]
    # of each group the one nearest to its mean
    for sample in samples:
        own = features[group == group[sample]]
        distance = np.linalg.norm(own - own.mean(axis=0), axis=1)
        assert np.linalg.norm(features[sample] - own.mean(axis=0)) == pytest.approx(distance.min())
    assert np.array_equal(samples, chosen("spread", features, 3, seed=0))


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_spread_labels_are_as_many_as_asked_for_where_transitions_repeat():
    features = np.repeat([[0.0], [1.0]], [6, 4], axis=0)
    samples = chosen("spread", features, 5, seed=0)
    assert len(set(samples.tolist())) == 5 and {0.0, 1.0} == set(features[samples, 0])


def test_more_labels_than_transitions_and_unknown_ways_are_refused():
    with pytest.raises(ValueError, match="asks for 4 labels, train has 3"):
        chosen("random", np.zeros((3, 1)), 4, seed=0)
    assert chosen("spread", np.arange(3.0)[:, None], 3, seed=0).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="random or spread, found 'best'"):
        chosen("best", np.zeros((3, 1)), 2, seed=0)


def test_a_decoder_predicts_what_its_labels_show_and_never_what_they_lack():
    features = np.array([[-2.0], [-1.5], [-1.0], [1.0], [1.5], [2.0]])
    left = features[:, 0] < 0
    held = np.stack([left, ~left, np.zeros(6, bool), np.ones(6, bool)], axis=1)
    decoder = KeyDecoder.fit(features, held)
    unseen = np.array([[-1.7], [1.7]])
    assert decoder.held(unseen).tolist() == [[True, False, False, True], [False, True, False, True]]
    assert (
        decoder.scores(unseen)[:, 2].tolist() == [-CERTAIN] * 2
        and decoder.scores(unseen)[:, 3].tolist() == [CERTAIN] * 2
    )
    assert np.array_equal(decoder.scores(unseen) > 0, decoder.held(unseen))
    assert np.array_equal(KeyDecoder.fit(features, held).scores(unseen), decoder.scores(unseen))
    assert absent_actions(held, ["LEFT", "RIGHT", "SHOOT", "DASH"]) == ["SHOOT"]
    with pytest.raises(ValueError, match="at least one label"):
        KeyDecoder.fit(features[:0], held[:0])


def test_one_label_is_enough_to_go_on():
    decoder = KeyDecoder.fit(np.array([[1.0]]), np.array([[True, False]]))
    assert decoder.held(np.array([[5.0], [-5.0]])).tolist() == [[True, False]] * 2


@pytest.mark.parametrize("actions", [1, 3])
def test_key_layers_tell_what_no_line_parts_and_are_sure_of_what_never_changes(actions):
    features = np.random.default_rng(0).uniform(-1, 1, (3000, 2)) * [1, 100] + [5, 0]
    either = (features[:, 0] > 5) ^ (features[:, 1] > 0)
    held = np.stack([either, np.ones(3000, bool), np.zeros(3000, bool)], axis=1)[:, :actions]
    (inner, inner_bias), (outer, outer_bias) = key_layers(features, held, seed=0)
    scores = np.maximum(features @ inner.T + inner_bias, 0) @ outer.T + outer_bias
    assert scores.shape == (3000, actions) and ((scores > 0) == held).mean(axis=0).min() > 0.95


def test_key_layers_do_with_a_single_press():
    features, held = np.arange(40.0)[:, None], np.arange(40)[:, None] == 39
    assert key_layers(features, held, seed=0)[-1][0].shape == (1, 64)


def test_keys_by_code_leans_to_the_mean_as_much_as_a_label_weighs():
    table = keys_by_code(np.array([0, 0, 1, 1]), np.array([[1], [1], [0], [1]]), 3)
    assert table[:, 0] == pytest.approx([2.75 / 3, 1.75 / 3, 0.75])  # the mean is .75; code 2 has no label


def test_scores_are_the_mean_of_the_draws_and_equals_scikit_learn():
    draw = np.random.default_rng(0)
    truth = draw.random((60, 3)) < 0.4
    pressed = [truth ^ (draw.random((60, 3)) < share) for share in (0.1, 0.4)]
    exact, macro_f1, f1 = labelling_scores(truth, pressed, np.arange(60) // 15, resamples=50, seed=0)
    assert exact.value == pytest.approx(np.mean([(each == truth).all(axis=1).mean() for each in pressed]))
    assert f1 == pytest.approx(np.mean([f1_score(truth, each, average=None) for each in pressed], axis=0))
    assert macro_f1.value == pytest.approx(f1.mean())
    assert exact.low < exact.value < exact.high and macro_f1.low < macro_f1.value < macro_f1.high
    perfect = labelling_scores(truth, [truth], np.arange(60) // 15, resamples=50, seed=0)
    assert [(each.low, each.value, each.high) for each in perfect[:2]] == [(1, 1, 1)] * 2


def test_a_key_that_is_never_predicted_has_f1_zero():
    # hits, false, missed of two keys: the first is missed three times, the second neither held nor pressed
    assert f1_of(np.array([0.0, 0, 0, 0, 3, 0])).tolist() == [0, 0]
    assert f1_of(np.array([2.0, 1, 1, 0, 1, 0])).tolist() == [2 / 3, 1]


@pytest.mark.parametrize(("count", "folds"), [(2, 2), (4, 4), (5, 5), (23, FOLDS)])
def test_every_label_is_left_out_once(count, folds):
    parts = folds_of(count, seed=0)
    assert len(parts) == folds and sorted(np.concatenate(parts)) == list(range(count)) and all(map(len, parts))
    assert all(np.array_equal(a, b) for a, b in zip(parts, folds_of(count, seed=0), strict=True))


def test_one_label_is_too_few_to_stop_by():
    with pytest.raises(ValueError, match="one to stop by, found 1"):
        folds_of(1, seed=0)
