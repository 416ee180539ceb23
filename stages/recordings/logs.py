"""The log files of a session, line by line; every error names file, line, what was found and what to do."""

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from stages.recordings.files import KEY_EVENTS, MARKERS
from stages.recordings.keys import key_name

OnBadLine = Literal["error", "skip"]
Row = TypeVar("Row")
BOM = codecs.BOM_UTF8  # with which some editors begin a file
MOST_DIGITS = 30  # of a whole number
MOST_SECONDS = 1e11  # the year 5138: larger times are milli- or nanoseconds
LONGEST_KIND = 40  # letters in the name of a kind of event


class JsonLog:
    """A JSON-lines file: `lines` (number, text) without the blank ones; `skipped` counts the lines left out."""

    def __init__(self, path: Path, whole: bool):
        self.path = path
        lines, self.skipped = _lines(path, whole)
        self.lines = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]

    def rows(self, parse: Callable[[dict], Row], on_bad_line: OnBadLine) -> list[tuple[int, Row]]:
        """(place among the lines, what `parse` makes of it) for every good line."""
        rows = []
        for place, (number, line) in enumerate(self.lines):
            try:
                rows.append((place, parse(_json_object(line))))
            except (ValueError, OverflowError) as error:
                if on_bad_line == "error":
                    raise ValueError(
                        f"{self.path}, line {number}: {error}; found {_shown(line)}. "
                        f"Repair the line, or set align.on_bad_line: skip"
                    ) from None
                self.skipped += 1
        if not rows:
            raise ValueError(f"{self.path} holds no line that can be read; restore it or take the session out")
        return rows


def _lines(path: Path, whole: bool) -> tuple[list[bytes], int]:
    """The lines of a file and how many half-written ones were cut off (only of a session that crashed).

    ValueError for UTF-16 that cannot be read as such; where it can it is.
    """
    data, cut = _text(path), 0
    if not whole and data and not data.endswith(b"\n"):
        data, cut = data[: data.rfind(b"\n") + 1], 1
    return data.rstrip().split(b"\n"), cut


def _text(path: Path) -> bytes:
    """A file in UTF-8, without its byte order mark."""
    data = path.read_bytes().removeprefix(BOM)
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data
    try:
        return data.decode("utf-16").encode()
    except UnicodeError:
        raise ValueError(f"{path} begins as UTF-16 and does not go on so; save it as UTF-8") from None


def _json_object(line: bytes) -> dict:
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_int=_whole)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("this is not JSON") from None
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, not a {type(row).__name__}")
    return row


def _whole(digits: str) -> int | float:
    """Python refuses to read thousands of digits, and to make a float of hundreds; no time has so many."""
    return int(digits) if len(digits) < MOST_DIGITS else float(digits)


def _unique(pairs: list[tuple]) -> dict:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a name stands twice in it")
    return row


def _shown(found) -> str:
    """What was found, cut to what a person reads, in characters that every terminal shows."""
    text = found[:80].decode("utf-8", errors="replace") if isinstance(found, bytes) else str(found)[:80]
    return repr(text.encode("utf-8", errors="backslashreplace").decode())


def _time(row: dict) -> float:
    """Seconds, kept to the microsecond: a number, the same in quotes, or ISO 8601 with its time zone."""
    t = row.get("t")
    if isinstance(t, str):
        t = _seconds_of(t)
    if isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t):
        found = "missing" if row.get("t") is None else _shown(row["t"])
        raise ValueError(f't is {found}, expected seconds, like {{"t": 1700000000.5}}, or ISO 8601 with a time zone')
    if abs(t) >= MOST_SECONDS:
        raise ValueError(f"t is {float(t):.6g}, no UTC seconds (milli- or nanoseconds?); divide all times of the log")
    return round(float(t), 6)


