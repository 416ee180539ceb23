"""The bundled games by name, each with the script of its player. A new game is added here and nowhere else."""

from dataclasses import dataclass
from pathlib import Path

from stages.games.breakout import Breakout
from stages.games.doom import DoomCenter, DoomLine
from stages.games.game import Game
from stages.games.scripts import BreakoutScript, CenterScript, LineScript, Script
from stages.paths import RAW


@dataclass(frozen=True)
class Bundled:
    game: type[Game]
    script: type[Script]


GAMES = {
    "doom_center": Bundled(DoomCenter, CenterScript),
    "doom_line": Bundled(DoomLine, LineScript),
    "breakout": Bundled(Breakout, BreakoutScript),
}

# Ranges of game seeds that never meet: what is recorded, what choices are made on, what is reported.
RECORDING_SEEDS = 1_000_000
VALIDATION_SEEDS = 2_000_000
TEST_SEEDS = 3_000_000
SEED_RANGE = 1_000_000


def bundled(name: str) -> Bundled:
    """The bundled game of that name; ValueError lists the names."""
    if name not in GAMES:
        raise ValueError(f"game is {name!r}; the bundled games are {', '.join(GAMES)}")
    return GAMES[name]


def records_bundled_game(recordings: str, game: str) -> bool:
    """Whether the recordings are those that collect makes of a bundled game, so that an agent can play it."""
    return game in GAMES and Path(recordings) == RAW / game


def game_seeds(base: int, seed: int, count: int) -> list[int]:
    """`count` game seeds of one of the ranges above, others for every `seed` of params.yaml."""
    start = seed * 10_000 % SEED_RANGE
    if count > 10_000:
        raise ValueError(f"{count} episodes of a kind; at most 10,000, so that the seeds of different runs never meet")
    return [base + start + number for number in range(count)]
