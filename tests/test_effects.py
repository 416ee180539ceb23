"""What codes do: effects, events and the objects of Breakout, on cases that can be worked out by hand."""

import math

import numpy as np
import pytest

from stages.games.breakout import Breakout
from stages.games.breakout_objects import ball_x_px, bricks_in, object_metrics, paddle_x_px
from stages.games.doom import DoomCenter
from stages.latent_actions.effects import (
    change_classes,
    codes_of_classes,
    codes_of_events,
    consistency,
    effect_moments,
    effect_of,
    effect_rows,
    event_rows,
    events_of,
    image_shift_px,
)
from stages.pages.latent_action_chapter import _events_table


@pytest.mark.parametrize("shift", [-12, 0, 4])
def test_the_shift_of_a_picture_is_found_although_a_weapon_stays_where_it_is(shift):
    wide = np.random.default_rng(0).integers(0, 255, (1, 1, 20, 60), np.uint8).repeat(2, axis=2).repeat(2, axis=3)
    now, later = wide[..., 30:90].copy(), wide[..., 30 - shift : 90 - shift].copy()
    now[..., 30:, 20:30] = later[..., 30:, 20:30] = 200
    assert image_shift_px(now, later).tolist() == [shift]


def test_a_code_that_always_does_the_same_is_consistent():
    codes = np.array([0, 0, 1, 1])

    def of(*effect):
        return consistency(effect_moments(codes, np.array(effect), 3).sum(axis=0))

    assert of(-2.0, -2.0, 3.0, 3.0) == 1 and of(-2.0, 2.0, -2.0, 2.0) == 0
    assert of(-2.0, -2.0, 3.0, math.nan) == 1
    assert np.isnan(of(0.0, 0.0, 0.0, 0.0)) and np.isnan(of(*[math.nan] * 4)) and np.isnan(of(0.1, 0.1, 0.1, 0.1))
    rows = effect_rows(codes, np.array([-2.0, -4.0, 3.0, np.nan]), 3)
    assert [(row["code"], row["mean"], row["share"]) for row in rows] == [(0, -3.0, 0.5), (1, 3.0, 0.5)]
    assert rows[0]["spread"] == 1 and rows[0]["median"] == -3


def test_events_are_read_from_the_state():
    def state(**columns):
        return {name: np.array(values, float) for name, values in columns.items()}

    before = state(ball_x_px=[1, 1, 1], ball_y_px=[9, 9, np.nan], bricks=[5, 5, 5], paddle_x_px=[1, 1, 1])
    now = state(ball_x_px=[2, 2, 2], ball_y_px=[8, 8, 8], bricks=[5, 5, 5], paddle_x_px=[1, 1, 1])
    later = state(ball_x_px=[3, 1, 3], ball_y_px=[7, 9, 9], bricks=[5, 4, 5], paddle_x_px=[1, 1.5, 3])
    found = events_of(Breakout.events, before, now, later)
    assert {name: happens.tolist() for name, happens in found.items()} == {
        "brick broken": [False, True, False],
        "paddle moves": [False, False, True],
        "ball bounces sideways": [False, True, False],
        "ball bounces up or down": [False, True, False],
    }
    assert set(events_of(DoomCenter.events, {}, state(player_ammo=[3]), state(player_ammo=[2]))) == {"shot fired"}


