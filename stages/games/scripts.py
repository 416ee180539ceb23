"""Scripted players that play like a person: they see only what is in view, react late, lapse and slip.

A script says what a skilled player wants to hold in view of one state row; `HumanLikeScript` stands between
that wish and the keys: a reaction delay, moments without attention, and wrong keys. A wrong key is
executed, so recordings hold mistakes and the recoveries from them, as a person's do.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping

import numpy as np

from stages.games.doom import HALF_VIEW_DEG, NEAREST
from stages.params import ScriptParams

State = Mapping[str, float]


class Script(ABC):
    """What a skilled player of one game wants to hold; keeps its intentions from frame to frame (hysteresis)."""

    @abstractmethod
    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        """The actions wanted in view of `state`; `pending` are the wishes of the last frames that the hands
        have not carried out yet: a person allows for a movement that is already under way."""


def _visible(state: State, kind: str) -> list[dict[str, float]]:
    """The things of a kind that are on the screen, the nearest first."""
    names = ("id", "bearing_deg", "distance", "x", "y")
    things = ({name: state[f"{kind}{n}_{name}"] for name in names} for n in range(1, NEAREST + 1))
    return [thing for thing in things if abs(thing["bearing_deg"]) < HALF_VIEW_DEG]  # NaN compares false


class CenterScript(Script):
    """doom_center: look round until a demon is near, turn to it and shoot it.

    Demons further away than `engage` are left alone: the pistol seldom hits them, and whoever waits for them is
    bitten from behind. The numbers are those of some twenty tried that scored best with a person's delay.
    """

    turn_deg = 10.5  # a frame, once the turn is under way
    dash_deg = 21.1
    engage = 380.0  # map units
    body = 18.0  # half the width of a demon that a shot must meet, map units

    def __init__(self):
        self._side = "LEFT"
        self._target: float | None = None

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        near = [thing for thing in _visible(state, "enemy") if thing["distance"] < self.engage]
        if not near:
            self._target = None
            return frozenset({self._side})
        target = self._chosen(near)
        bearing = target["bearing_deg"] - sum(self._turned(wish) for wish in pending)
        wide = math.degrees(math.atan2(self.body, target["distance"]))
        held = set()
        if abs(bearing) > max(wide, 0.35 * self.turn_deg):
            self._side = "LEFT" if bearing > 0 else "RIGHT"
            held.add(self._side)
            if abs(bearing) > self.dash_deg:
                held.add("DASH")
        if abs(bearing) < max(1.2 * wide, 3.0):
            held.add("SHOOT")
        return frozenset(held)

    def _chosen(self, seen: list[dict[str, float]]) -> dict[str, float]:
        """The demon it is busy with, unless another one has come much nearer."""
        nearest = seen[0]
        kept = next((thing for thing in seen if thing["id"] == self._target), None)
        if kept is None or nearest["distance"] < 0.6 * kept["distance"]:
            kept = nearest
        self._target = kept["id"]
        return kept

    def _turned(self, wish: frozenset[str]) -> float:
        """Degrees to the left that a wish turns the player in one frame."""
        side = ("LEFT" in wish) - ("RIGHT" in wish)
        return side * (self.dash_deg if "DASH" in wish else self.turn_deg)


class LineScript(Script):
    """doom_line: strafe in front of the nearest demon in view and shoot; dash out of a fireball's way."""

    stride = 24.0  # map units that a frame of strafing moves, once it is under way
    aligned = 18.0  # map units off a demon's line that still hit it
    near_s = 0.9  # a fireball that is this near in time is dodged
    ball_speed = 350.0  # map units a second
    ball_width = 44.0  # map units beside its line that are safe

    def __init__(self):
        self._side = "LEFT"
        self._target: float | None = None
        self._dodging = 0

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        moved = sum((("LEFT" in w) - ("RIGHT" in w)) * self.stride * (2 if "DASH" in w else 1) for w in pending)
        danger = self._danger(state, moved)
        if danger is not None:
            if not self._dodging:
                self._side = "RIGHT" if danger > 0 else "LEFT"
                self._dodging = 3
            return frozenset({self._side, "DASH", "SHOOT"})
        self._dodging = max(self._dodging - 1, 0)
        seen = _visible(state, "enemy")
        if not seen:
            return frozenset()
        target = next((thing for thing in seen if thing["id"] == self._target), seen[0])
        self._target = target["id"]
        offset = self._offset(target) - moved
        held = {"SHOOT"} if abs(offset) < 2 * self.aligned else set()
        if abs(offset) > self.aligned:
            self._side = "LEFT" if offset > 0 else "RIGHT"
            held.add(self._side)
        return frozenset(held)

    def _danger(self, state: State, moved: float) -> float | None:
        """How far to the left, map units, the nearest fireball will pass; None when none comes near."""
        for ball in _visible(state, "projectile"):
            passing = self._offset(ball) - moved
            if ball["distance"] < self.near_s * self.ball_speed and abs(passing) < self.ball_width:
                return passing
        return None

    @staticmethod
    def _offset(thing: dict[str, float]) -> float:
        """How far to the left of the line of fire a thing is, map units."""
        return thing["distance"] * math.sin(math.radians(thing["bearing_deg"]))


