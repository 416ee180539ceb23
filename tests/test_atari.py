"""The games of the console: the joystick, what state rows say of the picture, and that playing blind does not pay."""

import math
from functools import cache

import numpy as np
import pytest
from ale_py import Action

from stages.evaluation.blind import Independent, Nothing, SquareWave
from stages.games.atari import HEIGHT, WIDTH, AtariGame, joystick
from stages.games.catalog import GAMES, bundled
from stages.games.demon_attack import DemonAttackScript
from stages.games.pong import PongScript
from stages.games.rollout import GameSetting, play_rows, play_script
from stages.games.space_invaders import SpaceInvadersScript
from stages.params import read_params

ATARI = [name for name, game in GAMES.items() if issubclass(game, AtariGame)]


def setting(name: str, max_episode_s: float = 60, **changes) -> GameSetting:
    """The game as params.yaml has it, but for `changes` of its section."""
    options = read_params().section(name, bundled(name).options).model_copy(update=changes)
    return GameSetting(name, WIDTH, HEIGHT, tuple(bundled(name).keys), max_episode_s, options)


@cache
def rows_and_pictures(name: str, frames: int = 240, seed: int = 3) -> list[tuple[dict, np.ndarray]]:
    """State rows and pictures uint8 [210, 160, 3] RGB of an episode that the script plays without handicaps."""
    seen = []
    with setting(name).start() as game:
        game.reset(seed)
        script = game.script()
        while not game.done and len(seen) < frames:
            row = game.state()
            assert tuple(row) == game.state_columns
            seen.append((row, game.frame()[..., ::-1].copy()))
            game.step([script.wish(row, [])] * game.tics_per_frame)
    return seen


