"""Space Invaders, by ALE with the ROM of its wheel: six rows of invaders come down and drop bombs.

It is played in mode 2, in which the bombs sway as they fall: without eyes one is hit soon. Bombs and the player's shot
flicker in turn, each drawn in every other picture. atari.py says where the state rows come from.
"""

import math

import numpy as np

from stages.games.atari import CannonGame, CannonScript
from stages.games.game import State

DESCENT, ROWS_FROM, INVADERS_X, CANNON_X = 16, 18, 26, 28  # addresses
BOMBS = ((83, 81), (84, 82))  # of x and y
SHOT = (87, 85)
SWAYING = 2  # the mode
DEAREST = 30  # points of an invader of the highest row
ROWS, COLUMNS = 6, 6  # of invaders; the lowest row first, the left column first
INVADER_LEFT, LOWEST_BOTTOM, CANNON_LEFT, MISSILE_LEFT, MISSILE_TOP = -1, 131, -1, -2, 4  # from memory to px
INVADER_SIZE, CANNON_WIDTH, MISSILE_HEIGHT, PITCH = (8, 10), 7, 8, (16, 18)
GROUND, SHOT_FROM = 194, 174  # px from above: the last row that a bomb can begin in, and a shot


class SpaceInvadersScript(CannonScript):
    """space_invaders: step aside from bombs, else go below the nearest column that no shield covers and shoot."""

    reach = (36.0, 120.0)  # px between which the cannon moves
    shields, under = (46.0, 78.0, 110.0), 5.0  # px of their middles, and px from one that are below it
    detour = 6.0  # px more that it goes to shoot past the shields
    speed, shot = 2.0, 8.0  # px that a wish moves the cannon, and a frame its shot
    beside, clear = 8.0, 12.0  # px from a bomb that are too near, and enough
    early = 80.0  # px above the ground from which a bomb matters
    aligned, lost = 1.5, 3.5
    keeps = 0.95  # how much of what it knows of the invaders' drift outlasts a frame

    def __init__(self):
        super().__init__()
        self._column: int | None = None
        self._invaders_x, self._drift = math.nan, 0.0  # px; px a frame

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        under_way = sum(("RIGHT" in wish) - ("LEFT" in wish) for wish in pending) * self.speed
        x = min(max(state["cannon_x_px"] + under_way, self.reach[0]), self.reach[1])
        bombs = [state[f"bomb{n}_x_px"] - x for n in (1, 2) if state[f"bomb{n}_y_px"] > GROUND - self.early]
        self._watch(state["invaders_x_px"])
        off = self._target(state, x) - x
        self._dodge = self._aside(sorted(bombs, key=abs), x)
        self._chase = self._towards(off)
        blocked = any(0 < bomb * self._chase < self.clear + 2 * self.speed for bomb in bombs)
        way = self._dodge or (0 if blocked else self._chase)
        return self._keys(way, off)

    def _watch(self, x: float) -> None:
        """How fast the invaders drift, now that they are at x px."""
        moved = x - self._invaders_x
        if abs(moved) < PITCH[0] / 2:
            self._drift = self.keeps * self._drift + (1 - self.keeps) * moved
        self._invaders_x = x

    def _aside(self, bombs: list[float], x: float) -> int:
        """The way out from under the nearest of the bombs, `bombs` px to the right of x; kept until it is clear."""
        if not bombs or abs(bombs[0]) >= (self.clear if self._dodge else self.beside):
            return 0
        if self._dodge:
            return self._dodge
        away = -1 if bombs[0] > 0 else 1
        shut = any(0 < bomb * away < 2 * self.clear for bomb in bombs[1:])
        room = {way: self.reach[0] < x + way * self.clear < self.reach[1] for way in (away, -away)}
        return -away if room[-away] and (shut or not room[away]) else away

    def _target(self, state: State, x: float) -> float:
        """px at which a shot will meet the column that is shot at: the nearest, until another is much nearer."""
        places = {
            column: state["invaders_x_px"] + PITCH[0] * column + self._drift * self._flight(state, row)
            for column, row in _columns(state).items()
        }
        if not places:
            return x
        ways = {column: abs(place - x) + self._penalty(place) for column, place in places.items()}
        nearest = min(ways, key=ways.get)
        if self._column not in ways or ways[self._column] > ways[nearest] + PITCH[0] / 2:
            self._column = nearest
        return places[self._column]

    def _flight(self, state: State, row: int) -> float:
        """Frames until a shot is up at that row of invaders."""
        return (SHOT_FROM - state["invaders_y_px"] + PITCH[1] * row) / self.shot

    def _penalty(self, x: float) -> float:
        """px that a column at x counts as farther away, as it is out of reach or behind a shield."""
        if not self.reach[0] < x < self.reach[1]:
            return 100.0
        return self.detour * any(abs(x - shield) < self.under for shield in self.shields)


