from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluation.onsets import episode_index, holds, match_onsets, onset_counts, onset_frames

SECONDS = st.lists(st.integers(0, 30).map(lambda tenth: tenth / 10), max_size=6).map(sorted)


def most_pairs(player, predicted, early_s, late_s):
    """The size of a maximum matching, by trying everything."""

    def best(index, free):
        if index == len(player):
            return 0
        most = best(index + 1, free)
        for candidate in free:
            if -early_s - 1e-6 <= predicted[candidate] - player[index] <= late_s + 1e-6:
                most = max(most, 1 + best(index + 1, free - {candidate}))
        return most

    return best(0, frozenset(range(len(predicted))))


@settings(max_examples=300, deadline=None)
@given(SECONDS, SECONDS, st.sampled_from([0.0, 0.1, 0.2, 0.5]), st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_matching_finds_as_many_pairs_as_trying_everything(player, predicted, early_s, late_s):
    pairs = match_onsets(player, predicted, early_s=early_s, late_s=late_s)
    assert len(pairs) == most_pairs(player, predicted, early_s, late_s)
    for column in pairs.T:
        assert len(set(column)) == len(column)
    for mine, theirs in pairs:
        assert -early_s - 1e-5 <= predicted[theirs] - player[mine] <= late_s + 1e-5


def test_the_tolerance_holds_to_its_edge_and_no_further():
    for late, matched in ((0.2, 1), (0.2001, 0), (-0.2, 1), (-0.2001, 0)):
        assert len(match_onsets([1.7e9], [1.7e9 + late], early_s=0.2, late_s=0.2)) == matched


def test_early_and_late_are_told_apart():
    assert len(match_onsets([5.0], [5.1], early_s=0.2, late_s=0.0)) == 0
    assert len(match_onsets([5.0], [4.9], early_s=0.2, late_s=0.0)) == 1
    assert len(match_onsets([5.0], [5.0], early_s=0.2, late_s=0.0)) == 1


def test_a_prediction_counts_once():
    assert match_onsets([1.0, 1.1], [1.05], early_s=0.2, late_s=0.2).tolist() == [[0, 0]]
    assert match_onsets([1.0], [0.9, 1.0, 1.1], early_s=0.2, late_s=0.2).tolist() == [[0, 0]]


def test_nothing_matches_nothing():
    for player, predicted in product(([], [1.0]), repeat=2):
        pairs = match_onsets(player, predicted, early_s=0.2, late_s=0.2)
        assert pairs.shape == (int(bool(player and predicted)), 2)


def test_times_that_run_backwards_are_an_error():
    with pytest.raises(ValueError, match="predicted onset times must ascend"):
        match_onsets([1.0], [2.0, 1.0], early_s=0.2, late_s=0.2)


def test_onsets_are_rising_edges_within_a_episode():
    episode = episode_index([4, 3])
    active = np.array([1, 0, 1, 1, 1, 0, 1])
    # Frame 0 and 4 begin an episode: the key may have been down before. Frame 2 and 6 are presses.
    assert onset_frames(active, episode).tolist() == [2, 6]


def test_counts_a_episode_by_hand():
    episode = episode_index([6, 6])
    times = np.r_[np.arange(6), np.arange(6)] * 0.1 + 1.7e9 + np.r_[np.zeros(6), np.full(6, 0.6)]
    truth = np.array([0, 0, 1, 1, 0, 0] + [0, 1, 0, 0, 0, 1])[:, None]
    pressed = np.array([0, 1, 1, 0, 0, 1] + [0, 0, 1, 0, 0, 0])[:, None]
    counts = onset_counts(truth, pressed, times, episode, tolerance_s=0.1)
    # Episode 0: one press, found a frame early, one false alarm. Episode 1: found a frame late, one missed.
    assert counts["onsets"][:, 0].tolist() == [1, 2]
    assert counts["predicted_onsets"][:, 0].tolist() == [2, 1]
    assert counts["matched"][:, 0].tolist() == [1, 1]
    assert counts["matched_on_time"][:, 0].tolist() == [1, 0]


def test_onsets_of_neighbouring_episodes_never_match():
    # The last frame of one episode and the second of the next are .15 s apart, in either order of the clock.
    episode, times = episode_index([2, 2]), np.array([0.0, 0.1, 0.15, 0.25])
    truth, pressed = np.array([[0], [1], [0], [0]]), np.array([[0], [0], [0], [1]])
    counts = onset_counts(truth, pressed, times, episode, tolerance_s=0.2)
    assert counts["onsets"].sum() == counts["predicted_onsets"].sum() == 1
    assert counts["matched"].sum() == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_counting_all_episodes_at_once_equals_one_after_the_other(lengths, seed):
    rng = np.random.default_rng(seed)
    episode = episode_index(lengths)
    truth, pressed = rng.random((2, len(episode), 2)) < 0.4
    times = 1.7e9 + np.cumsum(rng.uniform(0.05, 0.15, len(episode)))
    counts = onset_counts(truth, pressed, times, episode, tolerance_s=0.2)
    for number in range(len(lengths)):
        here = episode == number
        alone = onset_counts(truth[here], pressed[here], times[here], np.zeros(here.sum(), int), tolerance_s=0.2)
        for name in counts:
            assert np.array_equal(counts[name][number], alone[name][0])


def test_a_perfect_prediction_matches_every_onset_on_time():
    episode = episode_index([50])
    truth = np.random.default_rng(0).random((50, 3)) < 0.5
    counts = onset_counts(truth, truth, np.arange(50) * 0.1, episode, tolerance_s=0.0)
    for name in ("predicted_onsets", "matched", "matched_on_time"):
        assert np.array_equal(counts[name], counts["onsets"])


def test_frame_steps_on_the_tolerance_are_inside_whatever_the_clock():
    # Two frames at 10 fps are .2 s; at UTC seconds the difference of two floats is not exactly that.
    times = np.round(1_763_770_000.123457 + np.arange(400) / 10, 6)
    truth, pressed = np.zeros((2, 400, 1), dtype=bool)
    truth[10::20], pressed[12::20] = True, True
    counts = onset_counts(truth, pressed, times, episode_index([400]), tolerance_s=0.2)
    assert counts["matched"].sum() == counts["onsets"].sum() == 20


def test_holds_are_the_stretches_of_ones():
    assert holds(np.array([1, 1, 0, 1, 0, 0, 1])) == [(0, 2), (3, 4), (6, 7)]
    assert holds(np.zeros(3)) == []
