"""What a game must offer so that every stage can record it and play it.

A frame is what the player sees once and answers once; a tic is the game's own clock, and keys move at
tics. Actions are names ("LEFT"); each game says which key of the keyboard each of them is.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import numpy as np

Held = Collection[str]  # the actions that are held down during one tic


class Game(ABC):
    """One running game. `reset` starts an episode; `step` plays one frame of it; `close` ends the game.

    Made as Game(width=..., height=..., sighted=...): the size of its picture in px, and whether anybody looks.
    """

    tic_rate_hz: ClassVar[float]
    tics_per_frame: ClassVar[int]
    keys: ClassVar[Mapping[str, str]]  # action -> key, as the recorder names keys
    state_columns: ClassVar[tuple[str, ...]]

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.tic_rate_hz / self.tics_per_frame

    @property
    def frame_s(self) -> float:
        """Seconds a frame lasts."""
        return self.tics_per_frame / self.tic_rate_hz

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Start a new episode; the same seed and the same keys give the same episode."""

    @abstractmethod
    def step(self, held: Sequence[Held]) -> None:
        """Play one frame; `held` has one collection of actions for each of its tics."""

    @abstractmethod
    def frame(self) -> np.ndarray:
        """What is on the screen, uint8 [H, W, 3] in BGR; only while the episode is not done."""

    @abstractmethod
    def state(self) -> dict[str, float]:
        """What the game itself knows, one number a state column, NaN where absent; only while not done."""

    @property
    @abstractmethod
    def score(self) -> float:
        """The return of the episode so far."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the episode has ended by itself."""

    @property
    @abstractmethod
    def outcome(self) -> str:
        """How a finished episode ended, in a word."""

    @abstractmethod
    def close(self) -> None:
        """End the game's process."""

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        self.close()
