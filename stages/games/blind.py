"""Policies that never look at the screen: what an agent must beat before its score means anything.

Each is a picklable object that, called with (seed, frames), gives its keys uint8 [frames, A];
`described(names)` says in words what it does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

TAP_EVERY = 8  # frames between taps: a weapon that is fired with care


@dataclass(frozen=True)
class Nothing:
    """No key at all."""

    actions: int

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        return np.zeros((frames, self.actions), np.uint8)

    def described(self, names: Sequence[str]) -> str:
        return "no key at all"


@dataclass(frozen=True)
class Independent:
    """Every key drawn anew in every frame with a share of its own."""

    shares: tuple[float, ...]

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        return (np.random.default_rng([seed, 3]).random((frames, len(self.shares))) < self.shares).astype(np.uint8)

    def described(self, names: Sequence[str]) -> str:
        each = (f"{name} {share:.0%}" for name, share in zip(names, self.shares, strict=True))
        return "random keys, held in a share of the frames: " + ", ".join(each)


@dataclass(frozen=True)
class SquareWave:
    """`first` and `second` (numbers of actions) in turn, each for `period` frames; a period of 0 holds the first
    for ever. `tapped` is pressed for one frame in eight (or always, if `held`)."""

    actions: int
    first: int
    second: int
    period: int
    tapped: int | None
    held: bool

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        rows, time = np.zeros((frames, self.actions), np.uint8), np.arange(frames)
        late = (time // self.period) % 2 == 1 if self.period else np.zeros(frames, bool)
        rows[~late, self.first] = 1
        rows[late, self.second] = 1
        if self.tapped is not None:
            rows[self.held | (time % TAP_EVERY == 0), self.tapped] = 1
        return rows

    def described(self, names: Sequence[str]) -> str:
        turns = f"{names[self.first]} and {names[self.second]} in turn, {self.period} frames each"
        base = turns if self.period else f"{names[self.first]} all the time"
        if self.tapped is None:
            return base
        return f"{base}, {names[self.tapped]} " + ("all the time" if self.held else f"every {TAP_EVERY} frames")


@dataclass(frozen=True)
class Replay:
    """Keys of recorded episodes played again, one after the other, beginning at one that the seed picks."""

    episodes: tuple[np.ndarray, ...]

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        return chained(self.episodes, seed % len(self.episodes), frames)

    def described(self, names: Sequence[str]) -> str:
        return "the keys of recorded episodes, played again"


@dataclass(frozen=True)
class KeysOfOther:
    """What an agent presses when it is shown another episode than the one it is in.

    Its keys depend on the frames it sees and on nothing else; shown the frames of the episodes that follow
    (which it has played), it presses what it pressed there. So its keys there are replayed here.
    """

    episodes: tuple[np.ndarray, ...]
    seeds: tuple[int, ...]

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        return chained(self.episodes, (self.seeds.index(seed) + 1) % len(self.seeds), frames)


def chained(episodes: Sequence[np.ndarray], start: int, frames: int) -> np.ndarray:
    """The rows of the episodes from number `start` on, one after the other, uint8 [frames, A]."""
    parts, length, number = [], 0, start
    while length < frames:
        parts.append(episodes[number % len(episodes)])
        length += len(parts[-1])
        number += 1
    return np.concatenate(parts)[:frames]


def candidates(actions: int, shares: Sequence[float], periods: Sequence[int]) -> list:
    """The grid in which the best blind policy is looked for: independent keys and square waves."""
    independent = [Independent(each) for each in product(shares, repeat=actions)]
    taps = [(None, False), *((key, held) for key in range(actions) for held in (False, True))]
    alternating = [
        SquareWave(actions, first, second, period, key, held)
        for first, second in permutations(range(actions), 2)
        if first < second
        for period in periods
        for key, held in taps
        if key not in (first, second)
    ]
    holding = [
        SquareWave(actions, first, first, 0, key, held)
        for first in range(actions)
        for key, held in taps
        if key not in (None, first)
    ]
    return [*independent, *alternating, *holding]
