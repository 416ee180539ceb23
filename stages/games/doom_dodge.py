"""doom_dodge: imps at the far wall of a room throw fireballs, ever more of them; the player can only step aside.

ViZDoom's scenario take_cover. The player faces +x and moves along y, LEFT is +y; a hit takes a fifth of the health or
more. The score is the seconds survived. From the first second on many imps are there: before an episode starts
the player walks to and fro, unhurt, for `warm_up_s`. (With three imps, as the scenario begins, whoever runs from wall
to wall and looks at nothing lives half a minute.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import vizdoom

from stages.games.doom import HALF_VIEW_DEG, PLAYER_COLUMNS, Doom, thing_columns
from stages.games.game import Script, State
from stages.params import NonNegative, Section

LEFT_WALL, RIGHT_WALL, MIDDLE = 752.0, 16.0, 384.0  # y that the player reaches, map units
KEPT = 0.90625  # share of a speed that friction leaves, a tic
WALK, RUN = 0.75, 1.25  # map units/tic that a key adds to the speed, a tic
REACH = 26.0  # map units before and behind the player in which a fireball can hit
BALL_SPEED = 10.0  # map units a tic
BALLS = 8  # fireballs that a state row tells
STROLL_TICS = 15  # for which the player of a warm-up goes one way
NEAR, PATIENCE_TICS = 280.0, 350  # an episode starts when no fireball is so near, map units, or after so long


class DoomDodgeOptions(Section):
    """The section `doom_dodge` of params.yaml."""

    warm_up_s: NonNegative


Ball = tuple[float, float, float, float]  # x, y, and their speeds in map units/tic


class Dodge(NamedTuple):
    """A way out: so many frames to one side."""

    side: str = ""
    run: bool = False
    frames: int = 0

    @property
    def push(self) -> float:
        """What it adds to the speed, map units/tic to the left, a tic."""
        return _push({self.side, "DASH"} if self.run else {self.side})

    @property
    def keys(self) -> frozenset[str]:
        if not self.frames:
            return frozenset()
        return frozenset({self.side, "DASH"} if self.run else {self.side})


class DodgeScript(Script):
    """doom_dodge: stand until a fireball in view would come close, then take the smallest step that avoids them all.

    A dodge that is under way is finished unless it leads into another fireball.
    """

    choices = (
        Dodge(),
        *(Dodge(side, run, n) for side in ("LEFT", "RIGHT") for run in (False, True) for n in (2, 4, 7, 12)),
    )
    frames = 8  # that it looks ahead: a fireball far away is not dodged yet
    enough = 34.0  # map units between player and fireball; more is not better
    least = 26.0  # and with so many a dodge under way goes on
    effort = 0.2  # map units that a frame of walking must gain; running twice that
    pull = 0.01  # map units that a unit off the room's middle is worth

    def __init__(self):
        self._dodge = Dodge()
        self._y: float | None = None
        self._balls: dict[float, Ball] = {}

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        y, before = state["player_y"], self._y
        speed = 0.0 if before is None else (y - before) / 3
        balls, self._y = self._flying(state), y
        under_way = self._dodge._replace(frames=max(self._dodge.frames - 1, 0))
        options = [under_way, *self.choices]
        ways = self._ways(y, speed, pending, options)
        gaps = _gaps(ways, balls, state["player_x"])
        if not len(balls):
            self._dodge = Dodge()
        elif under_way.frames and gaps[0] >= self.least:
            self._dodge = under_way
        else:
            self._dodge = options[1 + self._best(gaps[1:], ways[1:])]
        return self._dodge.keys

    def _best(self, gaps: np.ndarray, ways: np.ndarray) -> int:
        """The number of the choice that keeps away from the fireballs with little effort, and near the middle."""
        effort = self.effort * np.array([dodge.frames * (1 + dodge.run) for dodge in self.choices])
        return int(np.argmax(np.minimum(gaps, self.enough) - effort - self.pull * np.abs(ways[:, -1] - MIDDLE)))

    def _flying(self, state: State) -> np.ndarray:
        """The fireballs that are seen or remembered as (x, y, their speeds in map units/tic), float64 [N, 4].

        Speeds are read from where they were a frame before; a new one is thought to fly at the player, and one that
        left the view at the side to fly on.
        """
        me = state["player_x"], state["player_y"]
        balls = {n: _moved(ball) for n, ball in self._balls.items() if ball[0] + 3 * ball[2] > me[0] - REACH}
        for n in range(1, BALLS + 1):
            if not abs(state[f"projectile{n}_bearing_deg"]) < HALF_VIEW_DEG:  # NaN compares false
                continue
            number, *place = (state[f"projectile{n}_{name}"] for name in ("id", "x", "y"))
            if number in self._balls:
                speeds = [(now - was) / 3 for now, was in zip(place, self._balls[number][:2], strict=True)]
            else:
                share = BALL_SPEED / state[f"projectile{n}_distance"]
                speeds = [(to - at) * share for to, at in zip(me, place, strict=True)]
            balls[number] = (*place, *speeds)
        self._balls = balls
        return np.array(list(balls.values()), float).reshape(-1, 4)

    def _ways(self, y: float, speed: float, pending: list[frozenset[str]], dodges: Sequence[Dodge]) -> np.ndarray:
        """Where the player is after each tic to come, float64 [N, tics]: what is under way, the dodge, then no key."""
        pushes = np.zeros((len(dodges), self.frames))
        pushes[:, : len(pending)] = [_push(wish) for wish in pending]
        for row, dodge in zip(pushes, dodges, strict=True):
            row[len(pending) :][: dodge.frames] = dodge.push
        ways, speeds, places = np.empty((len(dodges), 3 * self.frames)), speed, y
        for tic in range(3 * self.frames):
            speeds = speeds + pushes[:, tic // 3]
            ways[:, tic] = places = np.clip(places + speeds, RIGHT_WALL, LEFT_WALL)
            speeds = speeds * KEPT
        return ways


def _push(held: frozenset[str] | set[str]) -> float:
    """What held actions add to the player's speed, map units/tic to the left, a tic."""
    return (("LEFT" in held) - ("RIGHT" in held)) * (RUN if "DASH" in held else WALK)


