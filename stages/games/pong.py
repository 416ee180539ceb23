"""Pong, by ALE with the ROM of its wheel: two paddles and a ball; who misses it gives the other a point.

The console's RIGHT moves the paddle up and LEFT moves it down, and so do the keys. Points alone come too seldom to tell
players apart in a minute, so that each ball returned scores as well. atari.py says where the state rows come from.
"""

import math
from typing import Literal

from stages.games.atari import AtariGame, AtariOptions
from stages.games.game import Script, State
from stages.params import Count

POINTS_LOST, POINTS_WON, BALL_X, OPPONENT_Y, PADDLE_Y, BALL_Y = 13, 14, 49, 50, 51, 54  # addresses
BALL_LEFT, BALL_TOP, OPPONENT_TOP, PADDLE_TOP = -49, -14, -15, -13  # from memory to the px where things begin
BALL_SIZE, PADDLE_HEIGHT = (2, 4), 16
FIELD = (34, 194)  # px from above between which all of it is drawn
NET_X = 80  # px; a ball that turns back beyond it has met the player's paddle


class PongOptions(AtariOptions):
    """The section `pong` of params.yaml; `score`: balls returned and points won, or the share of points won."""

    points: Count
    score: Literal["balls", "points"]


class PongScript(Script):
    """pong: see where the ball will come, go there in one movement, and correct it only when it has come to rest."""

    walls = (36.0, 192.0)  # px from above between which the ball's middle flies
    line = 139.0  # px at which the paddle meets the ball
    step = 17.4  # px that a wish moves the paddle
    coast = 0.8  # of what it moved last, so much follows without a key
    aside = 6.0  # px off the ball's landing that make a resting paddle start
    astray = 18.0  # and one that still moves
    there = 5.0  # px off at which it stops

    def __init__(self):
        self._before: State | None = None
        self._flew = (math.nan, math.nan)  # px the ball moved from frame to frame
        self._way = 0  # 1: downwards, -1: upwards

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        before, self._before = self._before, state
        flew, self._flew = self._flew, tuple(_moved(before, state, f"ball_{axis}_px") for axis in "xy")
        dx, dy = self._flew
        if not dx > 0 or state["ball_x_px"] >= self.line:
            self._way = 0
        elif abs(dy - flew[1]) <= 2:  # neither wall has just turned it
            landing = self._landing(state["ball_x_px"], state["ball_y_px"], dy / dx)
            self._steer(landing - state["paddle_y_px"], _moved(before, state, "paddle_y_px"), pending)
        return {1: frozenset({"LEFT"}), -1: frozenset({"RIGHT"}), 0: frozenset()}[self._way]

    def _steer(self, off: float, moved: float, pending: list[frozenset[str]]) -> None:
        """Start or stop, `off` px from the landing, with a paddle that `moved` px and with wishes under way."""
        off -= sum(("LEFT" in wish) - ("RIGHT" in wish) for wish in pending) * self.step + moved * self.coast
        if self._way and off * self._way < self.there:
            self._way = 0
        elif not self._way and abs(off) > (self.astray if moved or any(pending) else self.aside):
            self._way = 1 if off > 0 else -1

    def _landing(self, x: float, y: float, slope: float) -> float:
        """Where the ball meets the paddle's line, px from above, walls included."""
        top, bottom = self.walls
        way = (y + slope * (self.line - x) - top) % (2 * (bottom - top))
        return top + min(way, 2 * (bottom - top) - way)


class Pong(AtariGame):
    """RIGHT moves the paddle up, LEFT down; a ball returned and a point won score one each, or see `PongOptions.score`.

    An episode is over when one of the two has all the points of a game, 21 by the rules.
    """

    rom = "pong"
    keys = {"LEFT": "Key.left", "RIGHT": "Key.right"}
    state_columns = (
        "ball_in_view", "ball_x_px", "ball_y_px", "paddle_y_px", "opponent_y_px", "points_won", "points_lost",
    )  # fmt: skip
    options, script = PongOptions, PongScript
    events = {
        "point won": ("points_won", "rises"),
        "point lost": ("points_lost", "rises"),
        "paddle moves": ("paddle_y_px", "moves"),
        "ball is returned": ("ball_x_px", "turns"),
        "ball bounces off a wall": ("ball_y_px", "turns"),
    }

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._ball_x, self._coming = math.nan, False

    def scored(self, points: int) -> float:
        return max(points, 0) + self._returned()

    @property
    def score(self) -> float:
        if self._options.score == "balls":
            return super().score
        won, lost = (float(self.memory[address]) for address in (POINTS_WON, POINTS_LOST))
        return won / max(won + lost, 1.0)

    def _returned(self) -> bool:
        """Whether the ball that came has just been sent back."""
        before, self._ball_x = self._ball_x, self._ball()[0]
        coming = self._coming
        if self._ball_x != before:
            self._coming = self._ball_x > before
        return coming and not self._coming and self._ball_x > NET_X

    def _ball(self) -> tuple[float, float]:
        """Its middle in px; NaN where there is none."""
        memory = self.memory
        if memory[BALL_Y] == 0:
            return math.nan, math.nan
        return (
            float(memory[BALL_X]) + BALL_LEFT + BALL_SIZE[0] / 2,
            float(memory[BALL_Y]) + BALL_TOP + BALL_SIZE[1] / 2,
        )

    def state(self) -> dict[str, float]:
        memory, (x, y) = self.memory, self._ball()
        paddle, opponent = int(memory[PADDLE_Y]) + PADDLE_TOP, int(memory[OPPONENT_Y]) + OPPONENT_TOP
        seen = opponent + PADDLE_HEIGHT > FIELD[0]
        return {
            "ball_in_view": float(not math.isnan(x)),
            "ball_x_px": x,
            "ball_y_px": y,
            "paddle_y_px": paddle // 2 * 2 + PADDLE_HEIGHT / 2,  # drawn two rows at a time
            "opponent_y_px": opponent + PADDLE_HEIGHT / 2 if seen else math.nan,
            "points_won": float(memory[POINTS_WON]),
            "points_lost": float(memory[POINTS_LOST]),
        }

    @property
    def done(self) -> bool:
        return max(self.memory[POINTS_WON], self.memory[POINTS_LOST]) >= self._options.points or super().done

    @property
    def outcome(self) -> str:
        return "game won" if self.memory[POINTS_WON] > self.memory[POINTS_LOST] else "game lost"


def _moved(before: State | None, now: State, column: str) -> float:
    """How far a thing moved since the frame before; NaN where it was or is not there."""
    return math.nan if before is None else now[column] - before[column]
