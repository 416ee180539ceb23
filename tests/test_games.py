"""The bundled games: same seed, same episode; what state rows say; the scripts and their handicaps."""

import math
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from stages.games.atari import HEIGHT, WIDTH, AtariGame
from stages.games.breakout import Breakout, BreakoutOptions, BreakoutScript, bricks_of
from stages.games.catalog import (
    GAMES,
    RECORDING_SEEDS,
    TEST_SEEDS,
    VALIDATION_SEEDS,
    agent_can_play,
    bundled,
    game_seeds,
    options_of,
    records_bundled_game,
    require_fitting,
)
from stages.games.doom import HALF_VIEW_DEG, CenterScript, DoomCenter, LineScript
from stages.games.doom_dodge import DoomDodgeOptions
from stages.games.game import Change
from stages.games.rollout import GameSetting
from stages.games.scripts import HumanLikeScript
from stages.params import ScriptParams, Section, read_params

PERFECT = ScriptParams(
    reaction_s=0, reaction_jitter_s=0, lapses_per_min=0, lapse_s=0, slips_per_min=0, slip_s=0,
    explores_per_min=0, explore_s=0,
)  # fmt: skip
OPTIONS = BreakoutOptions(frame_skip=2, sticky=0.25, noops=30, serve_s=1.0)
HUMAN = PERFECT.model_copy(update={"reaction_s": 6 / 35, "slips_per_min": 70, "slip_s": 0.2, "lapses_per_min": 10})


def enemy_state(*things: tuple[float, float]) -> dict[str, float]:
    """A state row with enemies given as (bearing, distance), the nearest first."""
    row = {column: math.nan for column in DoomCenter.state_columns}
    for n, (bearing, distance) in enumerate(things, start=1):
        row |= {f"enemy{n}_id": float(n), f"enemy{n}_bearing_deg": bearing, f"enemy{n}_distance": distance}
    return row


def player(script, params, seed=0) -> HumanLikeScript:
    keys = dict.fromkeys(("LEFT", "RIGHT", "SHOOT", "DASH"))
    game = SimpleNamespace(script=lambda: script, keys=keys, tic_rate_hz=35, tics_per_frame=3)
    return HumanLikeScript(game, params, np.random.default_rng(seed))


SETTINGS = {  # of each game the size of its picture, and its options if it has some
    "doom_dodge": (256, 144, DoomDodgeOptions(warm_up_s=4)),
    "flappy": (144, 256, Section()),
    "lunar_lander": (300, 200, Section()),
}


def setting(name: str) -> GameSetting:
    game = bundled(name)
    if issubclass(game, AtariGame):
        return GameSetting(name, WIDTH, HEIGHT, tuple(game.keys), 60, read_params().section(name, game.options))
    width, height, options = SETTINGS.get(name, (256, 144, Section()))
    return GameSetting(name, width, height, tuple(game.keys), 60, options)


@pytest.mark.parametrize("name", GAMES)
def test_the_same_seed_gives_the_same_episode(name):
    seen = []
    for _ in range(2):
        with setting(name).start() as game:
            frames, states = [], []
            for seed in (5, 6):
                game.reset(seed)
                for step in range(12):
                    frames.append(game.frame().copy())
                    states.append(list(game.state().values()))
                    keys = {"LEFT", "SHOOT", "FLAP"} if step % 4 else {"RIGHT", "FIRE", "MAIN"}
                    game.step([keys] * game.tics_per_frame)
            seen.append((np.array(frames), np.array(states)))
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    np.testing.assert_array_equal(seen[0][1], seen[1][1])
    assert (seen[0][0][:12] != seen[0][0][12:]).any(), "another seed, another episode"


def test_a_state_row_has_exactly_the_columns_and_tells_who_is_in_view():
    with DoomCenter(width=320, height=180) as game:
        game.reset(1)
        for _ in range(60):
            row = game.state()
            assert tuple(sorted(row)) == tuple(sorted(game.state_columns))
            seen = any(abs(row[f"enemy{n}_bearing_deg"]) < HALF_VIEW_DEG for n in (1, 2, 3))
            if seen:
                assert row["enemy_in_view"] == 1 and 0 <= row["enemy_x_px"] <= 320
            if not row["enemy_in_view"]:
                assert math.isnan(row["enemy_x_px"])
            game.step([{"LEFT"}] * 3)


def test_the_picture_of_an_enemy_moves_as_its_state_says():
    """Turning to the left moves everything to the right on the screen."""
    with DoomCenter(width=320, height=180) as game:
        game.reset(1)
        before = {game.state()[f"enemy{n}_id"]: game.state()[f"enemy{n}_bearing_deg"] for n in (1, 2, 3)}
        game.step([{"LEFT"}] * 3)
        after = {game.state()[f"enemy{n}_id"]: game.state()[f"enemy{n}_bearing_deg"] for n in (1, 2, 3)}
    for number in before.keys() & after.keys():
        assert (after[number] - before[number] + 180) % 360 - 180 == pytest.approx(-5.27, abs=1.0)


