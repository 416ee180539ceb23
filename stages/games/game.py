"""What a game must offer so that every stage can record it and play it.

A frame is what the player sees once and answers once; a tic is the game's own clock, and keys move at
tics. Actions are names ("LEFT"); each game says which key of the keyboard each of them is.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Literal

import numpy as np

from stages.params import Section

Held = Collection[str]  # the actions that are held down during one tic
State = Mapping[str, float]  # a state row: what the game itself knows, by column
# What a column does in an event: it falls, rises or moves (by 1 at least) to the next frame, or turns its way around.
Change = Literal["falls", "rises", "moves", "turns"]


class Script(ABC):
    """What a skilled player of one game wants to hold; keeps its intentions from frame to frame (hysteresis)."""

    @abstractmethod
    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        """The actions wanted in view of `state`; `pending` are the wishes of the last frames that the hands
        have not carried out yet: a person allows for a movement that is already under way."""


class Game(AbstractContextManager):
    """One running game. `reset` starts an episode; `step` plays one frame of it; `close` ends the game.

    Made as Game(width=..., height=..., sighted=..., options=...): the size of its picture in px, whether anybody looks,
    and the section of params.yaml that has the game's name, as its class `options` reads it.
    """

    options: ClassVar[type[Section]] = Section  # by itself a section without any key
    script: ClassVar[type[Script]]
    events: ClassVar[Mapping[str, tuple[str, Change]]] = {}  # what codes are asked about: (state column, change)
    mirror: ClassVar[Mapping[str, str]] = {}  # actions that swap in a mirror, where the game is the same in one
    object_columns: ClassVar[tuple[str, ...]] = ()  # what `object_metrics` needs; none: the game has no such metrics

    tic_rate_hz: ClassVar[float]
    tics_per_frame: ClassVar[int]
    keys: ClassVar[Mapping[str, str]]  # action -> key, as the recorder names keys
    state_columns: ClassVar[tuple[str, ...]]

    @staticmethod
    def object_metrics(pictures: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict:
        """How well the game's things can be found in predicted pictures, a metric each.

        `pictures` by name: "true" and those that are judged, each [N, C, H, W] of 0..255; `state` columns float [N].
        """
        return {}

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

    def __exit__(self, error_type, error, traceback):
        self.close()
