"""What the games of the Atari 2600 share: ALE with a ROM of its wheel, the picture, the joystick and its stickiness.

What is true is read from the console's memory and kept in the state rows, for evaluation and for the scripts: positions
in px of the 160 x 210 picture, the middle of each thing. Memory addresses: Anand et al. 2019 (AtariARI); each game
measured the way from memory to pixels on the pictures. Sticky actions: Machado et al. 2018, section 5.2.
"""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from ale_py import Action, ALEInterface, LoggerMode, roms
from pydantic import Field

from stages.games.game import Game, Held, Script
from stages.params import Count, Section, Whole

WIDTH, HEIGHT = 160, 210  # px of the picture


class AtariOptions(Section):
    """What params.yaml sets for each of these games."""

    frame_skip: Count
    sticky: Annotated[float, Field(ge=0, lt=1)]
    noops: Whole


class AtariGame(Game):
    """A game of the console: directions and FIRE are its joystick, each of its 60 pictures a second is a tic.

    A game that flickers draws some things in every other picture, which a television and the eye put together: what
    is seen of it is the brighter of the last two pictures.
    """

    tic_rate_hz = 60
    options = AtariOptions
    rom: ClassVar[str]
    mode: ClassVar[int] = 0  # where the console's switches stand; 0: as ALE starts the game
    difficulty: ClassVar[int] = 0
    flickers: ClassVar[bool] = False

    def __init__(self, *, width: int, height: int, options: AtariOptions, sighted: bool = True):
        if (width, height) != (WIDTH, HEIGHT):
            raise ValueError(
                f"collect.width x collect.height is {width}x{height}; "
                f"{type(self).__name__}'s picture is {WIDTH}x{HEIGHT}"
            )
        self.tics_per_frame, self._options = options.frame_skip, options
        self._blends = self.flickers and sighted
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._game = ALEInterface()
        self._game.setFloat("repeat_action_probability", options.sticky)

    def reset(self, seed: int) -> None:
        self._game.setInt("random_seed", seed % 2**31)  # read when the ROM is loaded
        self._game.loadROM(roms.get_rom_path(self.rom))
        self._switch()
        self._score = 0.0
        for _ in range(np.random.default_rng([seed, 5]).integers(self._options.noops + 1)):
            self._game.act(Action.NOOP)
        self._earlier = self._game.getScreenRGB()

    def _switch(self) -> None:
        """Set the console's switches, which take effect when the game begins anew."""
        if self.mode:
            self._game.setMode(self.mode)
        if self.difficulty:
            self._game.setDifficulty(self.difficulty)
        if self.mode or self.difficulty:
            self._game.reset_game()

    def step(self, held: Sequence[Held]) -> None:
        for tic, actions in enumerate(held, start=1):
            if self._blends and tic == len(held):
                self._earlier = self._game.getScreenRGB()
            self._score += self.scored(self._game.act(joystick(self.pressed(actions))))
            if self.done:
                return

    def pressed(self, held: Held) -> Held:
        """What the joystick does while the actions are held; a game that takes it otherwise says so."""
        return held

    def scored(self, points: int) -> float:
        """What a tic scores for which the console gave so many points."""
        return points

    @property
    def memory(self) -> np.ndarray:
        """The console's memory, uint8 [128]."""
        return self._game.getRAM()

    def frame(self) -> np.ndarray:
        picture = self._game.getScreenRGB()
        return (np.maximum(picture, self._earlier) if self.flickers else picture)[..., ::-1]

    @property
    def lives(self) -> int:
        return self._game.lives()

    @property
    def score(self) -> float:
        return self._score

    @property
    def done(self) -> bool:
        return self._game.game_over()

    def close(self) -> None:
        """ALE lives in this process: nothing to end."""


class CannonOptions(AtariOptions):
    """What params.yaml sets for a game of cannons."""

    cannons: Count


class CannonGame(AtariGame):
    """LEFT and RIGHT move the cannon, FIRE shoots, one shot at a time.

    An episode is over when so many cannons are lost as `cannons` says.
    """

    keys = {"LEFT": "Key.left", "RIGHT": "Key.right", "FIRE": "Key.space"}
    mirror = {"LEFT": "RIGHT"}
    options = CannonOptions

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._cannons = self.lives

    @property
    def done(self) -> bool:
        return super().done or self.lives <= self._cannons - self._options.cannons

    @property
    def outcome(self) -> str:
        return "all cannons lost"


class CannonScript(Script):
    """What players of cannons share: the way they step aside (`_dodge`) and aim (`_chase`), 1 to the right, -1 left."""

    aligned: ClassVar[float]  # px from a target at which the cannon stops below it,
    lost: ClassVar[float]  # and starts after it again

    def __init__(self):
        self._dodge = self._chase = 0

    def _keys(self, way: int, off: float) -> frozenset[str]:
        """The cannon's way, and FIRE while the target is less than `lost` px off."""
        keys = {1: {"RIGHT"}, -1: {"LEFT"}, 0: set()}[way]
        return frozenset(keys | {"FIRE"} if abs(off) < self.lost else keys)

    def _towards(self, off: float) -> int:
        """The way to the target, which is `off` px to the right; it rests below it until the target is lost."""
        if math.isnan(off) or abs(off) < (self.aligned if self._chase else self.lost):
            return 0
        return 1 if off > 0 else -1


def joystick(held: Held) -> Action:
    """The stick's direction and the button together; opposite directions cancel each other."""
    across = {1: "RIGHT", -1: "LEFT", 0: ""}[("RIGHT" in held) - ("LEFT" in held)]
    along = {1: "UP", -1: "DOWN", 0: ""}[("UP" in held) - ("DOWN" in held)]
    return Action[(along + across + "FIRE" * ("FIRE" in held)) or "NOOP"]