def test_dying_costs_a_point_and_ends_the_episode():
    with DoomCenter(width=256, height=144, sighted=False) as game:
        game.reset(3)
        while not game.done:
            game.step([set()] * 3)
        assert (game.score, game.outcome) == (-1.0, "died")


def test_a_size_that_the_engine_lacks_is_named():
    with pytest.raises(ValueError, match="is 100x100"):
        DoomCenter(width=100, height=100)


def test_unknown_games_are_told_with_the_known_ones():
    with pytest.raises(ValueError, match="'chess'.*doom_center, doom_line"):
        bundled("chess")


def test_seeds_of_recording_validation_and_test_never_meet():
    ranges = [
        set(game_seeds(base, seed, 500))
        for base in (RECORDING_SEEDS, VALIDATION_SEEDS, TEST_SEEDS)
        for seed in range(100)
    ]
    assert len(set().union(*ranges)) == sum(map(len, ranges))
    with pytest.raises(ValueError, match="at most 10,000"):
        game_seeds(TEST_SEEDS, 0, 10_001)


def test_own_recordings_are_no_bundled_game():
    assert records_bundled_game("data/raw/doom_center", "doom_center")
    assert not records_bundled_game("data/raw/mine", "doom_center")
    assert not records_bundled_game("elsewhere/doom_line", "doom_center")


def test_agents_of_recordings_from_elsewhere_play_where_params_say_so():
    params = read_params().model_copy(update={"recordings": "data/raw/mine"})
    assert not agent_can_play(params)
    assert agent_can_play(params.model_copy(update={"play": params.play.model_copy(update={"elsewhere": True})}))


def test_recordings_from_elsewhere_must_have_the_game_s_keys_and_frame_rate():
    changes = {"game": "pong", "recordings": "data/raw/mine", "actions": ("LEFT", "RIGHT")}
    params = read_params().model_copy(update=changes)
    params = params.model_copy(update={"collect": params.collect.model_copy(update={"width": 160, "height": 210})})
    require_fitting(params, 20.0)
    with pytest.raises(ValueError, match="30 frames a second and pong 20: set align.fps: 20"):
        require_fitting(params, 30.0)
    with pytest.raises(ValueError, match="pong has no action UP; it has LEFT, RIGHT"):
        require_fitting(params.model_copy(update={"actions": ("UP", "RIGHT")}), 20.0)


def test_recordings_of_another_bundled_game_are_refused():
    with pytest.raises(ValueError, match="-S game=doom_line -S recordings=data/raw/doom_line"):
        options_of(read_params().model_copy(update={"game": "doom_line"}))


@pytest.mark.parametrize("name", GAMES)
def test_each_game_reads_its_own_section_and_knows_its_columns(name):
    game = GAMES[name]
    params = read_params()
    assert isinstance(
        options_of(params.model_copy(update={"game": name, "recordings": f"data/raw/{name}"})), game.options
    )
    columns = {column for column, _ in game.events.values()} | set(game.object_columns)
    assert columns and columns <= set(game.state_columns)
    assert {change for _, change in game.events.values()} <= set(get_args(Change))


def test_the_center_script_turns_to_the_near_enemy_and_shoots_when_it_is_ahead():
    script = CenterScript()
    assert script.wish(enemy_state((20.0, 200.0)), []) == {"LEFT"}
    assert script.wish(enemy_state((-45.0, 200.0)), []) == {"RIGHT", "DASH"}
    assert script.wish(enemy_state((0.5, 200.0)), []) == {"SHOOT"}
    assert script.wish(enemy_state((0.5, 700.0)), []) == {"RIGHT"}, "too far: it goes on looking round"


def test_the_center_script_allows_for_the_turn_that_is_under_way():
    script = CenterScript()
    assert script.wish(enemy_state((21.0, 200.0)), [frozenset({"LEFT"})] * 2) == {"SHOOT"}


def test_the_center_script_stays_with_its_target_until_another_is_much_nearer():
    script = CenterScript()
    script.wish(enemy_state((20.0, 200.0)), [])
    both = enemy_state((-30.0, 190.0), (20.0, 200.0))
    both["enemy1_id"], both["enemy2_id"] = 2.0, 1.0
    assert script.wish(both, []) == {"LEFT"}
    both["enemy1_distance"] = 100.0
    assert "RIGHT" in script.wish(both, [])


