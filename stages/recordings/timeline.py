"""From key events to labels: one row a frame with its time, its episode and the actions held.

A key is down in [keydown, keyup). Two rules turn that into labels:
state      active at frame time t when the key is down at t;
interval   active for frame i when the key is down at any moment of [t_i, t_i+1), so that a tap shorter than a frame
           is not lost. The last frame lasts the median interval.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.session import KeyEvent, Marker

FIXED_COLUMNS = ("frame", "t", "episode", "repeat")


@dataclass(frozen=True)
class Timeline:
    """One row a frame of a session: `frames` int64 [T], their places in the video (others are unused), `times` float64
    [T] in s, `repeats` bool [T], `episode` int64 [T] (-1: in none), `actions` uint8 [T, A] with the columns
    `action_names`."""

    session: str
    frames: np.ndarray
    times: np.ndarray
    repeats: np.ndarray
    episode: np.ndarray
    actions: np.ndarray
    action_names: tuple[str, ...]


def presses(key_events: Iterable[KeyEvent]) -> dict[str, np.ndarray]:
    """For every key that occurs the times [P, 2] at which it went down and up; up is inf when it never came.

    A keydown of a key that is down already (the keyboard repeats) and a keyup of one that is up change nothing.
    """
    logs: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for event in key_events:
        logs[event.key].append((event.t, event.event == "keydown"))
    spans = {}
    for key, log in logs.items():
        t, down = np.array([t for t, _ in log]), np.array([is_down for _, is_down in log])
        before = np.concatenate([[False], down[:-1]])
        starts, ends = t[down & ~before], t[~down & before]
        spans[key] = np.stack([starts, np.append(ends, np.inf)[: len(starts)]], axis=1)
    return spans


def labels(
    times: np.ndarray, key_events: Sequence[KeyEvent], vocabulary: ActionVocabulary, *, rule: str, delay_ms: float
) -> np.ndarray:
    """uint8 [T, A]: which actions are active in which frame; `times` float64 [T] must not run backwards.

    An action is active while any of its keys is. `delay_ms` moves the keys earlier against the frames.
    """
    changes = np.zeros((len(times) + 1, len(vocabulary)), np.int64)
    for key, spans in presses(key_events).items():
        action = vocabulary.action_of(key)
        if action is None:
            continue
        column = changes[:, vocabulary.index(action)]
        first, stop = covered_frames(times, moved_earlier(spans, delay_ms), rule=rule)
        np.add.at(column, first, 1)
        np.add.at(column, stop, -1)
    return (changes[:-1].cumsum(axis=0) > 0).astype(np.uint8)


def moved_earlier(spans: np.ndarray, delay_ms: float) -> np.ndarray:
    """Times [...] moved earlier; rounded like all times, so that a key that meets a frame exactly still does."""
    return np.round(spans - delay_ms / 1000, 6) if delay_ms else spans


def covered_frames(times: np.ndarray, spans: np.ndarray, *, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """For presses [P, 2] the frames `first` .. `stop` - 1 that each is active in, two int64 [P]; equal for none."""
    down, up = spans[:, 0], spans[:, 1]
    stop = np.searchsorted(times, up, side="left")  # the first frame at or after the keyup
    if rule == "state" or not len(times):
        return np.searchsorted(times, down, side="left"), stop
    if rule != "interval":
        raise ValueError(f"labels.rule is {rule!r}, expected 'interval' or 'state'")
    inside = np.searchsorted(times, down, side="right") - 1  # the frame in which the key goes down, -1 before the first
    # Of frames at one and the same time (repeats) the last holds the moments that follow; a key that stays down is
    # down at the time of each.
    first = np.where(up > down, np.minimum(np.searchsorted(times, down, side="left"), inside), inside)
    stop = np.maximum(stop, inside + 1)
    first = np.maximum(first, 0)
    end = end_of(times)
    beyond = (down >= end) & ((down > times[-1]) | (up == down))
    return np.where(beyond, stop, first), stop


def median_interval(times: np.ndarray) -> float:
    """The median time between two frames in s; 0 for less than two frames."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def end_of(times: np.ndarray) -> float:
    """The time in s at which the last frame ends."""
    return round(float(times[-1]) + median_interval(times), 6)


def episode_spans(markers: Sequence[Marker], end: float) -> np.ndarray:
    """Start and end [F, 2] of every episode in s, in the order of the fight_start markers.

    An episode without fight_end runs to the next fight_start, the last one to `end`.
    """
    starts = [i for i, marker in enumerate(markers) if marker.type == "fight_start"]
    spans = []
    for i, following in pairwise([*starts, len(markers)]):
        closing = [marker.t for marker in markers[i + 1 : following] if marker.type == "fight_end"][:1]
        until = closing[0] if closing else markers[following].t if following < len(markers) else end
        spans.append((markers[i].t, until))
    return np.array(spans, np.float64).reshape(-1, 2)


def episode_ids(times: np.ndarray, markers: Sequence[Marker]) -> np.ndarray:
    """int64 [T]: the episode of every frame, counted from 0, -1 outside; all 0 when there is no marker at all.

    A frame belongs to an episode when start <= t <= end; where one episode ends and the next starts at the same moment,
    to the later one.
    """
    if not markers:
        return np.zeros(len(times), np.int64)
    spans = episode_spans(markers, np.inf)
    episode = np.searchsorted(spans[:, 0], times, side="right") - 1
    ends = np.append(spans[:, 1], -np.inf)  # the last entry answers for episode -1
    return np.where(times <= ends[episode], episode, -1)


def write_timeline(path: str | Path, timeline: Timeline) -> None:
    """Write a timeline as CSV: frame, t (6 decimals), episode, repeat, a column an action."""
    columns = [timeline.frames, timeline.times, timeline.episode, timeline.repeats, *timeline.actions.T]
    kinds = ["%d", "%.6f", *["%d"] * (len(columns) - 2)]
    template = ",".join(kinds) + "\n"
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join([*FIXED_COLUMNS, *timeline.action_names]) + "\n")
        file.writelines(template % row for row in zip(*(column.tolist() for column in columns), strict=True))


def read_timeline(path: str | Path) -> Timeline:
    """Read what `write_timeline` wrote; ValueError when the file is missing or something else."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is missing; run the stage align")
    with path.open(encoding="utf-8") as file:
        header = tuple(file.readline().rstrip("\n").split(","))
        if header[:4] != FIXED_COLUMNS:
            raise ValueError(f"{path}, line 1: expected {','.join(FIXED_COLUMNS)},..., found {','.join(header)[:80]!r}")
        try:
            table = np.array([line.split(",") for line in file], np.float64).reshape(-1, len(header))
        except ValueError as error:
            raise ValueError(f"{path} is no timeline ({error}); run the stage align again") from None
    return Timeline(
        session=path.stem,
        frames=table[:, 0].astype(np.int64),
        times=table[:, 1],
        repeats=table[:, 3].astype(bool),
        episode=table[:, 2].astype(np.int64),
        actions=table[:, 4:].astype(np.uint8),
        action_names=header[4:],
    )
