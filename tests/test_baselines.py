import numpy as np
import pytest

from stages.evaluation import baselines, metrics
from stages.evaluation.baselines import PressStatistics, press_statistics
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


def test_majority_and_always_on():
    known = PressStatistics(np.array([0.7, 0.5, 0.1]), np.ones(3))
    assert baselines.majority(known, 2).tolist() == [[True, False, False]] * 2
    assert baselines.always_on(known, 2).all()


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
    pressed = baselines.iid_random(known, 20_000, seed=0, draws=1)[0]
    found = press_statistics(pressed, episode_index([20_000]))
    assert found.share[0] == pytest.approx(0.3, abs=0.01)
    assert found.hold_frames[0] == pytest.approx(1 / 0.7, rel=0.03)


def test_the_same_seed_gives_the_same_keys():
    known, episode = PressStatistics(np.array([0.3]), np.array([4.0])), episode_index([50, 50])
    first, again, other = (baselines.matched_random(known, episode, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_only_repeating_is_not_playable():
    truth, episode = np.zeros((10, 2), dtype=bool), episode_index([5, 5])
    made = baselines.baseline_predictors(PressStatistics(np.full(2, 0.2), np.full(2, 3.0)), truth, episode, seed=0)
    assert [predictor.name for predictor in made if not predictor.playable] == ["repeat_last"]
    for predictor in made:
        assert predictor.baseline
        assert predictor.pressed.shape[1:] == predictor.score.shape == truth.shape