def test_the_line_script_dashes_away_from_a_fireball():
    row = enemy_state((0.0, 500.0)) | {
        "projectile1_id": 9.0, "projectile1_bearing_deg": 2.0, "projectile1_distance": 200.0,
    }  # fmt: skip
    assert LineScript().wish(row, []) == {"RIGHT", "DASH", "SHOOT"}


def test_a_perfect_player_answers_in_the_same_frame_a_human_two_frames_later():
    ahead = enemy_state((20.0, 200.0))
    assert player(CenterScript(), PERFECT).keys(ahead) == [{"LEFT"}] * 3
    slow = player(CenterScript(), PERFECT.model_copy(update={"reaction_s": 6 / 35}))
    assert [slow.keys(ahead) for _ in range(3)] == [[frozenset()] * 3, [frozenset()] * 3, [{"LEFT"}] * 3]


def test_slips_are_made_of_the_seed_and_of_nothing_else():
    ahead = enemy_state((20.0, 200.0))
    first, second, other = (player(CenterScript(), HUMAN, seed) for seed in (1, 1, 2))
    keys = [[each.keys(ahead) for _ in range(200)] for each in (first, second, other)]
    assert keys[0] == keys[1] != keys[2]
    assert any("DASH" in tic for frame in keys[0] for tic in frame), "a wrong key is hit now and then"


def test_breakout_knows_where_the_ball_the_paddle_and_the_bricks_are_on_the_picture():
    seen_balls = 0
    with setting("breakout").start() as game:
        game.reset(3)
        script = BreakoutScript()
        for _ in range(150):
            row, picture = game.state(), game.frame().astype(int)
            assert tuple(row) == game.state_columns
            red = (np.abs(picture - [72, 72, 200]) < 8).all(axis=2)  # ball, paddle and the upper bricks
            assert np.flatnonzero(red[190])[0] + 8 == row["paddle_x_px"]  # its left end, half its width
            ball = np.argwhere(red[100:185, 8:152])
            if 105 < row["ball_y_px"] < 180:
                seen_balls += 1
                y, x = ball.mean(axis=0)
                assert (x + 8.5, y + 100.5) == pytest.approx((row["ball_x_px"], row["ball_y_px"]), abs=1.0)
            wall = picture[59:95:6, 12:152:8].any(axis=2)[::-1]  # the middle of each brick, the lowest row first
            bricks = [[int(row[f"bricks{n}_id"]) >> column & 1 for column in range(18)] for n in range(1, 7)]
            flown_through = np.argwhere(wall != np.array(bricks, bool))
            assert len(flown_through) <= 2, "the ball may be in front of a gap"
            assert row["bricks"] == np.sum(bricks) == bricks_of(game._game.getRAM()).sum()
            game.step([script.wish(row, [])] * game.tics_per_frame)
    assert seen_balls > 20 and game.score > 0


def test_breakout_serves_a_ball_that_nobody_serves():
    with Breakout(width=WIDTH, height=HEIGHT, options=OPTIONS) as game:
        game.reset(0)
        for _ in range(20):
            assert not game.state()["ball_in_view"]
            game.step([frozenset()] * 2)
        for _ in range(30):
            game.step([frozenset()] * 2)
        assert game.state()["ball_in_view"]


def test_breakouts_script_holds_still_below_a_ball_that_comes_down_and_cares_less_for_one_that_flies_up():
    def wishes(*balls: tuple[float, float], paddle: float) -> list[set]:
        script, rest = BreakoutScript(), dict.fromkeys(Breakout.state_columns, 0.0)
        rows = [rest | {"ball_x_px": x, "ball_y_px": y, "paddle_x_px": paddle} for x, y in balls]
        return [set(script.wish(row, [])) for row in rows]

    down, up = [(80, 100), (80, 104), (80, 108)], [(80, 108), (80, 104), (80, 100)]
    assert wishes(*down, paddle=88) == [set(), set(), set()]
    assert wishes(*down, paddle=92) == [set(), {"LEFT"}, {"LEFT"}] and wishes(*up, paddle=92)[1:] == [set(), set()]
    assert wishes(*up, paddle=40)[1:] == [{"RIGHT"}, {"RIGHT"}]
    assert wishes(*up, *down, paddle=92)[3:] == [set(), {"LEFT"}, {"LEFT"}]  # from where the ball has turned
    assert wishes((math.nan, math.nan), paddle=92) == [{"FIRE"}]


def test_who_explores_tries_keys_that_the_script_does_not_want():
    params = PERFECT.model_copy(update={"explores_per_min": 30, "explore_s": 1.0})
    someone = player(LineScript(), params)  # with nobody in view this script wants nothing
    held = [tic for _ in range(2000) for tic in someone.keys(enemy_state())]
    assert 0.2 < np.mean([bool(keys) for keys in held]) < 0.6
    assert set().union(*held) == {"LEFT", "RIGHT", "SHOOT", "DASH"}
