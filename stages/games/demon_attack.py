"""Demon Attack, by ALE with the ROM of its wheel: three demons at a time flutter about; the lowest drops bombs.

It is played at the harder of its two settings, in which who stands still is hit sooner. atari.py says where the state
rows come from.
"""

import math

import numpy as np

from stages.games.atari import CannonGame, CannonScript
from stages.games.game import State

CANNON_X, BOMBS_X, SHOT_Y, SHOT_X = 16, 20, 21, 22  # addresses
DEMONS_X, DEMONS_SHAPE, DEMONS_Y, BOMBS = 13, 29, 69, 37  # each the first of several, the upper demon first
DEMONS, BOMB_ROWS = 3, 10
ALIVE = 4  # the first shape of a demon that is neither still coming together nor bursting
DEMON_MIDDLE, CANNON_MIDDLE, SHOT_MIDDLE, BOMBS_LEFT = 20.5, 15.5, 14.5, 12.0  # from memory to px, across
DEMON_BASE, SHOT_BASE, BOMB_BASE, BOMB_PITCH = 179.0, 182.0, 183.0, 8.0  # px from above, less what memory says
SHOT_WAITS = 3  # in the cannon


class DemonAttackScript(CannonScript):
    """demon_attack: step aside from bombs, else follow the lowest demon and shoot while below it."""

    reach = (24.0, 136.0)  # px between which the cannon moves
    speed = 4.0  # px that a wish moves the cannon
    beside, clear = 9.0, 13.0  # px from the bombs that are too near, and enough
    early = 48.0  # px above the cannon from which bombs matter
    aligned, lost = 3.0, 9.0
    top = 174.0  # px from above of the cannon

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        x = state["cannon_x_px"] + sum(("RIGHT" in wish) - ("LEFT" in wish) for wish in pending) * self.speed
        bombs = state["bombs_x_px"] - x if state["bombs_y_px"] > self.top - self.early else math.nan
        off = self._lowest(state) - x
        self._dodge = self._aside(bombs, x)
        self._chase = self._towards(off)
        blocked = 0 < bombs * self._chase < self.clear + self.speed
        way = self._dodge or (0 if blocked else self._chase)
        return self._keys(way, off)

    def _lowest(self, state: State) -> float:
        """px of the lowest demon; NaN while there is none."""
        alive = [n for n in range(1, DEMONS + 1) if not math.isnan(state[f"demon{n}_x_px"])]
        return state[f"demon{alive[-1]}_x_px"] if alive else math.nan

    def _aside(self, bombs: float, x: float) -> int:
        """The way out from under bombs that are so many px to the right of x; kept until it is clear."""
        if not abs(bombs) < (self.clear if self._dodge else self.beside):
            return 0
        if self._dodge:
            return self._dodge
        away = -1 if bombs > 0 else 1
        return away if self.reach[0] < x + away * self.clear < self.reach[1] else -away


class DemonAttack(CannonGame):
    """A demon scores 10 and more, wave by wave; there are four cannons by the rules."""

    rom, difficulty = "demon_attack", 1
    state_columns = (
        "cannon_x_px", "shot_x_px", "shot_y_px", "bombs_in_view", "bombs_x_px", "bombs_y_px", "bombs",
        *(f"demon{n}_{axis}_px" for n in range(1, DEMONS + 1) for axis in "xy"), "demons", "lives",
    )  # fmt: skip
    script = DemonAttackScript
    events = {
        "demon shot": ("demons", "falls"),
        "cannon lost": ("lives", "falls"),
        "cannon moves": ("cannon_x_px", "moves"),
        "bombs dropped": ("bombs", "rises"),
        "lowest demon turns": ("demon3_x_px", "turns"),
    }

    def state(self) -> dict[str, float]:
        memory = self.memory.astype(int)
        flying = memory[SHOT_Y] > SHOT_WAITS
        demons = [_demon(memory, number) for number in range(DEMONS)]
        bombs_x, bombs_y, bombs = _bombs(memory)
        return {
            "cannon_x_px": _across(memory[CANNON_X]) + CANNON_MIDDLE,
            "shot_x_px": _across(memory[SHOT_X]) + SHOT_MIDDLE if flying else math.nan,
            "shot_y_px": SHOT_BASE - memory[SHOT_Y] if flying else math.nan,
            "bombs_in_view": float(bombs > 0),
            "bombs_x_px": bombs_x,
            "bombs_y_px": bombs_y,
            "bombs": bombs,
            **{
                f"demon{n}_{axis}_px": at
                for n, spot in enumerate(demons, 1)
                for axis, at in zip("xy", spot, strict=True)
            },
            "demons": float(sum(not math.isnan(x) for x, _ in demons)),
            "lives": float(self.lives),
        }


def _across(place: int) -> int:
    """px from a constant left end: the console keeps steps of 15 px and, signed and to the left, single ones."""
    fine = place >> 4
    return 15 * (place & 15) - (fine - 16 if fine > 7 else fine)


def _demon(memory: np.ndarray, number: int) -> tuple[float, float]:
    """The middle of a demon in px; NaN where there is none that can be shot."""
    if memory[DEMONS_SHAPE + number] < ALIVE:
        return math.nan, math.nan
    return _across(memory[DEMONS_X + number]) + DEMON_MIDDLE, DEMON_BASE - memory[DEMONS_Y + number]


def _bombs(memory: np.ndarray) -> tuple[float, float, float]:
    """The middle of the lowest bombs and how high they are, in px, and their number; NaN where there are none.

    A row of bombs is a byte, a bit for each of 8 px; all rows have the same left end.
    """
    rows = memory[BOMBS : BOMBS + BOMB_ROWS]
    if not rows.any():
        return math.nan, math.nan, 0.0
    lowest = int(np.flatnonzero(rows)[0])
    columns = [column for column in range(8) if rows[lowest] >> (7 - column) & 1]
    x = _across(memory[BOMBS_X]) + BOMBS_LEFT + (columns[0] + columns[-1] + 1) / 2
    return x, BOMB_BASE - BOMB_PITCH * lowest, float(sum(int(row).bit_count() for row in rows))
