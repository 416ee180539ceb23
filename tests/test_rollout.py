"""Episodes by whoever plays: the same seed gives the same episode, however the work is shared."""

from functools import partial

import numpy as np
import pytest

from stages.evaluation.blind import Independent, KeysOfOther, Nothing, Replay, SquareWave, candidates, chained
from stages.games.rollout import AgentGames, GameSetting, Workers, play_agent, play_rows, play_script, replayed_frames
from stages.params import read_params

SETTING = GameSetting("doom_center", 256, 144, ("LEFT", "RIGHT", "SHOOT", "DASH"), max_episode_s=3)
LEFT = SquareWave(actions=4, first=0, second=0, period=0, tapped=2, every=8)


class Brightness:
    """An agent whose logits depend on the picture: enough to see that every lane gets its own."""

    def __init__(self):
        self.seen = {}

    def reset(self, lane):
        self.seen[lane] = 0

    reads_state = False

    def logits(self, images):
        for lane in images:
            self.seen[lane] += 1
        return {
            lane: np.array([image.mean() - 90, image[:, :128].mean() - 90, self.seen[lane] % 3 - 1, -9], np.float32)
            for lane, image in images.items()
        }


def above_zero(logits, generator):
    return logits > 0


def drawn(logits, generator):
    return generator.random(4) < 0.5


def same(first, second):
    assert [(a.seed, a.score) for a in first] == [(b.seed, b.score) for b in second]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.keys, b.keys)


@pytest.mark.parametrize("rule", [above_zero, drawn])
def test_the_number_of_lanes_changes_no_episode(rule):
    seeds = [11, 12, 13, 14, 15]
    tasks = [(rule, seed) for seed in seeds] + [(above_zero, seed) for seed in seeds]  # the same seed by two rules
    same(play_agent(SETTING, Brightness(), tasks, 1), play_agent(SETTING, Brightness(), tasks, 3))


def brightness(lanes):
    return Brightness()


def test_every_rule_plays_every_seed():
    rules, seeds = {"above": above_zero, "drawn": drawn}, [31, 32, 33]
    with Workers(2) as workers:
        found = AgentGames(SETTING, brightness, 2).by_rule(workers, rules, seeds, title="test")
    for name, rule in rules.items():
        same(found[name], play_agent(SETTING, Brightness(), [(rule, seed) for seed in seeds], 1))


def test_an_episode_is_cut_off_and_can_be_played_again_from_its_keys():
    [episode] = play_agent(SETTING, Brightness(), [(above_zero, 21)], 1)
    assert episode.length == 35 and episode.logits.shape == (35, 4)
    frames = list(replayed_frames(SETTING, episode))
    assert len(frames) == 35
    means = [frame.mean() - 90 for frame in frames]
    np.testing.assert_allclose(episode.logits[:, 0], means, rtol=1e-5)


def test_work_that_is_shared_among_processes_comes_back_in_order():
    tasks = [(policy, seed) for policy in (LEFT, Nothing(4)) for seed in (1, 2, 3)]
    alone = play_rows(SETTING, tasks)
    with Workers(2) as workers:
        for _ in range(2):  # the processes are kept
            same(workers.run(partial(play_rows, SETTING), tasks, chunk=2, title="test"), alone)


def test_the_scripted_player_is_a_function_of_the_seed():
    params = read_params().collect.script
    same(play_script(SETTING, params, [5, 6]), play_script(SETTING, params, [6, 5])[::-1])


def test_blind_policies_are_functions_of_seed_and_time():
    for policy in candidates(4, (0.0, 1.0), (4,), (8,)):
        np.testing.assert_array_equal(policy(3, 50), policy(3, 50))
        assert policy(3, 50).shape == (50, 4) and policy.described(SETTING.actions)


def test_square_waves_alternate_and_tap():
    wave = SquareWave(actions=3, first=0, second=1, period=2, tapped=2, every=8)(0, 9)
    assert wave[:, 0].tolist() == [1, 1, 0, 0, 1, 1, 0, 0, 1]
    assert wave[:, 1].tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0]
    assert wave[:, 2].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_independent_keys_have_their_shares():
    assert Independent((0.0, 0.15, 1.0))(2, 20_000).mean(axis=0) == pytest.approx([0, 0.15, 1], abs=0.01)


def test_replays_go_on_with_the_next_recording():
    one, two = np.zeros((2, 1), np.uint8), np.ones((3, 1), np.uint8)
    assert chained([one, two], 1, 7).ravel().tolist() == [1, 1, 1, 0, 0, 1, 1]
    assert Replay((one, two))(4, 3).ravel().tolist() == [0, 0, 1]


def test_a_blindfolded_agent_never_presses_what_it_pressed_in_this_game():
    mine = [np.full((2, 1), value, np.uint8) for value in (7, 8, 9)]
    other = KeysOfOther(tuple(mine), (100, 101, 102))
    assert other(100, 4).ravel().tolist() == [8, 8, 9, 9]
    assert other(102, 3).ravel().tolist() == [7, 7, 8]
