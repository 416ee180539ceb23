"""Lunar Lander, by gymnasium with Box2D: side engines turn a lander, the main one brakes it, until it stands on a pad.

The score is the engine's return: up to about 300 for a soft landing between the flags, -100 for a crash on top of what
the way there cost. LEFT turns to the left and pushes there, RIGHT the same to the right; all engines can burn at a
time. Lengths are the engine's units of 30 px of its 600 x 400 picture, but lander_x_px is one of the picture that
is recorded; angles are degrees, positive to the left. Three tics of 1/50 s are a frame.
"""

import math
from collections.abc import Sequence

import numpy as np

from stages.games.engines import check_size, lunar_lander, shrunk_bgr
from stages.games.game import Game, Held, Script, State
from stages.params import Section

WIDTH, HEIGHT = 600, 400
FRAME_S = 3 / 50
UNITS = np.array([10, 20 / 3, 5, 7.5, math.degrees(1), math.degrees(2.5), 1, 1])  # of the engine's observations
COLUMNS = ("x", "height", "speed_x", "speed_y", "angle_deg", "spin_deg", "left_leg", "right_leg")
UNIT_PX = 30
TOP = HEIGHT * 3 / 4 / UNIT_PX  # of the picture above the pad, units
FALL, THRUST = 10.0, 18.6  # units/s2: gravity, the main engine
TURN, PUSH = 290.0, 2.3  # degrees/s2 and units/s2 of a side engine
SPARK_FADE = 0.15  # of a life of 1 or less
NO_OPTIONS = Section()


class LanderScript(Script):
    """lunar_lander: sink the slower the lower it is, lean against the drift; fire when clearly off, else coast."""

    steepest_deg = 22.0
    lean = 9.0  # degrees for each unit/s of drift too much
    approach = 0.55  # units/s of drift wanted for each unit off the pad
    foresight_s = 0.35  # of the turning that the angle is judged with
    sink, slow = 0.6, 1.0  # speed of descent wanted: units/s for each unit of height, and on the ground
    # What is too much to bear, and what is enough again: units/s of descent, degrees.
    bands = {"MAIN": (0.45, -0.1), "LEFT": (7.0, 2.0), "RIGHT": (7.0, 2.0)}

    def __init__(self):
        self._firing: set[str] = set()

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        x, height, vx, vy, angle, spin = _coasted([state[name] for name in COLUMNS[:6]], pending)
        if state["left_leg"] and state["right_leg"]:
            self._firing = set()
            return frozenset()
        drift = vx - max(-2.0, min(2.0, -self.approach * x))
        wanted = max(-self.steepest_deg, min(self.steepest_deg, self.lean * drift))
        if state["left_leg"] or state["right_leg"]:
            wanted = 0.0
        turn = wanted - angle - self.foresight_s * spin
        descent = self.slow + self.sink * max(height - 0.6 * max(abs(x) - 1.5, 0.0), 0.0)
        return self._fired({"MAIN": -vy - descent, "LEFT": turn, "RIGHT": -turn})

    def _fired(self, needs: dict[str, float]) -> frozenset[str]:
        """The engines that are needed, by two thresholds each: what burns goes on a while."""
        for engine, need in needs.items():
            start, stop = self.bands[engine]
            if need > start:
                self._firing.add(engine)
            elif need < stop:
                self._firing.discard(engine)
        return frozenset(self._firing)


def _coasted(body: list[float], pending: list[frozenset[str]]) -> tuple[float, ...]:
    """(x, height, speed_x, speed_y, angle, spin) after the frames of keys that the hands have not carried out yet."""
    x, height, vx, vy, angle, spin = body
    for wish in pending:
        side, thrust = ("LEFT" in wish) - ("RIGHT" in wish), THRUST * ("MAIN" in wish)
        spin += side * TURN * FRAME_S
        vx -= (side * PUSH + thrust * math.sin(math.radians(angle))) * FRAME_S
        vy += (thrust * math.cos(math.radians(angle)) - FALL) * FRAME_S
        x, height, angle = x + vx * FRAME_S, height + vy * FRAME_S, angle + spin * FRAME_S
    return x, height, vx, vy, angle, spin


class LunarLander(Game):
    tic_rate_hz = 50
    tics_per_frame = 3
    keys = {"LEFT": "Key.left", "MAIN": "Key.up", "RIGHT": "Key.right"}
    mirror = {"LEFT": "RIGHT"}
    state_columns = (*COLUMNS, "lander_in_view", "lander_x_px")
    script = LanderScript
    events = {"left leg down": ("left_leg", "rises"), "right leg down": ("right_leg", "rises")}

    def __init__(self, *, width: int, height: int, options: Section = NO_OPTIONS, sighted: bool = True):
        check_size("Lunar Lander", width, height, (WIDTH, HEIGHT))
        self._size, self._done = (width, height), False
        self._game = lunar_lander(sighted=sighted)

    def reset(self, seed: int) -> None:
        self._seen, _ = self._game.reset(seed=seed)
        self._score, self._last, self._done, self._picture = 0.0, 0.0, False, None

    def step(self, held: Sequence[Held]) -> None:
        self._picture = None
        for tic, actions in enumerate(held):
            if tic:  # the engine lets its sparks fade with every drawing, and means one a tic
                for spark in self._game.particles:
                    spark.ttl -= SPARK_FADE
            main, side = "MAIN" in actions, ("RIGHT" in actions) - ("LEFT" in actions)
            self._seen, self._last, self._done, *_ = self._game.step(np.array([main, side], float))
            self._score += float(self._last)
            if self._done:
                return

    def frame(self) -> np.ndarray:
        if self._picture is None:  # drawn once, however often it is asked for: sparks fade with it
            self._picture = shrunk_bgr(self._game.render(), *self._size)
        return self._picture

    def state(self) -> dict[str, float]:
        row = dict(zip(COLUMNS, (self._seen * UNITS).tolist(), strict=True))
        visible = row["height"] < TOP
        px = (WIDTH / 2 + row["x"] * UNIT_PX) * self._size[0] / WIDTH
        return row | {"lander_in_view": float(visible), "lander_x_px": px if visible else math.nan}

    @property
    def score(self) -> float:
        return self._score

    @property
    def done(self) -> bool:
        return self._done

    @property
    def outcome(self) -> str:
        return "landed" if self._last > 0 else "crashed"

    def close(self) -> None:
        """The engine lives in this process: nothing to end."""
