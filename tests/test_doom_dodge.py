"""doom_dodge: its state is what the picture shows, its script dodges, and nobody lives who does not look."""

import math

import numpy as np
import pytest

from stages.evaluation.blind import Nothing, SquareWave
from stages.games.doom_dodge import KEPT, RUN, WALK, Dodge, DodgeScript, DoomDodge, DoomDodgeOptions
from stages.games.rollout import GameSetting, play_rows, play_script
from stages.params import read_params

OPTIONS = DoomDodgeOptions(warm_up_s=10)
SETTING = GameSetting("doom_dodge", 256, 144, tuple(DoomDodge.keys), 15, OPTIONS)


def row(*balls: tuple[float, float, float], y: float = 400.0) -> dict[str, float]:
    """A state row of a player at x = 0 and y, with fireballs given as (id, x, y), the nearest first."""
    state = {column: math.nan for column in DoomDodge.state_columns} | {"player_x": 0.0, "player_y": y}
    for n, (number, ball_x, ball_y) in enumerate(balls, start=1):
        state |= {f"projectile{n}_id": number, f"projectile{n}_x": ball_x, f"projectile{n}_y": ball_y}
        state[f"projectile{n}_bearing_deg"] = math.degrees(math.atan2(ball_y - y, ball_x))
        state[f"projectile{n}_distance"] = math.hypot(ball_x, ball_y - y)
    return state


def test_fireballs_are_on_the_picture_where_the_state_has_them():
    found = []
    with DoomDodge(width=320, height=180, options=OPTIONS) as game:
        game.reset(4)
        script = DodgeScript()
        for _ in range(60):
            state, picture = game.state(), game.frame().astype(int)
            assert set(state) == set(game.state_columns)
            x = state["projectile_x_px"]
            if 20 < x < 300 and state["projectile_distance"] < 250:
                white = np.argwhere(picture[60:150, int(x) - 20 : int(x) + 20].min(axis=2) > 150)  # a ball's middle
                if len(white):
                    found.append(white[:, 1].mean() + int(x) - 20 - x)
            game.step([script.wish(state, [])] * 3)
    assert len(found) > 10
    assert abs(np.median(found)) < 4, "px off"


def test_keys_move_the_player_as_the_script_expects():
    with DoomDodge(width=256, height=144, options=DoomDodgeOptions(warm_up_s=0), sighted=False) as game:
        game.reset(1)
        for push, keys in ((WALK, {"LEFT"}), (-RUN, {"RIGHT", "DASH"})):
            for _ in range(12):  # stand still
                game.step([set()] * 3)
            before, speed, way = game.state()["player_y"], 0.0, 0.0
            for _ in range(4):
                game.step([keys] * 3)
            for _ in range(12):
                speed += push
                way, speed = way + speed, speed * KEPT
            assert game.state()["player_y"] - before == pytest.approx(way, rel=0.1)


def test_the_script_stands_while_nothing_comes_and_steps_out_of_a_fireballs_way():
    assert DodgeScript().wish(row(), []) == frozenset()
    assert DodgeScript().wish(row((1.0, 100.0, 390.0)), []) & {"LEFT"}, "the ball flies at the player from the right"
    aside = DodgeScript()
    aside.wish(row((1.0, 530.0, 500.0)), [])  # too far to mind
    assert aside.wish(row((1.0, 500.0, 500.0)), []) == frozenset(), "it will pass a hundred units beside"


def test_a_dodge_under_way_is_finished():
    script = DodgeScript()
    first = script.wish(row((1.0, 240.0, 400.0)), [])
    held = [script.wish(row((1.0, 240.0 - 30 * n, 400.0), y=400.0), []) for n in (1, 2)]
    assert first and held[0] <= {*first, "DASH"}
    assert Dodge("LEFT", True, 2).keys == {"LEFT", "DASH"} and Dodge("LEFT", False, 0).keys == frozenset()


def test_the_score_is_the_seconds_survived_after_the_warm_up():
    with DoomDodge(width=256, height=144, options=OPTIONS, sighted=False) as game:
        game.reset(3)
        assert (game.score, game.state()["player_health"]) == (0.0, 100.0)
        frames = 0
        while not game.done:
            game.step([set()] * 3)
            frames += 1
        assert game.score == pytest.approx(frames * game.frame_s, abs=0.1) and game.outcome == "died"


def test_the_script_outlives_who_does_not_look():
    seeds = range(1, 5)
    script = np.mean([each.score for each in play_script(SETTING, read_params().collect.script, seeds)])
    for blind in (Nothing(3), SquareWave(3, 0, 1, 28, 2, 1)):
        assert np.mean([each.score for each in play_rows(SETTING, [(blind, seed) for seed in seeds])]) < script / 1.5