def test_the_code_of_an_event_has_the_highest_lift_where_it_is_chosen_and_is_judged_elsewhere():
    codes = np.array([0] * 50 + [1] * 50)
    happens = np.zeros(100, bool)
    happens[[0, 50, 51, 52]] = True
    events = {"hit": happens, "never": np.zeros(100, bool)}
    chosen = codes_of_events(codes, events, 3)
    assert chosen == {"hit": 1, "never": None}
    row, never = event_rows(codes, events, chosen)
    assert row == {"event": "hit", "times": 4, "code": 1, "lift": pytest.approx(1.5), "caught": 0.75}
    assert never == {"event": "never", "times": 0, "code": None, "lift": None, "caught": None}
    elsewhere, unknown = event_rows(np.array([0, 0, 1, 2]), {"hit": np.arange(4) < 2, "new": np.arange(4) > 2}, chosen)
    assert (elsewhere["code"], elsewhere["lift"], elsewhere["caught"]) == (1, 0, 0)  # the best code of here would be 0
    assert unknown == {"event": "new", "times": 1, "code": None, "lift": None, "caught": None}
    [nowhere] = event_rows(codes, {"hit": np.zeros(100, bool)}, chosen)
    assert nowhere == {"event": "hit", "times": 0, "code": 1, "lift": None, "caught": None}
    assert _events_table([row, never, elsewhere, unknown, nowhere]).rows[-1] == ["hit", "0", "1", "–", "–"]
    rare = codes_of_events(np.array([0] * 200 + [1]), {"once": np.arange(201) == 200}, 2)
    assert rare == {"once": None}  # its only code is too rare to be named after it


def test_classes_of_a_change():
    assert change_classes(np.array([-1, -0.9, 0, 1, 5, np.nan]), 1.0).tolist() == [0, 2, 2, 1, 1, 2]
    codes, classes = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 2])
    assert codes_of_classes(codes, classes, 3, 3).tolist() == [0, 1, 2]


def test_a_turn_beyond_the_full_circle_is_a_small_one():
    states = ({}, {"player_angle_deg": np.array([359.0, 2.0])}, {"player_angle_deg": np.array([3.0, 358.0])})
    assert effect_of("player_angle_deg", None, states).tolist() == [4, -4]


def breakout(ball, paddle, standing=(0, 17), scale=2):
    """A picture of the console at 1 / scale with a ball (x, y), a paddle's middle and two bricks of the lowest row."""
    full = np.zeros((210, 160), np.float32)
    full[57:93, 8:152] = 120
    full[87:93, 8:152] = 0
    for column in standing:
        full[87:93, 8 + 8 * column : 16 + 8 * column] = 120
    if ball is not None:
        full[ball[1] - 2 : ball[1] + 2, ball[0] - 1 : ball[0] + 1] = 150
    full[189:193, paddle - 8 : paddle + 8] = 150
    return full.reshape(210 // scale, scale, 160 // scale, scale).mean(axis=(1, 3))[None, None]


STATE = {
    "ball_x_px": 60.0, "ball_y_px": 140.0, "paddle_x_px": 40.0, "bricks1_id": 2.0**0 + 2.0**17,
    **{f"bricks{row}_id": 2.0**18 - 1 for row in range(2, 7)},
}  # fmt: skip


@pytest.mark.parametrize("scale", [1, 2])
def test_ball_paddle_and_bricks_are_found_where_they_are(scale):
    picture = breakout((60, 140), 40, scale=scale)
    assert ball_x_px(picture, 40.0) == pytest.approx([60], abs=0.6)
    assert paddle_x_px(picture, 40.0) == pytest.approx([40], abs=0.6)
    assert bricks_in(picture, 40.0)[0, 0].nonzero()[0].tolist() == [0, 17] and bricks_in(picture, 40.0)[0, 1:].all()


def test_a_missing_ball_is_counted_and_its_place_is_not():
    true, without, off = breakout((60, 140), 40), breakout(None, 40), breakout((66, 140), 44, standing=(0,))
    state = {name: np.array([value]) for name, value in STATE.items()}
    found = object_metrics({"true": true, "gone": without, "off": off}, state)
    assert found["lam_ball_missed_true"] == 0 and found["lam_ball_off_px_true"] < 1
    assert found["lam_ball_missed_gone"] == 1 and found["lam_ball_off_px_gone"] is None
    assert found["lam_ball_off_px_off"] == pytest.approx(6, abs=1)
    assert found["lam_paddle_off_px_off"] == pytest.approx(4, abs=1)
    assert found["lam_bricks_right_true"] == 1 and found["lam_bricks_right_off"] == pytest.approx(107 / 108)
