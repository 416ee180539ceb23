"""The bundled games by name. A new game is added here and nowhere else: see README.md beside this file."""

from pathlib import Path

from stages.games.breakout import Breakout
from stages.games.demon_attack import DemonAttack
from stages.games.doom import DoomCenter, DoomLine
from stages.games.doom_dodge import DoomDodge
from stages.games.flappy import Flappy
from stages.games.game import Game
from stages.games.lunar_lander import LunarLander
from stages.games.pong import Pong
from stages.games.space_invaders import SpaceInvaders
from stages.params import Params, Section
from stages.paths import RAW

GAMES: dict[str, type[Game]] = {
    "doom_center": DoomCenter,
    "doom_line": DoomLine,
    "doom_dodge": DoomDodge,
    "breakout": Breakout,
    "flappy": Flappy,
    "lunar_lander": LunarLander,
    "pong": Pong,
    "space_invaders": SpaceInvaders,
    "demon_attack": DemonAttack,
}

# Ranges of game seeds that never meet: what is recorded, what choices are made on, what is reported.
RECORDING_SEEDS = 1_000_000
VALIDATION_SEEDS = 2_000_000
TEST_SEEDS = 3_000_000
SEED_RANGE = 1_000_000
FPS_TOLERANCE = 0.1  # share by which the frame rate of recordings from elsewhere may be off the game's


def bundled(name: str) -> type[Game]:
    """The bundled game of that name; ValueError lists the names."""
    if name not in GAMES:
        raise ValueError(f"game is {name!r}; the bundled games are {', '.join(GAMES)}")
    return GAMES[name]


def options_of(params: Params) -> Section:
    """The section of params.yaml for the chosen game alone, checked by the game; ValueError names what is wrong.

    Also when the recordings are another game's: whoever asks is about to play, to record or to compare in vain.
    """
    records_bundled_game(params.recordings, params.game)
    return params.section(params.game, bundled(params.game).options)


def records_bundled_game(recordings: str, game: str) -> bool:
    """Whether the recordings are those that collect makes of the game, so that an agent can play it.

    ValueError when they are those of another bundled game.
    """
    raw = Path(recordings)
    if raw.parent != RAW or raw.name not in GAMES:
        return False
    if raw.name != game:
        raise ValueError(
            f"recordings is {recordings} but game is {game}: set both, -S game={game} -S recordings=data/raw/{game}"
        )
    return True


def require_fitting(params: Params, fps: float) -> None:
    """ValueError where agents of recordings from elsewhere could not play `game`: other keys, another frame rate."""
    kind = bundled(params.game)
    if unknown := [action for action in params.actions if action not in kind.keys]:
        raise ValueError(
            f"play.elsewhere is true, but {params.game} has no action {unknown[0]}; it has {', '.join(kind.keys)}: "
            f"name them so in `actions` and `keys`"
        )
    size = {"width": params.collect.width, "height": params.collect.height}
    with kind(**size, sighted=False, options=options_of(params)) as game:
        if abs(game.fps / fps - 1) > FPS_TOLERANCE:
            raise ValueError(
                f"play.elsewhere is true, but the recordings have {fps:g} frames a second and {params.game} "
                f"{game.fps:g}: set align.fps: {game.fps:g}, or what makes the game's rate in its section"
            )


def agent_can_play(params: Params) -> bool:
    """Whether agents of these recordings play the game that `game` names; ValueError as `records_bundled_game`."""
    return params.play.elsewhere or records_bundled_game(params.recordings, params.game)


def game_seeds(base: int, seed: int, count: int) -> list[int]:
    """`count` game seeds of one of the ranges above, others for every `seed` of params.yaml."""
    start = seed * 10_000 % SEED_RANGE
    if count > 10_000:
        raise ValueError(f"{count} episodes of a kind; at most 10,000, so that the seeds of different runs never meet")
    return [base + start + number for number in range(count)]