def _moved(ball: Ball) -> Ball:
    """Where it is a frame later."""
    x, y, speed_x, speed_y = ball
    return x + 3 * speed_x, y + 3 * speed_y, speed_x, speed_y


def _gaps(ways: np.ndarray, balls: np.ndarray, player_x: float) -> np.ndarray:
    """How near the nearest fireball comes on each way [N, tics], map units, float64 [N]; 1000 where none comes near."""
    if not len(balls):
        return np.full(len(ways), 1000.0)
    tics = np.arange(1, ways.shape[1] + 1)
    x, y = (balls[:, at, None] + balls[:, at + 2, None] * tics for at in (0, 1))
    passing = np.abs(x - player_x) < REACH
    return np.where(passing, np.abs(y - ways[:, None]), 1000.0).min(axis=(1, 2))


class DoomDodge(Doom):
    options, script = DoomDodgeOptions, DodgeScript
    scenario = "take_cover"
    keys = {"LEFT": "Key.left", "RIGHT": "Key.right", "DASH": "Key.shift"}
    buttons = {
        "LEFT": vizdoom.Button.MOVE_LEFT,
        "RIGHT": vizdoom.Button.MOVE_RIGHT,
        "DASH": vizdoom.Button.SPEED,  # twice as fast
    }
    nearest = {"enemy": 3, "projectile": BALLS}
    state_columns = (*PLAYER_COLUMNS, *thing_columns("enemy"), *thing_columns("projectile", BALLS))
    events = {"hit taken": ("player_health", "falls"), "player moves": ("player_y", "moves")}
    episode_tics = 0  # none of the game's own: an episode ends with the player's life

    def __init__(self, *, options: DoomDodgeOptions, **others):
        super().__init__(options=options, **others)
        self._warm_up = round(options.warm_up_s * self.tic_rate_hz)

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._game.send_game_command("god")  # which the same command ends
        random = np.random.default_rng([seed, 5])
        started = 0
        while started < self._warm_up or (started < self._warm_up + PATIENCE_TICS and self._danger()):
            self.step([{"LEFT" if random.integers(2) else "RIGHT"}] * STROLL_TICS)
            started += STROLL_TICS
        self._game.send_game_command("god")
        self._before = self._game.get_total_reward()

    def _danger(self) -> bool:
        return self.state()["projectile1_distance"] < NEAR  # NaN compares false

    @property
    def score(self) -> float:
        return (self._game.get_total_reward() - self._before) / self.tic_rate_hz
