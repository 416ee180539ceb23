"""Lunar Lander: its state is what the picture shows, drawing changes nothing, its script lands."""

import sys

import numpy as np
import pytest

from stages.evaluation.blind import Metronome, Nothing
from stages.games.lunar_lander import COLUMNS, LanderScript, LunarLander
from stages.games.rollout import GameSetting, play_rows, play_script
from stages.params import read_params

SETTING = GameSetting("lunar_lander", 300, 200, tuple(LunarLander.keys), 20)
STILL = dict.fromkeys(COLUMNS, 0.0) | {"height": 6.0, "speed_y": -1.0}


def keys_of(step: int) -> set[str]:
    return {"MAIN"} if step % 3 == 0 else {"LEFT"} if step % 7 < 2 else set()


def test_the_lander_is_on_the_picture_where_the_state_has_it():
    with LunarLander(width=600, height=400) as game:
        game.reset(2)
        for step in range(25):
            state, picture = game.state(), game.frame().astype(int)
            assert tuple(state) == game.state_columns
            body = np.argwhere((np.abs(picture - [230, 102, 128]) < 12).all(axis=2))
            if state["height"] < 8:
                y, x = body.mean(axis=0)
                pad_y = 300 - 18  # px from above of a lander that stands: the pad, and the legs' length
                assert (x, y) == pytest.approx((state["lander_x_px"], pad_y - 30 * state["height"]), abs=8)
                assert state["lander_in_view"] == 1
            game.step([keys_of(step)] * 3)


def test_an_episode_is_the_same_whether_anybody_looks_or_not():
    ends = []
    for sighted in (True, False):
        with LunarLander(width=300, height=200, sighted=sighted) as game:
            game.reset(7)
            for step in range(25):
                if sighted and step % 2:
                    np.testing.assert_array_equal(game.frame(), game.frame())
                game.step([keys_of(step)] * 3)
            ends.append((game.state(), game.score))
    assert ends[0] == ends[1]


def test_left_turns_to_the_left_and_main_brakes():
    said = {}
    with LunarLander(width=300, height=200, sighted=False) as game:
        for name in ("LEFT", "MAIN", "RIGHT"):
            game.reset(1)
            before = game.state()
            for _ in range(5):
                game.step([{name}] * 3)
            said[name] = {column: game.state()[column] - before[column] for column in COLUMNS}
    assert said["LEFT"]["angle_deg"] > 10 > -10 > said["RIGHT"]["angle_deg"]
    assert said["LEFT"]["speed_x"] < 0 < said["RIGHT"]["speed_x"]
    assert said["MAIN"]["speed_y"] > 1 > -2 > said["LEFT"]["speed_y"]


def test_the_script_rights_itself_brakes_and_lets_go():
    assert LanderScript().wish(STILL, []) == frozenset()
    assert LanderScript().wish(STILL | {"angle_deg": 30.0}, []) == {"RIGHT"}
    assert LanderScript().wish(STILL | {"speed_x": 2.0}, []) == {"LEFT"}, "lean against the drift"
    assert LanderScript().wish(STILL | {"speed_y": -8.0}, []) == {"MAIN"}
    assert LanderScript().wish(STILL | {"speed_y": -8.0, "left_leg": 1.0, "right_leg": 1.0}, []) == frozenset()


def test_an_engine_that_burns_goes_on_until_it_is_clearly_enough():
    script, need = LanderScript(), STILL | {"height": 0.0}
    burning = [bool(script.wish(need | {"speed_y": speed}, [])) for speed in (-1.2, -1.6, -1.2, -0.8)]
    assert burning == [False, True, True, False]


def test_the_script_lands_and_who_does_not_look_crashes():
    seeds = range(1, 9)
    script = np.mean([each.score for each in play_script(SETTING, read_params().collect.script, seeds)])
    assert script > 100
    for blind in (Nothing(3), Metronome((0, 16, 0), (0, 0, 0))):
        assert np.mean([each.score for each in play_rows(SETTING, [(blind, seed) for seed in seeds])]) < 0


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(ValueError, match="lunar_lander needs Box2D, which is not installed: pip install box2d"):
        LunarLander(width=300, height=200)
