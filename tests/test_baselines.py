import numpy as np
import pytest

from stages.evaluation import baselines, metrics
from stages.evaluation.baselines import PlayedSplit, PressStatistics, best_metronome, blind_policies, press_statistics
from stages.evaluation.blind import Independent, Metronome, SquareWave, candidates, rows_on
from stages.evaluation.onsets import episode_index, onset_counts


def frame_f1(truth, pressed, episode):
    counts = metrics.frame_counts(truth, pressed, episode, short=np.zeros(truth.shape, dtype=bool))
    tp, fp, fn = (counts[name].sum() for name in ("tp", "fp", "fn"))
    return metrics.f1(tp, tp + fp, tp + fn)


@pytest.mark.parametrize("hold", [1, 2, 5, 8])
def test_repeating_the_last_action_scores_one_minus_one_over_the_hold(hold):
    truth = np.tile(np.r_[np.zeros(hold + 3), np.ones(hold), np.zeros(2)], 20)[:, None].astype(bool)
    episode = episode_index([len(truth)])
    pressed = baselines.repeat_last(truth, episode)
    assert frame_f1(truth, pressed, episode) == pytest.approx(1 - 1 / hold)
    # Every onset is found within a frame, and none on time.
    counts = onset_counts(truth, pressed, np.arange(len(truth)) * 0.1, episode, tolerance_s=0.1)
    assert counts["matched"].sum() == counts["onsets"].sum() == 20
    assert counts["matched_on_time"].sum() == 0


def test_repeating_does_not_reach_into_the_episode_before():
    truth = np.array([[1], [1], [1], [0]], dtype=bool)
    assert baselines.repeat_last(truth, episode_index([2, 2]))[:, 0].tolist() == [False, True, False, True]


def test_press_statistics_by_hand():
    actions = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1], [1, 0, 1], [1, 0, 0]])
    known = press_statistics(actions, episode_index([4, 2]))
    assert known.share == pytest.approx([5 / 6, 0, 0.5])
    # First action: holds of 2, 1 and (a new episode) 2 frames; the second is never pressed.
    assert known.hold_frames == pytest.approx([5 / 3, 0, 1])


def predictors(known, frames):
    truth = np.zeros((frames, len(known.share)), dtype=bool)
    made = baselines.baseline_predictors(known, {}, truth, episode_index([frames]), seed=0)
    return {predictor.name: predictor.pressed for predictor in made}


def test_majority_and_always_on():
    known = PressStatistics(np.array([0.7, 0.5, 0.1]), np.ones(3))
    made = predictors(known, 2)
    assert made["majority"].tolist() == [[[True, False, False]] * 2]
    assert made["always_on"].all()


def test_matched_random_has_the_share_and_the_hold():
    known = PressStatistics(np.array([0.4, 0.1, 0.0, 1.0]), np.array([6.0, 3.0, 0.0, 50.0]))
    episode = episode_index([20_000])
    pressed = baselines.matched_random(known, episode, seed=0, draws=2)
    found = press_statistics(pressed[0], episode)
    assert found.share == pytest.approx(known.share, abs=0.02)
    assert found.hold_frames[:2] == pytest.approx(known.hold_frames[:2], rel=0.08)
    assert (pressed[0] != pressed[1]).any()


def test_keys_that_are_hardly_ever_up_keep_their_share():
    known = PressStatistics(np.array([0.9]), np.array([2.0]))  # gaps would have to be shorter than a frame
    pressed = baselines.matched_random(known, episode_index([20_000]), seed=0, draws=1)
    assert pressed.mean() == pytest.approx(0.9, abs=0.01)


def test_iid_random_has_the_share_and_no_memory():
    known = PressStatistics(np.array([0.3]), np.array([7.0]))
    pressed = predictors(known, 20_000)["iid_random"][0]
    found = press_statistics(pressed, episode_index([20_000]))
    assert found.share[0] == pytest.approx(0.3, abs=0.01)
    assert found.hold_frames[0] == pytest.approx(1 / 0.7, rel=0.03)


def test_the_same_seed_gives_the_same_keys():
    known, episode = PressStatistics(np.array([0.3]), np.array([4.0])), episode_index([50, 50])
    first, again, other = (baselines.matched_random(known, episode, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_only_repeating_is_not_playable():
    truth, episode = np.zeros((10, 2), dtype=bool), episode_index([5, 5])
    known = PressStatistics(np.full(2, 0.2), np.full(2, 3.0))
    made = baselines.baseline_predictors(known, {}, truth, episode, seed=0)
    assert [predictor.name for predictor in made if not predictor.playable] == ["repeat_last"]
    for predictor in made:
        assert predictor.baseline
        assert predictor.pressed.shape[1:] == predictor.score.shape == truth.shape


def recorded(truth, lengths):
    truth, episode = np.asarray(truth, bool), episode_index(lengths)
    return PlayedSplit(("A", "B", "C")[: truth.shape[1]], truth, np.arange(len(truth)) * 0.1 + episode * 50.0, episode)


def test_a_player_who_taps_in_time_is_found_by_the_metronome():
    """Two keys in beats of their own; a third that nobody touches. The first phase that meets all is taken."""
    frames = np.arange(150)
    one = np.column_stack([frames % 7 == 5, frames % 11 == 9, np.zeros(150)])
    train = recorded(np.concatenate([one, one]), [150, 150])
    found = best_metronome(train, 0.1)
    assert found == Metronome((7, 11, 0), (4, 8, 0))
    assert train.onset_f1(1, rows_on(found, train.episode)[:, 1], 0.1) == 1
    assert train.onset_f1(1, rows_on(found, train.episode)[:, 1], 0.05) == 0


def test_a_metronome_begins_anew_with_every_episode():
    rows = rows_on(Metronome((3, 0), (1, 0)), episode_index([5, 4]))
    assert rows[:, 0].tolist() == [False, True, False, False, True, False, True, False, False]
    assert not rows[:, 1].any()


def test_of_the_blind_policies_each_metric_has_its_own_winner():
    """A key held in three frames of four and tapped anew: holding it wins frames, waves win presses."""
    truth = np.tile([[1, 0], [1, 0], [1, 0], [0, 0]], (30, 1))
    grid = [Independent((0.0, 0.0)), SquareWave(2, 0, 0, 0, None, 1), SquareWave(2, 0, 1, 2, None, 1)]
    chosen = blind_policies(recorded(truth, [60, 60]), grid, tolerance_s=0.15)
    assert chosen["blind_onsets"] == grid[2] and chosen["blind_frames"] == grid[1] == chosen["blind_exact"]
    assert rows_on(chosen["replay"], episode_index([60, 60])).tolist() == truth.astype(bool).tolist()
    assert set(chosen) == {"metronome", "blind_onsets", "blind_frames", "blind_exact", "replay"}


def test_the_grid_taps_each_key_as_often_as_it_is_told():
    alone = [policy for policy in candidates(2, (0.0,), (4,), (3, 8)) if isinstance(policy, Metronome)]
    assert [policy.periods for policy in alone] == [(3, 0), (8, 0), (0, 3), (0, 8)]
    assert alone[0].described(("A", "B")) == "taps: A every 3 frames"
