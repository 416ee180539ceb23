"""Policies that never look at the screen: what an agent must beat before its score means anything.

Each is a picklable object that, called with (seed, frames), gives its keys uint8 [frames, A];
`described(names)` says in words what it does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

RowsOf = Callable[[int, int], np.ndarray]  # (seed, frames) -> keys uint8 [frames, A]


def rows_on(policy: RowsOf, episode: np.ndarray) -> np.ndarray:
    """The keys of a policy in recorded episodes, bool [N, A]; episode int64 [N] ascends, its number is the seed."""
    numbers, lengths = np.unique(episode, return_counts=True)
    rows = [policy(number, length) for number, length in zip(numbers.tolist(), lengths.tolist(), strict=True)]
    return np.concatenate(rows).astype(bool)


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
    for ever. `tapped` is pressed for one frame in `every` (1: always)."""

    actions: int
    first: int
    second: int
    period: int
    tapped: int | None
    every: int

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        rows, time = np.zeros((frames, self.actions), np.uint8), np.arange(frames)
        late = (time // self.period) % 2 == 1 if self.period else np.zeros(frames, bool)
        rows[~late, self.first] = 1
        rows[late, self.second] = 1
        if self.tapped is not None:
            rows[time % self.every == 0, self.tapped] = 1
        return rows

    def described(self, names: Sequence[str]) -> str:
        turns = f"{names[self.first]} and {names[self.second]} in turn, {self.period} frames each"
        base = turns if self.period else f"{names[self.first]} all the time"
        if self.tapped is None:
            return base
        return f"{base}, {names[self.tapped]} " + ("all the time" if self.every == 1 else f"every {self.every} frames")


@dataclass(frozen=True)
class Metronome:
    """Every action tapped for one frame in `periods[action]` (0: never), first at frame `phases[action]`."""

    periods: tuple[int, ...]
    phases: tuple[int, ...]

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        time, rows = np.arange(frames), np.zeros((frames, len(self.periods)), np.uint8)
        for action, (period, phase) in enumerate(zip(self.periods, self.phases, strict=True)):
            if period:
                rows[:, action] = time % period == phase
        return rows

    def described(self, names: Sequence[str]) -> str:
        each = [f"{name} every {period} frames" for name, period in zip(names, self.periods, strict=True) if period]
        return "taps: " + (", ".join(each) or "none")


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


def candidates(actions: int, shares: Sequence[float], periods: Sequence[int], taps: Sequence[int]) -> list:
    """The grid in which the best blind policy is looked for: independent keys, square waves, taps every so often."""
    independent = [Independent(each) for each in product(shares, repeat=actions)]
    tapping = [(key, every) for key in range(actions) for every in (1, *taps)]
    alternating = [
        SquareWave(actions, first, second, period, key, every)
        for first, second in combinations(range(actions), 2)
        for period in periods
        for key, every in [(None, 1), *tapping]
        if key not in (first, second)
    ]
    holding = [
        SquareWave(actions, first, first, 0, key, every)
        for first in range(actions)
        for key, every in tapping
        if key != first
    ]
    single = [
        Metronome(tuple(every * (key == action) for action in range(actions)), (0,) * actions)
        for key in range(actions)
        for every in taps
    ]
    return [*independent, *alternating, *holding, *single]
