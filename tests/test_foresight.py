"""When can a press be foreseen? Moments before presses against moments before none."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stages.evaluation.foresight import (
    FAR,
    MATCHED,
    NEAR,
    PRESS,
    Moments,
    Nearness,
    auc,
    auc_interval,
    distance_to_press,
    moments_of,
    reaction_time_s,
)
from stages.evaluation.onset_probe import in_words, rows_of
from stages.params import read_params

NEARNESS = Nearness(far=20, near=(3, 10))


def keys(*spans, length=200) -> np.ndarray:
    active = np.zeros(length, bool)
    for start, stop in spans:
        active[start:stop] = True
    return active


def two_episodes(length=200) -> np.ndarray:
    return np.repeat([0, 1], length // 2)


def test_the_nearest_press_is_one_of_the_same_episode():
    distance = distance_to_press(keys((5, 8), (20, 22), (110, 112)), two_episodes())
    assert distance[[0, 5, 7, 12, 13, 99]].tolist() == [5, 0, 2, 7, 7, 79]
    assert distance[[100, 110, 199]].tolist() == [10, 0, 89]
    assert np.isinf(distance_to_press(keys(), two_episodes())).all()
    assert np.isinf(distance_to_press(keys((5, 8)), two_episodes())[100:]).all()


@pytest.mark.parametrize("lead", [0, 4])
def test_windows_end_a_lead_before_a_press_or_before_a_moment_without_one(lead):
    active, episode = keys((2, 5), (40, 50), (101, 103), (150, 151)), two_episodes()
    found = moments_of(active, episode, lead, NEARNESS, np.random.default_rng(0)).ends
    onsets = np.array([2, 40, 101, 150])
    inside = onsets - lead >= np.array([0, 0, 100, 100])
    assert found[PRESS].tolist() == (onsets - lead)[inside].tolist()
    distance = distance_to_press(active, episode)
    for kind in (FAR, NEAR):
        moments = found[kind] + lead
        assert len(moments) == inside.sum() and not active[moments].any()
        assert (episode[moments] == episode[found[kind]]).all()
    assert (distance[found[FAR] + lead] > 20).all()
    assert ((distance[found[NEAR] + lead] >= 3) & (distance[found[NEAR] + lead] <= 10)).all()
    assert MATCHED not in found


def test_matched_moments_are_like_those_before_a_press_but_none():
    active, episode = keys((40, 44), (120, 124)), two_episodes()
    state = np.stack([np.arange(200.0) % 100, np.full(200, np.nan)], axis=1)
    state[0, 1] = 1.0
    found = moments_of(active, episode, 0, NEARNESS, np.random.default_rng(0), state).ends
    assert found[MATCHED].tolist() == [20, 140]
    assert not active[found[MATCHED]].any() and (distance_to_press(active, episode)[found[MATCHED]] >= 3).all()


def test_without_a_press_there_is_nothing():
    found = moments_of(keys(), two_episodes(), 0, NEARNESS, np.random.default_rng(0), np.zeros((200, 1)))
    assert len(found) == 0 and not len(found.ends[FAR]) and not len(found.ends[NEAR])


def test_the_area_is_scikit_learn_s():
    generator = np.random.default_rng(0)
    positive, negative = generator.integers(0, 9, 40) + 1.0, generator.integers(0, 9, 70).astype(float)
    truth = np.r_[np.ones(40), np.zeros(70)]
    assert auc(positive, negative) == pytest.approx(roc_auc_score(truth, np.r_[positive, negative]))
    assert auc(np.ones(3), np.ones(5)) == 0.5 and math.isnan(auc(np.ones(3), np.ones(0)))


def test_the_interval_draws_whole_episodes():
    generator = np.random.default_rng(1)
    episodes = (np.repeat(np.arange(12), 10), np.repeat(np.arange(12), 10))
    positive, negative = generator.normal(1, 1, 120), generator.normal(0, 1, 120)
    found = auc_interval(positive, negative, episodes, resamples=200, seed=0)
    assert found.low < found.value < found.high and 0.03 < found.high - found.low < 0.3
    weighted = auc_interval(positive[:10], negative[:10], (episodes[0][:10], episodes[1][:10]), resamples=9, seed=0)
    assert math.isnan(weighted.low)  # a single episode


def test_a_reaction_time_is_where_the_curve_falls_halfway_to_chance():
    leads = np.array([0.0, 0.1, 0.2, 0.4])
    assert reaction_time_s(leads, np.array([0.9, 0.9, 0.5, 0.5])) == pytest.approx(0.15)
    assert math.isnan(reaction_time_s(leads, np.array([0.9, 0.9, 0.9, 0.85])))
    assert math.isnan(reaction_time_s(leads, np.array([0.55, 0.5, 0.5, 0.5])))
    assert math.isnan(reaction_time_s(leads, np.full(4, np.nan)))


def test_what_tells_as_much_as_the_frames_is_named_beside_them():
    def row(source, value, lead=0, against="near"):
        return {"action": "DASH", "lead": lead, "from": source, "against": against, "auc": value,
                "auc_low": value - 0.05, "auc_high": value + 0.05}  # fmt: skip

    rows = [row("window", 0.84), row("window", 0.6, lead=4), row("last_frame", 0.7), row("keys", 0.9),
            row("keys", 0.5, lead=4), row("last_frame", 0.99, against="far")]  # fmt: skip
    assert in_words(rows, ["DASH", "JUMP"], 10.0) == [
        "DASH: a signal (AUC 0.84, 0.79-0.89, near moments); "
        "the player's earlier keys alone tell as much or more (0.90)",
        "JUMP: too few presses to say",
    ]
    curve = [*rows, row("window", 0.55, lead=2)]
    assert (
        "the picture tells it up to 0.12 s before: the reaction time is at most that"
        in in_words(curve, ["DASH"], 10.0)[0]
    )


def test_few_moments_have_no_auc():
    """Four of them once had an AUC of .97 (.95-.98), and .18 at another lead."""
    episode = np.repeat(np.arange(4), 20)
    ends = {"press": np.arange(1, 80, 2), "near": np.arange(0, 80, 2), "far": np.array([0, 2, 4, 6])}
    splits = {"test": SimpleNamespace(episode=episode)}
    scores = {"test": np.arange(80, dtype=np.float32)[:, None]}
    found = {
        row["against"]: row for _, row in rows_of(splits, {"test": [Moments(ends)]}, scores, read_params(), 0, "window")
    }
    assert found["near"]["auc"] == pytest.approx(0.5, abs=0.02) and found["near"]["auc_low"] is not None
    assert (found["far"]["others"], found["far"]["auc"], found["far"]["auc_low"]) == (4, None, None)