class BreakoutScript(Script):
    """breakout: serve, then bring the paddle to where the ball will come down."""

    walls = (8.0, 152.0)  # px between which the ball flies
    line = 187.0  # px from above at which the paddle meets it
    step = 8.0  # px that a wish moves the paddle, on average
    near = 5.0  # px off the ball's landing that still return it

    def __init__(self):
        self._ball: tuple[float, float] | None = None

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        before, self._ball = self._ball, None
        if math.isnan(state["ball_x_px"]):
            return frozenset({"FIRE"})
        self._ball = x, y = state["ball_x_px"], state["ball_y_px"]
        if before is None:
            return frozenset()
        target = self._landing(x, y, x - before[0], y - before[1])
        moved = sum(("RIGHT" in wish) - ("LEFT" in wish) for wish in pending) * self.step
        off = target - state["paddle_x_px"] - moved
        if abs(off) < self.near:
            return frozenset()
        return frozenset({"RIGHT" if off > 0 else "LEFT"})

    def _landing(self, x: float, y: float, dx: float, dy: float) -> float:
        """Where the ball meets the paddle's line, walls included; below it while it flies up."""
        if dy <= 0:
            return x
        left, right = self.walls
        way = (x + dx / dy * (self.line - y) - left) % (2 * (right - left))
        return left + min(way, 2 * (right - left) - way)


class HumanLikeScript:
    """One episode of a script with a person's handicaps; ask `keys` once a frame."""

    def __init__(
        self, script: Script, params: ScriptParams, actions: tuple[str, ...],
        *, tic_rate_hz: float, tics_per_frame: int, generator: np.random.Generator,
    ):  # fmt: skip
        self._script, self._params, self._actions = script, params, actions
        self._rate, self._tics, self._random = tic_rate_hz, tics_per_frame, generator
        self._tic = 0
        self._wishes: deque[tuple[int, frozenset[str]]] = deque()  # (tic at which the hands follow, actions)
        self._hands: frozenset[str] = frozenset()
        self._absent_until = 0
        self._slip: tuple[int, int, str] = (0, 0, "")  # (from which tic, until which tic, the wrong key)
        self._exploring_until, self._tried = 0, frozenset()

    def keys(self, state: State) -> list[frozenset[str]]:
        """What is held during each tic of the coming frame."""
        self._attend(state)
        return [self._held() for _ in range(self._tics)]

    def _attend(self, state: State) -> None:
        frame_s = self._tics / self._rate
        if self._tic >= self._absent_until:
            if self._random.random() < self._params.lapses_per_min / 60 * frame_s:
                self._absent_until = self._tic + round(self._params.lapse_s * self._rate)
            wish = self._wish(state, frame_s)
            jitter = self._random.uniform(-1, 1) * self._params.reaction_jitter_s
            follow = self._tic + max(round((self._params.reaction_s + jitter) * self._rate), 0)
            last = self._wishes[-1][0] if self._wishes else 0
            self._wishes.append((max(follow, last), wish))
        if self._slip[1] <= self._tic and self._random.random() < self._params.key_noise:
            start = self._tic + int(self._random.integers(self._tics))
            wrong = str(self._random.choice(self._actions))
            self._slip = (start, start + max(round(self._params.noise_s * self._rate), 1), wrong)

    def _wish(self, state: State, frame_s: float) -> frozenset[str]:
        """What the script wants or, while exploring, what chance wants: the same keys for a while."""
        wanted = self._script.wish(state, [wish for _, wish in self._wishes])
        often = self._params.explores_per_min
        if often and self._tic >= self._exploring_until and self._random.random() < often / 60 * frame_s:
            self._exploring_until = self._tic + round(self._params.explore_s * self._rate)
            self._tried = frozenset({str(self._random.choice(self._actions))})
        return self._tried if self._tic < self._exploring_until else wanted

    def _held(self) -> frozenset[str]:
        while self._wishes and self._wishes[0][0] <= self._tic:
            self._hands = self._wishes.popleft()[1]
        start, end, wrong = self._slip
        held = self._hands ^ {wrong} if start <= self._tic < end else self._hands
        self._tic += 1
        return held
