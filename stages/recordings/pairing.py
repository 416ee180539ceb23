"""Presses from a key log that lost some of its keyups: what cannot have been a press is ended, and told.

A log of a person's keys is never quite whole: a keyup is lost when another window takes the keyboard, when the recorder
stops first, or when Shift or another layout renames the key while it is down. Read literally, such a press lasts until
the key is heard of next. The rules, per key:

- a keydown of a key that is down is the keyboard's repeat if it comes within REPEAT_S of the one before and the log
  holds repeats at all: some come within QUICK_S, or most are one and the same time apart, as no person's presses are.
  Else it is a new press, and the keyup between them was lost;
- a keyup with a keydown within BOUNCE_S, of a key that is down for DELAY_S or longer, is no release: X11 tells repeats
  so, which no keyboard begins earlier;
- a key that is never heard of again is held to the end of its episode, if that is no longer than presses of this
  player last (LONG times the longest, or SURELY_S); else its keyup was lost.

A press whose keyup was lost ends after its last repeat, or after the median hold of its key: the press is certain, its
end is a guess of that size. Presses whose keyup is there are believed, however long.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from stages.recordings.session import KeyEvent

REPEAT_S = 1.1  # the slowest setting of Windows waits a second before a held key repeats
QUICK_S = 0.12
EVENLY_S, MANY, MOSTLY = 0.02, 10, 0.6
BOUNCE_S, DELAY_S = 0.005, 0.15
LONG, SURELY_S = 3.0, 2.0
SHORTEST_HOLD_S = 0.1  # where no press of any key is whole


@dataclass(frozen=True)
class KeyRepair:
    """A press whose keyup was lost: `key` went down at `down` and is taken for up at `up` instead of `until`, in s."""

    key: str
    down: float
    up: float
    until: float


@dataclass(frozen=True)
class KeyLog:
    """Key events in which every keydown but those still down at the end has its keyup; what was done for that."""

    events: tuple[KeyEvent, ...]
    repairs: tuple[KeyRepair, ...]
    repeats: dict[str, int]  # keydowns of keys that were down, a key
    stray_keyups: dict[str, int]  # keyups of keys that were up, a key


def paired(key_events: Sequence[KeyEvent], ends: Sequence[float]) -> KeyLog:
    """The key log of a session; `ends`, in s: those of its episodes and of its last frame, in order."""
    by_key: dict[str, list[KeyEvent]] = defaultdict(list)
    for event in key_events:
        by_key[event.key].append(event)
    apart = np.concatenate([_downs_apart(events) for events in by_key.values()] or [np.zeros(0)])
    quick = apart.min(initial=np.inf) <= QUICK_S or _even(apart)
    found = {key: _Presses(events, REPEAT_S if quick else QUICK_S) for key, events in by_key.items()}
    holds = np.concatenate([one.whole() for one in found.values()] or [np.zeros(0)])
    events, repairs = [], []
    for key, one in found.items():
        own = one.whole() if len(one.whole()) else holds
        usual = float(np.median(own)) if len(own) else SHORTEST_HOLD_S
        longest = max(SURELY_S, LONG * float(own.max(initial=0.0)))
        for press in one.presses:
            events.append(press.down)
            until = press.next_down or next((end for end in ends if end >= press.down.t), np.inf)
            if press.up is not None:
                events.append(press.up)
                continue
            up = float(until)
            if press.next_down is not None or until - press.last > longest:
                up = round(min(press.last + (REPEAT_S / 10 if press.last > press.down.t else usual), until), 6)
            elif until == ends[-1]:
                continue  # held to the end of the recording
            repairs.append(KeyRepair(key, press.down.t, up, float(until)))
            events.append(replace(press.down, event="keyup", t=up))
    # At the same moment a key goes up before it goes down again, but not before the press that it ends.
    order = sorted(events, key=lambda event: (event.t, event.line, event.event == "keyup"))
    return KeyLog(
        tuple(order), tuple(sorted(repairs, key=lambda repair: repair.down)),
        _counted(found, "repeats"), _counted(found, "stray"),
    )  # fmt: skip


@dataclass
class _Press:
    down: KeyEvent
    last: float  # when the key was last told to be down
    up: KeyEvent | None = None
    next_down: float | None = None  # of a press whose keyup was lost


class _Presses:
    """The presses of one key, as its events tell them."""

    def __init__(self, events: Sequence[KeyEvent], repeat_s: float):
        self.presses: list[_Press] = []
        self.repeats = self.stray = 0
        held: _Press | None = None
        for event in _without_bounces(events):
            if event.event == "keyup":
                if held is None:
                    self.stray += 1
                else:
                    held.up, held = event, None
                continue
            if held is not None and event.t - held.last <= repeat_s:
                held.last = event.t
                self.repeats += 1
                continue
            if held is not None:
                held.next_down = event.t
            held = _Press(event, event.t)
            self.presses.append(held)
        self.repeats += (len(events) - len(_without_bounces(events))) // 2

    def whole(self) -> np.ndarray:
        """How long the presses lasted whose keyup is there, float64 [P] in s."""
        return np.array([press.up.t - press.down.t for press in self.presses if press.up is not None], np.float64)


def _downs_apart(events: Sequence[KeyEvent]) -> np.ndarray:
    """The times, s, between two keydowns of one key without a keyup between."""
    return np.array([b.t - a.t for a, b in pairwise(events) if a.event == b.event == "keydown"], float)


def _even(apart: np.ndarray) -> bool:
    """Whether most of many such times, of those that may be repeats, are the same within EVENLY_S."""
    apart = apart[apart <= REPEAT_S]
    return len(apart) >= MANY and (np.abs(apart - np.median(apart)) <= EVENLY_S).mean() > MOSTLY


def _without_bounces(events: Sequence[KeyEvent]) -> list[KeyEvent]:
    kept: list[KeyEvent] = []
    for event in events:
        before = kept[-2:]
        pressed = event.event == "keydown" and [each.event for each in before] == ["keydown", "keyup"]
        if pressed and event.t - before[1].t <= BOUNCE_S and before[1].t - before[0].t >= DELAY_S:
            kept.pop()
        else:
            kept.append(event)
    return kept


def _counted(found: dict[str, _Presses], what: str) -> dict[str, int]:
    return dict(sorted(Counter({key: n for key, one in found.items() if (n := getattr(one, what))}).items()))
