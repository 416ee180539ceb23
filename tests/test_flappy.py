"""Flappy Bird: its state is what the picture shows, a press is one flap, its script passes pipes."""

import math
import sys

import numpy as np
import pytest

from stages.evaluation.blind import Metronome, Nothing
from stages.games.flappy import BIRD_SIZE, BIRD_X, FLAP, Flappy, FlappyScript, _flights
from stages.games.rollout import GameSetting, play_rows, play_script
from stages.params import read_params

SETTING = GameSetting("flappy", 144, 256, ("FLAP",), 15)
ATTENTIVE = read_params().collect.script.model_copy(update={"lapses_per_min": 1, "slips_per_min": 1.8})


def test_bird_and_pipes_are_on_the_picture_where_the_state_has_them():
    with Flappy(width=288, height=512) as game:
        game.reset(3)
        script = FlappyScript()
        for _ in range(60):
            state, picture = game.state(), game.frame().astype(int)
            assert tuple(state) == game.state_columns
            x, top, bottom = (state[f"pipe1_{name}"] for name in ("x", "top", "bottom"))
            if 100 < x < 260:
                inside = picture[:, int(x) + 26]
                sky = (inside[:, 0] > 150) & (inside[:, 2] < 120)  # blue, as no pipe is
                gap = np.flatnonzero(sky[:400])
                assert (gap[0], gap[-1] + 1) == pytest.approx((top, bottom), abs=3)
                assert state["pipe_x_px"] == x + 26
            body = picture[int(state["bird_y"]) - 6 :][: BIRD_SIZE[1] + 12, BIRD_X : BIRD_X + BIRD_SIZE[0] + 8]
            red = np.argwhere(body[..., 2] - body[..., 0] > 100)  # the bird alone is that red or yellow
            assert len(red) > 100
            game.step([script.wish(state, [])] * 2)
        assert game.score > 0 and not game.done


def test_a_press_is_one_flap_however_long_it_is_held():
    speeds = []
    with Flappy(width=144, height=256, sighted=False) as game:
        game.reset(0)
        for held in ((set(), set()), (FLAP, FLAP), (FLAP, FLAP), (set(), FLAP)):
            game.step(held)
            speeds.append(game.state()["bird_speed"])
    assert speeds == [-7, -8, -6, -9]


def test_the_script_knows_how_the_bird_flies():
    plan = np.array([[False, True, False, False, True, False]])
    with Flappy(width=144, height=256, sighted=False) as game:
        game.reset(0)
        before = game.state()
        seen = []
        for flap in plan[0]:
            game.step([FLAP if flap else set()] * 2)
            seen.append(game.state()["bird_y"])
    assert _flights(plan, before["bird_y"], before["bird_speed"], 0)[0, 1::2].tolist() == seen


def test_the_script_never_presses_in_two_frames_that_follow_each_other():
    with Flappy(width=144, height=256, sighted=False) as game:
        game.reset(2)
        script, wishes = FlappyScript(), []
        while len(wishes) < 150 and not game.done:
            wishes.append(script.wish(game.state(), []))
            game.step([wishes[-1]] * 2)
    pressed = np.array([bool(wish) for wish in wishes])
    assert pressed.any() and not (pressed[1:] & pressed[:-1]).any()


def test_where_no_pipe_is_in_view_its_columns_are_empty():
    with Flappy(width=144, height=256, sighted=False) as game:
        game.reset(0)
        assert game.state()["pipe_in_view"] == 0 and math.isnan(game.state()["pipe_x_px"])
        game.step([set()] * 2)
        assert game.state()["pipe_in_view"] == 1


def test_a_size_that_is_no_part_of_the_picture_is_named():
    with pytest.raises(ValueError, match="is 100x100; Flappy Bird's picture is 288x512, 144x256, 72x128"):
        Flappy(width=100, height=100)


def test_the_script_passes_pipes_and_who_does_not_look_hardly_one():
    seeds = range(1, 6)
    script = np.mean([each.score for each in play_script(SETTING, ATTENTIVE, seeds)])
    assert script > 3
    for blind in (Nothing(1), Metronome((8,), (0,)), Metronome((9,), (0,))):
        assert np.mean([each.score for each in play_rows(SETTING, [(blind, seed) for seed in seeds])]) < script / 2


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "flappy_bird_gymnasium", None)
    monkeypatch.setitem(sys.modules, "flappy_bird_gymnasium.envs.flappy_bird_env", None)
    with pytest.raises(ValueError, match="flappy needs flappy_bird_gymnasium.*--no-deps -r requirements-flappy.lock"):
        Flappy(width=144, height=256).reset(0)