class SpaceInvaders(CannonGame):
    """An invader scores 5 to 30, by its row; there are three cannons by the rules.

    The saucer, 200 by the rules, scores nothing: whoever shoots all the time hits it by luck, as often as who aims.
    """

    rom, mode, flickers = "space_invaders", SWAYING, True
    state_columns = (
        "cannon_x_px", "shot_x_px", "shot_y_px",
        "bomb1_in_view", "bomb1_x_px", "bomb1_y_px", "bomb2_in_view", "bomb2_x_px", "bomb2_y_px",
        "invaders_x_px", "invaders_y_px", "invaders", *(f"invaders{row}_id" for row in range(1, ROWS + 1)), "lives",
    )  # fmt: skip
    script = SpaceInvadersScript
    events = {
        "invader shot": ("invaders", "falls"),
        "cannon lost": ("lives", "falls"),
        "cannon moves": ("cannon_x_px", "moves"),
        "invaders turn": ("invaders_x_px", "turns"),
        "invaders come down": ("invaders_y_px", "rises"),
    }

    def state(self) -> dict[str, float]:
        memory = self.memory.astype(int)
        rows = memory[ROWS_FROM : ROWS_FROM + ROWS]
        shot = _missile(memory, SHOT, SHOT_FROM)
        lowest_first = sorted(
            (_missile(memory, bomb, GROUND) for bomb in BOMBS), key=lambda spot: -np.nan_to_num(spot[1])
        )
        return {
            "cannon_x_px": memory[CANNON_X] + CANNON_LEFT + CANNON_WIDTH / 2,
            "shot_x_px": shot[0],
            "shot_y_px": shot[1],
            **{column: at for n, bomb in enumerate(lowest_first, 1) for column, at in _bomb_columns(n, *bomb).items()},
            "invaders_x_px": memory[INVADERS_X] + INVADER_LEFT + INVADER_SIZE[0] / 2,
            "invaders_y_px": LOWEST_BOTTOM + 2.0 * memory[DESCENT] - INVADER_SIZE[1] / 2,
            "invaders": float(sum(int(row).bit_count() for row in rows)),
            **{f"invaders{number}_id": float(row) for number, row in enumerate(rows, 1)},
            "lives": float(self.lives),
        }

    def scored(self, points: int) -> float:
        return points if points <= DEAREST else 0


def _columns(state: State) -> dict[int, int]:
    """The columns that hold invaders, each with its lowest row, both counted from 0."""
    rows = [int(state[f"invaders{row}_id"]) for row in range(1, ROWS + 1)]
    lowest = {column: [n for n, row in enumerate(rows) if row >> column & 1][:1] for column in range(COLUMNS)}
    return {column: found[0] for column, found in lowest.items() if found}


def _missile(memory: np.ndarray, where: tuple[int, int], lowest: int) -> tuple[float, float]:
    """The middle of a shot or a bomb in px; NaN where there is none above `lowest`."""
    x, top = memory[where[0]] + MISSILE_LEFT, 2 * memory[where[1]] + MISSILE_TOP
    if top > lowest:
        return math.nan, math.nan
    return x + 0.5, top + MISSILE_HEIGHT / 2


def _bomb_columns(number: int, x: float, y: float) -> dict[str, float]:
    return {f"bomb{number}_in_view": float(not math.isnan(x)), f"bomb{number}_x_px": x, f"bomb{number}_y_px": y}