def _seconds_of(text: str) -> float | None:
    """The seconds that a text stands for, None where that is not certain."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def _frame(row: dict) -> tuple[float, bool]:
    repeat = row.get("repeat", False)
    if not isinstance(repeat, bool):
        raise ValueError(f"repeat is {repeat!r}, expected true or false")
    return _time(row), repeat


def _event(row: dict) -> dict:
    kind = row.get("event")
    if isinstance(kind, str) and (plain := re.sub("[ _-]", "", kind).lower()) in KEY_EVENTS:
        kind = plain  # KeyDown, key_up
    if kind in KEY_EVENTS:
        key = row.get("key")
        if not isinstance(key, str) or not key or any("\ud800" <= letter <= "\udfff" for letter in key):
            raise ValueError(f"key is {_shown(key)}, expected a name like 'Key.space' or 'f'")
        return {"event": kind, "key": key_name(row["key"]), "t": _time(row)}
    if kind == "marker":
        if row.get("type") not in MARKERS:
            raise ValueError(f"marker of type {_shown(row.get('type'))}, expected one of {list(MARKERS)}")
        return {"event": kind, "type": row["type"], "t": _time(row)}
    if isinstance(kind, str) and 0 < len(kind) <= LONGEST_KIND and kind.isprintable():
        return {"event": "other", "kind": kind}  # other recorders log more: moves of the mouse, clicks
    raise ValueError(f"event is {_shown(kind)}, expected one of {[*KEY_EVENTS, 'marker']}, or another's name")


def read_frame_log(log: JsonLog, on_bad_line: OnBadLine) -> tuple[np.ndarray, np.ndarray]:
    """Times float64 [T] and repeats bool [T] of all lines; those of skipped lines come from their neighbours."""
    rows = log.rows(_frame, on_bad_line)
    good = np.array([place for place, _ in rows])
    known = np.array([t for _, (t, _) in rows])
    _require_order(log, [(place, t) for place, (t, _) in rows])
    index = np.arange(len(log.lines))
    times = np.interp(index, good, known)
    if len(known) > 1:  # np.interp keeps the first and the last time still beyond the known lines
        interval = float(np.median(np.diff(known) / np.diff(good)))
        times += interval * (np.minimum(index - good[0], 0) + np.maximum(index - good[-1], 0))
    repeats = np.zeros(len(index), bool)
    repeats[good] = [repeat for _, (_, repeat) in rows]
    times[good] = known
    return np.round(times, 6), repeats


def read_event_log(log: JsonLog, on_bad_line: OnBadLine) -> tuple[list[tuple[int, dict]], Counter[str]]:
    """(line number, {"event", "key" or "type", "t"}) of every event, and how many there are of each other kind."""
    rows = log.rows(_event, on_bad_line)
    others = Counter(event["kind"] for _, event in rows if event["event"] == "other")
    own = [(place, event) for place, event in rows if event["event"] != "other"]
    _require_order(log, [(place, event["t"]) for place, event in own])
    return [(log.lines[place][0], event) for place, event in own], others


def _require_order(log: JsonLog, times: list[tuple[int, float]]) -> None:
    t = np.array([t for _, t in times])
    back = np.flatnonzero(np.diff(t) < 0)
    if len(back):
        (before, earlier), (place, later) = times[back[0]], times[back[0] + 1]
        raise ValueError(
            f"{log.path}, line {log.lines[place][0]}: time runs backwards, from {earlier:.6f} in line "
            f"{log.lines[before][0]} to {later:.6f}. If the lines were only written out of order, sort them; if the "
            f"clock was set back, cut the session there"
        )


def read_metadata(path: Path) -> tuple[dict, bool | None]:
    """What the session file holds, and whether the session was closed cleanly (None: it does not say)."""
    if not path.is_file():
        return {}, None
    try:
        metadata = _json_object(_text(path))
        if "fights" in metadata:  # what recordings before version 0.2 call their episodes
            metadata.setdefault("episodes", metadata.pop("fights"))
        _require_metadata(metadata)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; repair it, or delete it if another recorder made the session") from None
    return metadata, None if metadata.get("closed") is None else metadata["closed"] is True


def _require_metadata(metadata: dict) -> None:
    fps = metadata.get("fps", 1)
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < math.inf:
        raise ValueError(f"fps is {fps!r}, expected a positive number")
    episodes = metadata.get("episodes", [])
    if not isinstance(episodes, list) or not all(isinstance(episode, dict) for episode in episodes):
        raise ValueError('episodes must be a list like [{"score": 3, "outcome": "won"}]')
    for episode in episodes:
        score = episode.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float | None):
            raise ValueError(f"the score {score!r} of an episode is neither a number nor null")
    mirror = metadata.get("mirror", {})
    if not isinstance(mirror, dict) or not all(isinstance(action, str) for action in mirror.values()):
        raise ValueError('mirror must be a map of actions like {"LEFT": "RIGHT"}')
    spans = metadata.get("spans", [])
    for span in spans if isinstance(spans, list) else [spans]:
        ends = [span.get("start"), span.get("end")] if isinstance(span, dict) else [None]
        seconds = all(isinstance(t, int | float) and abs(t) < MOST_SECONDS for t in ends)
        if not seconds or not ends[0] <= ends[-1] or not isinstance(span.get("player"), str):
            raise ValueError('spans must be a list like [{"player": "agent", "start": 1700000000.5, "end": ...}]')


def state_columns(path: Path) -> tuple[str, ...]:
    """The column names of a state table."""
    return _columns(path, _text(path).partition(b"\n")[0])


def read_state(path: Path, whole: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Column names and values float32 [T, S] of a state table."""
    lines, _ = _lines(path, whole)
    columns = _columns(path, lines[0])
    values = np.empty((len(lines) - 1, len(columns)), np.float32)
    for row, line in enumerate(lines[1:]):
        try:
            values[row] = [float(cell) for cell, _ in zip(line.split(b","), columns, strict=True)]
        except ValueError:
            found = line[:80].decode("utf-8", errors="replace")
            raise ValueError(f"{path}, line {row + 2}: expected {len(columns)} numbers, found {found!r}") from None
    return columns, values


def _columns(path: Path, line: bytes) -> tuple[str, ...]:
    try:
        columns = tuple(name.strip().strip('"') for name in line.decode("utf-8").split(","))
    except UnicodeDecodeError:
        raise ValueError(f"{path}, line 1: this is no UTF-8; save the file as UTF-8") from None
    if not all(columns) or len(set(columns)) != len(columns):
        raise ValueError(f"{path}, line 1: the column names {_shown(list(columns))} must be distinct and not empty")
    return columns
