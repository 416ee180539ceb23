"""Breakout, by ALE with the ROM of its wheel: a paddle keeps a ball in play that breaks a wall of bricks.

atari.py says where the state rows come from.
"""

import math

import numpy as np

from stages.games.atari import AtariGame, AtariOptions
from stages.games.breakout_objects import NEEDED, object_metrics
from stages.games.game import Held, Script, State
from stages.params import Positive

BALL_X, BALL_Y, PADDLE_X = 99, 101, 72  # addresses
BALL_LEFT, BALL_TOP, PADDLE_LEFT = -49, 9, -47  # from memory to the px where things begin
BALL_SIZE, PADDLE_WIDTH = (2, 4), 16
ROWS, COLUMNS = 6, 18  # of bricks, 8 x 6 px each; the lowest row first, the left column first
# A row's bricks lie in one byte of each of six groups, as the console draws a playfield: pairs of bits, some groups
# the wrong way round. (group, bits of a brick) from the left to the right.
BRICK_BITS = (
    (5, 0xC0),
    *((4, bits) for bits in (0xC0, 0x30, 0x0C, 0x03)),
    *((3, bits) for bits in (0x03, 0x0C, 0x30, 0xC0)),
    *((2, bits) for bits in (0x30, 0xC0)),
    *((1, bits) for bits in (0xC0, 0x30, 0x0C, 0x03)),
    *((0, bits) for bits in (0x03, 0x0C, 0x30)),
)


class BreakoutOptions(AtariOptions):
    """The section `breakout` of params.yaml."""

    serve_s: Positive


class BreakoutScript(Script):
    """breakout: serve, follow the ball loosely while it flies up, then wait where it will come down."""

    walls = (8.0, 152.0)  # px between which the ball flies
    line = 187.0  # px from above at which the paddle meets it
    step = 10.0  # px that a wish moves the paddle, on average
    near = 6.0  # px off the ball's landing at which the paddle stops,
    lost, loose = 10.0, 14.0  # and starts again, while the ball comes down and while it flies up

    def __init__(self):
        self._flight: list[tuple[float, float]] = []  # of the ball, since it last turned
        self._way = 0  # of the paddle: 1 to the right, -1 to the left

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        ball = state["ball_x_px"], state["ball_y_px"]
        if math.isnan(ball[0]):
            self._flight, self._way = [], 0
            return frozenset({"FIRE"})
        self._follow(ball)
        if len(self._flight) == 1:
            return frozenset()
        dx, dy = (now - first for now, first in zip(ball, self._flight[0], strict=True))
        moved = sum(("RIGHT" in wish) - ("LEFT" in wish) for wish in pending) * self.step
        off = self._landing(*ball, dx, dy) - state["paddle_x_px"] - moved
        enough = self.near if self._way * off > 0 else self.lost if dy > 0 else self.loose
        self._way = 0 if abs(off) < enough else 1 if off > 0 else -1
        return frozenset({1: {"RIGHT"}, -1: {"LEFT"}, 0: set()}[self._way])

    def _follow(self, ball: tuple[float, float]) -> None:
        """Adds the ball's place in px to its flight, which begins anew where the ball has turned or stands."""
        if len(self._flight) > 1:
            (x0, y0), (x1, y1) = self._flight[0], self._flight[-1]
            if (ball[0] - x1) * (x1 - x0) < 0 or (ball[1] - y1) * (y1 - y0) <= 0:
                self._flight = self._flight[-1:]
        self._flight.append(ball)

    def _landing(self, x: float, y: float, dx: float, dy: float) -> float:
        """Where the ball meets the paddle's line, walls included; below it while it flies up."""
        if dy <= 0:
            return x
        left, right = self.walls
        way = (x + dx / dy * (self.line - y) - left) % (2 * (right - left))
        return left + min(way, 2 * (right - left) - way)


class Breakout(AtariGame):
    """LEFT and RIGHT move the paddle, FIRE serves the ball; each brick scores, an episode is all five balls."""

    rom = "breakout"
    keys = {"LEFT": "Key.left", "RIGHT": "Key.right", "FIRE": "Key.space"}
    mirror = {"LEFT": "RIGHT"}
    state_columns = (
        "ball_in_view", "ball_x_px", "ball_y_px", "paddle_x_px", "lives", "bricks",
        *(f"bricks{row}_id" for row in range(1, ROWS + 1)),
    )  # fmt: skip
    options, script = BreakoutOptions, BreakoutScript
    events = {
        "brick broken": ("bricks", "falls"),
        "ball lost": ("lives", "falls"),
        "paddle moves": ("paddle_x_px", "moves"),
        "ball bounces sideways": ("ball_x_px", "turns"),
        "ball bounces up or down": ("ball_y_px", "turns"),
    }
    object_columns, object_metrics = NEEDED, staticmethod(object_metrics)

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._idle = 0

    def pressed(self, held: Held) -> Held:
        """One direction or the button; a ball that nobody serves is served after a while."""
        self._idle = self._idle + 1 if self._ball_gone() else 0
        if "FIRE" in held or self._idle > self._options.serve_s * self.tic_rate_hz:
            return {"FIRE"}
        return held

    def _ball_gone(self) -> bool:
        return self.memory[BALL_Y] == 0

    def state(self) -> dict[str, float]:
        memory = self.memory
        gone = self._ball_gone()
        bricks = bricks_of(memory)
        return {
            "ball_in_view": float(not gone),
            "ball_x_px": math.nan if gone else float(memory[BALL_X]) + BALL_LEFT + BALL_SIZE[0] / 2,
            "ball_y_px": math.nan if gone else float(memory[BALL_Y]) + BALL_TOP + BALL_SIZE[1] / 2,
            "paddle_x_px": float(memory[PADDLE_X]) + PADDLE_LEFT + PADDLE_WIDTH / 2,
            "lives": float(self.lives),
            "bricks": float(bricks.sum()),
            **{f"bricks{row}_id": float(bricks[row - 1] @ 2 ** np.arange(COLUMNS)) for row in range(1, ROWS + 1)},
        }

    @property
    def outcome(self) -> str:
        return "all balls lost" if self.lives == 0 else "all bricks broken"


def bricks_of(memory: np.ndarray) -> np.ndarray:
    """Which bricks stand, int64 0/1 [ROWS, COLUMNS], of the console's memory uint8 [128]."""
    return np.array(
        [[memory[group * ROWS + row] & bits != 0 for group, bits in BRICK_BITS] for row in range(ROWS)], np.int64
    )