def of_color(picture: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    return (picture == rgb).all(axis=2)


def middle(mask: np.ndarray) -> tuple[float, float]:
    """Across and down, in px, of what a mask holds; the middle of the box around it."""
    y, x = np.nonzero(mask)
    return (x.min() + x.max() + 1) / 2, (y.min() + y.max() + 1) / 2


def test_the_joystick_takes_a_direction_and_the_button_together():
    assert joystick({"RIGHT", "FIRE"}) == Action.RIGHTFIRE
    assert joystick({"UP", "LEFT", "FIRE"}) == Action.UPLEFTFIRE
    assert joystick({"LEFT", "RIGHT", "DOWN"}) == Action.DOWN
    assert joystick({"LEFT", "RIGHT"}) == joystick(()) == Action.NOOP


@pytest.mark.parametrize("name", ATARI)
def test_each_has_one_picture_size(name):
    with pytest.raises(ValueError, match=f"320x180; {bundled(name).__name__}'s picture is 160x210"):
        bundled(name)(width=320, height=180, options=setting(name).options)


def test_pong_knows_where_the_ball_and_the_paddles_are_on_the_picture():
    balls = 0
    for row, picture in rows_and_pictures("pong")[1:]:
        field = picture.copy()
        field[:34], field[194:] = 0, 0
        paddle, opponent = of_color(field, (92, 186, 92)), of_color(field, (213, 130, 74))
        assert np.flatnonzero(paddle.any(axis=1))[0] == max(row["paddle_y_px"] - 8, 34)
        if math.isnan(row["opponent_y_px"]):
            assert not opponent.any()
        elif opponent.any():
            assert np.flatnonzero(opponent.any(axis=1))[0] == max(row["opponent_y_px"] - 8, 34)
        ball = of_color(field, (236, 236, 236))
        if ball.any() and 36 < row["ball_y_px"] < 192:
            balls += 1
            assert middle(ball) == pytest.approx((row["ball_x_px"], row["ball_y_px"]), abs=1.0)
    assert balls > 100


def test_pong_scores_what_is_returned_and_ends_with_its_points():
    with setting("pong").start(sighted=False) as game:
        game.reset(1)
        while not game.done:
            game.step([()] * game.tics_per_frame)
        assert (game.score, game.outcome, game.state()["points_lost"]) == (0.0, "game lost", 5.0)


def test_space_invaders_knows_what_is_where_on_the_picture():
    missiles = 0
    for row, picture in rows_and_pictures("space_invaders")[1:]:
        cannon = of_color(picture[150:195], (92, 186, 92))
        if cannon.any():
            assert middle(cannon)[0] == pytest.approx(row["cannon_x_px"], abs=1.0)
        invaders = of_color(picture, (134, 134, 29))
        shown = [_shown(invaders, row, number, column) for number in range(6) for column in range(6)]
        stand = [int(row[f"invaders{number + 1}_id"]) >> column & 1 for number in range(6) for column in range(6)]
        assert np.sum(np.array(shown) != stand) <= 2, "one may be bursting"
        assert sum(stand) == row["invaders"]
        missiles += _missiles_are_shown(row, of_color(picture, (142, 142, 142)))
    assert missiles > 100


def _shown(invaders: np.ndarray, row: dict, number: int, column: int) -> bool:
    x, y = int(row["invaders_x_px"]) + 16 * column, int(row["invaders_y_px"]) - 18 * number
    return invaders[y - 5 : y + 5, max(x - 4, 0) : x + 4].sum() > 5


def _missiles_are_shown(row: dict, gray: np.ndarray) -> int:
    """How many of the shot and the bombs are in the picture; all must be that are below the invaders."""
    found = 0
    for thing in ("shot", "bomb1", "bomb2"):
        x, y = row[f"{thing}_x_px"], row[f"{thing}_y_px"]
        if row["invaders_y_px"] + 16 < y < 180:
            assert gray[int(y) - 5 : int(y) + 5, int(x) - 1 : int(x) + 2].any(), (thing, x, y)
            found += 1
    return found


def test_demon_attack_knows_what_is_where_on_the_picture():
    demons = bombs = shots = 0
    for row, picture in rows_and_pictures("demon_attack")[1:]:
        if picture[60, 0].any():
            continue  # the whole sky flashes
        cannon = of_color(picture[160:188], (184, 70, 162))
        if cannon.any():
            assert middle(cannon)[0] == pytest.approx(row["cannon_x_px"], abs=1.5)
        shot, bomb = of_color(picture[:170], (212, 140, 252)), of_color(picture[:188], (252, 144, 144))
        demons += _demons_are_shown(row, picture[:170].any(axis=2) & ~shot & ~bomb[:170])
        if shot.any() and row["shot_y_px"] < 165:
            shots += 1
            assert middle(shot) == pytest.approx((row["shot_x_px"], row["shot_y_px"]), abs=3.0)
        if bomb.any() and row["bombs_in_view"]:
            bombs += 1
            assert middle(bomb)[0] == pytest.approx(row["bombs_x_px"], abs=4.0)
            assert np.flatnonzero(bomb.any(axis=1))[-1] == pytest.approx(row["bombs_y_px"], abs=8.0)
    assert min(demons, bombs, shots) > 50


def _demons_are_shown(row: dict, lit: np.ndarray) -> int:
    """How many demons the row tells; what is lit around each has its middle there."""
    spots = [(row[f"demon{n}_x_px"], row[f"demon{n}_y_px"]) for n in (1, 2, 3)]
    spots = [(x, y) for x, y in spots if not math.isnan(x)]
    for x, y in spots:
        left = max(int(x) - 14, 0)
        columns = np.flatnonzero(lit[int(y) - 4 : int(y) + 5, left : int(x) + 14].any(axis=0)) + left
        assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(x, abs=3.0)
    return len(spots)


@pytest.mark.parametrize("name", [name for name in ATARI if name != "breakout"])
def test_the_script_beats_blind_keys(name):
    short = setting(name, max_episode_s=40)
    keys = len(short.actions)
    seeds = (11, 12, 13)
    blind = [Nothing(keys), Independent((0.5,) * keys), SquareWave(keys, 0, 1, 16, keys - 1 if keys > 2 else None, 1)]
    scores = [
        np.mean([played.score for played in play_rows(short, [(each, seed) for seed in seeds])]) for each in blind
    ]
    script = np.mean([played.score for played in play_script(short, read_params().collect.script, seeds)])
    assert script > 1.5 * max(scores) and script > 0, scores


def test_pong_may_score_the_share_of_points_won():
    with setting("pong", score="points", points=2).start(sighted=False) as game:
        game.reset(3)
        assert game.score == 0
        while not game.done:
            game.step([frozenset()] * game.tics_per_frame)
        state = game.state()
        assert state["points_lost"] == 2 and game.score == state["points_won"] / (state["points_won"] + 2)


def test_pong_s_script_goes_where_the_ball_comes_and_waits_while_it_flies_away():
    script = PongScript()
    row = {"ball_y_px": 100.0, "paddle_y_px": 160.0}
    assert [script.wish(row | {"ball_x_px": x}, []) for x in (90.0, 96.0, 102.0, 108.0)][2:] == [{"RIGHT"}] * 2
    assert script.wish(row | {"ball_x_px": 102.0}, []) == frozenset()


def invaders_row(**changes) -> dict[str, float]:
    row = dict.fromkeys(bundled("space_invaders").state_columns, math.nan)
    row |= {f"invaders{n}_id": 0.0 for n in range(1, 7)}
    return row | {"cannon_x_px": 90.0, "invaders_x_px": 30.0, "invaders_y_px": 126.0, "invaders1_id": 32.0} | changes


def test_the_invaders_script_aims_and_steps_aside_from_a_bomb():
    script = SpaceInvadersScript()
    assert script.wish(invaders_row(), []) == {"RIGHT"}, "the last column stands at 110"
    assert script.wish(invaders_row(cannon_x_px=110.0), []) == {"FIRE"}
    bomb = {"bomb1_x_px": 112.0, "bomb1_y_px": 150.0}
    assert script.wish(invaders_row(cannon_x_px=110.0, **bomb), []) == {"LEFT", "FIRE"}


def test_the_demons_script_aims_and_steps_aside_from_bombs():
    script, row = DemonAttackScript(), dict.fromkeys(bundled("demon_attack").state_columns, math.nan)
    row |= {"cannon_x_px": 80.0, "demon1_x_px": 20.0, "demon1_y_px": 60.0, "demon2_x_px": 120.0, "demon2_y_px": 90.0}
    assert script.wish(row, []) == {"RIGHT"}, "to the lower of two"
    assert script.wish(row | {"cannon_x_px": 119.0}, []) == {"FIRE"}
    assert script.wish(row | {"cannon_x_px": 119.0, "bombs_x_px": 123.0, "bombs_y_px": 150.0}, []) == {"LEFT", "FIRE"}
