"""Stretches of a session that would teach nonsense: no picture, no key log, or keys that the player did not press."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from stages.recordings.scan import Scan
from stages.recordings.session import Session
from stages.recordings.timeline import end_of, episode_spans, presses

FLAT_S = 2.0
FROZEN_S, FROZEN_PRESSES = 3.0, 2
ANSWER_S, BY_CHANCE, SURELY_ANSWERED = 0.4, 0.01, 5.0  # of so many answers one is missed in 150 stretches
SILENT_S, SILENT_TIMES, FEWEST_PAUSES, MANY_PAUSES = 15.0, 10.0, 3, 20
LONGEST_HOLD_S, HOLD_TIMES = 10.0, 3.0  # a hold longer than these, the second of the next longest one, is none
ALIVE = 0.1  # share of new pictures from which on the game plainly goes on
NO_PERSON = ("agent", "random")


@dataclass(frozen=True)
class Stretch:
    """The frames `start` <= i < `stop`, and why nothing is learned from them."""

    start: int
    stop: int
    why: str


def left_out(session: Session, scan: Scan, *, agents: bool) -> list[Stretch]:
    """Everything that is not learned from, in order; with `agents` what an agent pressed is."""
    found = [*_flat(session, scan), *_frozen(session, scan), *_silent(session, scan)]
    if not agents:
        found += _not_played(session)
    return sorted(found, key=lambda stretch: (stretch.start, stretch.stop))


def _runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _flat(session: Session, scan: Scan) -> Iterator[Stretch]:
    times = session.times
    for start, stop in _runs(scan.flat[: len(times)]):
        if times[stop - 1] - times[start] >= FLAT_S:
            yield Stretch(start, stop, "the picture is of one colour (black?)")


def _frozen(session: Session, scan: Scan) -> Iterator[Stretch]:
    """Nothing moves while keys go down: the capture stood still, not the game."""
    times = session.times
    downs = np.sort(np.concatenate([spans[:, 0] for spans in presses(session.key_events).values()] or [np.zeros(0)]))
    still = scan.same[: len(times)] & ~scan.flat[: len(times)]
    found = []
    for start, stop in _runs(still):
        pressed = int(np.searchsorted(downs, times[stop - 1]) - np.searchsorted(downs, times[start]))
        if times[stop - 1] - times[start] >= FROZEN_S and pressed >= FROZEN_PRESSES:
            found.append((start, stop, pressed))
    needed = 0.0
    if 2 * sum(pressed for *_, pressed in found) > len(downs):
        answered = _answered(times, still, downs)
        needed = SURELY_ANSWERED / answered if answered < 1 else 0.0
    for start, stop, pressed in found:
        if pressed >= needed:
            yield Stretch(start, stop, f"the picture stands still while {pressed} keys go down")


def _answered(times: np.ndarray, still: np.ndarray, downs: np.ndarray) -> float:
    """The share of the keydowns after which the picture of a game changes that stands still until a key is pressed, as
    a text adventure does; 1 where changes come as often without a key."""
    changes = times[[start for start, _ in _runs(~still) if start]]
    after, chance = (t - downs[np.maximum(np.searchsorted(downs, t, side="right") - 1, 0)] for t in (changes, times))
    answers = int(((after >= 0) & (after <= ANSWER_S)).sum())
    usual = float(((chance >= 0) & (chance <= ANSWER_S)).mean())
    return answers / len(downs) if binom.sf(answers - 1, len(changes), usual) < BY_CHANCE else 1.0


def _silent(session: Session, scan: Scan) -> Iterator[Stretch]:
    """The key log says nothing for far longer than this player ever pauses, while the picture goes on."""
    pauses = _pauses(session)
    lengths = np.array([stop - start for start, stop in pauses])
    if len(lengths) < FEWEST_PAUSES:
        return
    # Of few pauses all but one have to be that much shorter.
    usual = np.percentile(lengths, 90) if len(lengths) >= MANY_PAUSES else np.sort(lengths)[-2]
    longest = max(SILENT_S, SILENT_TIMES * float(usual))
    for start, stop in pauses:
        first, last = np.searchsorted(session.times, [start, stop])
        if stop - start > longest and (~scan.same[first:last]).mean() > ALIVE:
            why = f"the key log is silent for {stop - start:.0f} s while the game goes on"
            yield Stretch(int(first), int(last), why)


def _pauses(session: Session) -> list[tuple[float, float]]:
    """From when to when no key is down, within the episodes."""
    end = end_of(session.times)
    episodes = episode_spans(session.markers, end) if session.markers else np.array([[session.times[0], end]])
    held = sorted(span for spans in presses(session.key_events).values() for span in spans.tolist())
    # One hold far beyond all others: in a silence the keyup of one press and the keydown of another are lost, too.
    lengths = sorted(min(up, end) - down for down, up in held)
    longest = max(LONGEST_HOLD_S, HOLD_TIMES * lengths[-2]) if len(lengths) > 1 else np.inf
    held = [(down, up) for down, up in held if min(up, end) - down <= longest]
    pauses = []
    for start, stop in episodes.tolist():
        at = start
        for down, up in held:
            if down >= stop:
                break
            if down > at:
                pauses.append((at, down))
            at = max(at, up)
        if at < stop:
            pauses.append((at, stop))
    return pauses


def _not_played(session: Session) -> Iterator[Stretch]:
    """What an agent or chance pressed: `player` of the session file, or `spans` of it with a `player` each."""
    spans: Sequence[dict] = session.metadata.get("spans", [])
    player = str(session.metadata.get("player")).lower()
    if player in NO_PERSON and not spans:
        spans = [{"player": player, "start": session.times[0], "end": np.inf}]
    for span in spans:
        start, stop = np.searchsorted(session.times, [span["start"], span["end"]])
        if span["player"].lower() in NO_PERSON and start < stop:
            yield Stretch(int(start), int(stop), f"played by: {span['player']}, no person")
