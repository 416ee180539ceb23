"""Flappy Bird, by flappy-bird-gymnasium: a bird that falls, a key that makes it flap, pipes with a gap to fly through.

A press is one flap, however long the key stays down; each pipe that is passed is 1. Lengths are px of the engine's
288 x 512 picture, but pipe_x_px is one of the picture that is recorded. Two tics of 1/30 s are a frame.
"""

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from stages.games.engines import check_size, flappy_bird, shrunk_bgr
from stages.games.game import Game, Held, Script, State
from stages.params import Section

WIDTH, HEIGHT = 288, 512
BIRD_X, BIRD_SIZE = 57, (34, 24)  # its left edge, which never moves; its width and height
PIPE_WIDTH, PIPE_STEP = 52, 4  # px, and px to the left a tic
FLAP_SPEED, GRAVITY, FALL_SPEED = -9, 1, 10  # px a tic: after a flap, gained in each, at most
PIPES = 3
FLAP = frozenset({"FLAP"})
NO_OPTIONS = Section()


def _patterns(frames: int) -> np.ndarray:
    """All ways to flap in so many frames, never in two that follow each other, bool [N, frames]; rarely first."""
    every = (np.arange(2**frames)[:, None] >> np.arange(frames)) & 1 == 1
    apart = every[~(every[:, 1:] & every[:, :-1]).any(axis=1)]
    return apart[np.argsort(apart.sum(axis=1), kind="stable")]


class FlappyScript(Script):
    """flappy: look two thirds of a second ahead and flap where that keeps the bird furthest from the pipes.

    A plan is kept until another one is clearly safer, so that a flap is not put off again and again.
    """

    plans = _patterns(10)  # of the frames to come
    comfort = 24.0  # px between bird and pipe; more is not better
    switch = 3.0  # px that another plan must be safer
    ground, sky = 404.0, 0.0

    def __init__(self):
        self._plan: np.ndarray | None = None
        self._wished: deque[bool] = deque([False] * 30, maxlen=30)

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        y, speed, down = state["bird_y"], state["bird_speed"], self._wished[-1 - len(pending)]
        tic = 1 if pending else 0
        for wish in pending:
            y, speed = _fallen(y, speed, "FLAP" in wish and not down, tic)
            down = "FLAP" in wish
        open_plans = self.plans[~self.plans[:, 0]] if down else self.plans
        safety = self._safety(state, open_plans, y, speed, len(pending))
        best = int(np.argmax(safety))
        plan = open_plans[best]
        if self._plan is not None and not (down and self._plan[0]):
            kept = self._safety(state, self._plan[None], y, speed, len(pending))[0]
            if kept > safety[best] - self.switch:
                plan = self._plan
        self._plan = np.append(plan[1:], False)
        self._wished.append(bool(plan[0]))
        return FLAP if plan[0] else frozenset()

    def _safety(self, state: State, plans: np.ndarray, y: float, speed: float, late: int) -> np.ndarray:
        """How far each plan keeps the bird from what it must not touch, px, float64 [N]."""
        heights = _flights(plans, y, speed, 1 if late else 0)
        x = BIRD_X + PIPE_STEP * (2 * late + np.arange(1, heights.shape[1] + 1))  # the bird's, where pipes stand still
        room = np.minimum(heights - self.sky, self.ground - BIRD_SIZE[1] - heights)
        aim = np.full(len(plans), 0.0)
        for n in range(1, PIPES + 1):
            pipe, top, bottom = (state[f"pipe{n}_{name}"] for name in ("x", "top", "bottom"))
            if math.isnan(pipe):
                continue
            beside = (pipe - BIRD_SIZE[0] < x) & (x < pipe + PIPE_WIDTH)
            gap = np.minimum(heights - top, bottom - BIRD_SIZE[1] - heights)
            room = np.where(beside, np.minimum(room, gap), room)
            if pipe + PIPE_WIDTH > x[-1]:
                aim = -np.abs(heights[:, -1] - (top + bottom - BIRD_SIZE[1]) / 2 - 8)
                break
        return np.minimum(room, self.comfort).min(axis=1) + 0.1 * aim


def _flights(plans: np.ndarray, y: float, speed: float, when: int) -> np.ndarray:
    """Where the bird is after each tic of the plans bool [N, frames], float64 [N, 2 * frames]."""
    heights = np.empty((len(plans), 2 * plans.shape[1]))
    y, speed = np.full(len(plans), y), np.full(len(plans), speed)
    for tic in range(heights.shape[1]):
        flaps = plans[:, tic // 2] & (tic % 2 == when)
        speed = np.where(flaps, FLAP_SPEED, np.minimum(speed + GRAVITY, FALL_SPEED))
        y = y + speed
        heights[:, tic] = y
    return heights


def _fallen(y: float, speed: float, flaps: bool, when: int) -> tuple[float, float]:
    """Where the bird is and how fast after one frame."""
    for tic in range(2):
        speed = FLAP_SPEED if flaps and tic == when else min(speed + GRAVITY, FALL_SPEED)
        y += speed
    return y, speed


class Flappy(Game):
    tic_rate_hz = 30
    tics_per_frame = 2
    keys = {"FLAP": "Key.space"}
    state_columns = (
        "bird_y", "bird_speed", "passed", "pipe_in_view", "pipe_x_px",
        *(f"pipe{n}_{name}" for n in range(1, PIPES + 1) for name in ("x", "top", "bottom")),
    )  # fmt: skip
    script = FlappyScript
    events = {"flap": ("bird_speed", "falls"), "pipe passed": ("passed", "rises")}

    def __init__(self, *, width: int, height: int, options: Section = NO_OPTIONS, sighted: bool = True):
        check_size("Flappy Bird", width, height, (WIDTH, HEIGHT))
        self._size, self._sighted = (width, height), sighted
        self._down = self._done = False

    def reset(self, seed: int) -> None:
        self._game = flappy_bird(sighted=self._sighted)  # a new one: the wings of a used one would go on beating
        self._seen, said = self._game.reset(seed=seed)
        self._score, self._down, self._done = said["score"], False, False

    def step(self, held: Sequence[Held]) -> None:
        for actions in held:
            press = "FLAP" in actions and not self._down
            self._down = "FLAP" in actions
            self._seen, _, self._done, _, said = self._game.step(int(press))
            self._score = said["score"]
            if self._done:
                return

    def frame(self) -> np.ndarray:
        return shrunk_bgr(self._game.render(), *self._size)

    def state(self) -> dict[str, float]:
        *pipes, y, speed, _ = map(float, self._seen)
        row = dict.fromkeys(self.state_columns, math.nan) | {"bird_y": y, "bird_speed": speed}
        there = [pipe for pipe in zip(*[iter(pipes)] * 3, strict=True) if pipe[0] < WIDTH]
        for n, pipe in enumerate(there, start=1):
            row |= {f"pipe{n}_{name}": value for name, value in zip(("x", "top", "bottom"), pipe, strict=True)}
        ahead = [x for x, *_ in there if x + PIPE_WIDTH > BIRD_X]
        row |= {"passed": float(self._score), "pipe_in_view": float(bool(ahead))}
        if ahead:
            row["pipe_x_px"] = (ahead[0] + PIPE_WIDTH / 2) * self._size[0] / WIDTH
        return row

    @property
    def score(self) -> float:
        return float(self._score)

    @property
    def done(self) -> bool:
        return self._done

    @property
    def outcome(self) -> str:
        return "crashed"

    def close(self) -> None:
        """The engine lives in this process: nothing to end."""
