"""The log files of a session, line by line; every error names file, line, what was found and what to do."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from stages.recordings.actions import key_name
from stages.recordings.files import KEY_EVENTS, MARKERS

OnBadLine = Literal["error", "skip"]
Row = TypeVar("Row")
BOM = b"\xef\xbb\xbf"  # with which some editors begin a file


class JsonLog:
    """A JSON-lines file; `skipped` counts the lines left out."""

    def __init__(self, path: Path, whole: bool):
        self.path = path
        self.lines, self.skipped = _lines(path, whole)

    def rows(self, parse: Callable[[dict], Row], on_bad_line: OnBadLine) -> list[tuple[int, Row]]:
        """(line number, what `parse` makes of it) for every good line."""
        rows = []
        for number, line in enumerate(self.lines, start=1):
            try:
                rows.append((number, parse(_json_object(line))))
            except (ValueError, OverflowError) as error:
                if on_bad_line == "error":
                    found = line[:80].decode("utf-8", errors="replace")
                    raise ValueError(
                        f"{self.path}, line {number}: {error}; found {found!r}. "
                        f"Repair the line, or set align.on_bad_line: skip"
                    ) from None
                self.skipped += 1
        if not rows:
            raise ValueError(f"{self.path} holds no line that can be read; restore it or take the session out")
        return rows


def _lines(path: Path, whole: bool) -> tuple[list[bytes], int]:
    """The lines of a file and how many half-written ones were cut off (only of a session that crashed)."""
    data, cut = path.read_bytes().removeprefix(BOM), 0
    if not whole and data and not data.endswith(b"\n"):
        data, cut = data[: data.rfind(b"\n") + 1], 1
    return data.rstrip().split(b"\n"), cut


def _json_object(line: bytes) -> dict:
    try:
        row = json.loads(line.decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("this is not JSON") from None
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, not a {type(row).__name__}")
    return row


def _time(row: dict) -> float:
    t = row.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t):
        raise ValueError(f't is {"missing" if t is None else t}, expected seconds, like {{"t": 1700000000.5}}')
    return round(float(t), 6)


def _frame(row: dict) -> tuple[float, bool]:
    repeat = row.get("repeat", False)
    if not isinstance(repeat, bool):
        raise ValueError(f"repeat is {repeat!r}, expected true or false")
    return _time(row), repeat


def _event(row: dict) -> dict:
    kind = row.get("event")
    if kind in KEY_EVENTS:
        if not isinstance(row.get("key"), str) or not row["key"]:
            raise ValueError(f"key is {row.get('key')!r}, expected a name like 'Key.space' or 'f'")
        return {"event": kind, "key": key_name(row["key"]), "t": _time(row)}
    if kind == "marker":
        if row.get("type") not in MARKERS:
            raise ValueError(f"marker of type {row.get('type')!r}, expected one of {list(MARKERS)}")
        return {"event": kind, "type": row["type"], "t": _time(row)}
    raise ValueError(f"unknown event {kind!r}, expected one of {[*KEY_EVENTS, 'marker']}")


def read_frame_log(log: JsonLog, on_bad_line: OnBadLine) -> tuple[np.ndarray, np.ndarray]:
    """Times float64 [T] and repeats bool [T] of all lines; those of skipped lines come from their neighbours."""
    rows = log.rows(_frame, on_bad_line)
    good = np.array([line - 1 for line, _ in rows])
    known = np.array([t for _, (t, _) in rows])
    _require_order(log.path, [(line, t) for line, (t, _) in rows])
    index = np.arange(len(log.lines))
    times = np.interp(index, good, known)
    if len(known) > 1:  # np.interp keeps the first and the last time still beyond the known lines
        interval = float(np.median(np.diff(known) / np.diff(good)))
        times += interval * (np.minimum(index - good[0], 0) + np.maximum(index - good[-1], 0))
    repeats = np.zeros(len(index), bool)
    repeats[good] = [repeat for _, (_, repeat) in rows]
    times[good] = known
    return np.round(times, 6), repeats


def read_event_log(log: JsonLog, on_bad_line: OnBadLine) -> list[tuple[int, dict]]:
    """(line number, {"event", "key" or "type", "t"}) of every event."""
    rows = log.rows(_event, on_bad_line)
    _require_order(log.path, [(line, event["t"]) for line, event in rows])
    return rows


def _require_order(path: Path, times: list[tuple[int, float]]) -> None:
    t = np.array([t for _, t in times])
    back = np.flatnonzero(np.diff(t) < 0)
    if len(back):
        (before, earlier), (line, later) = times[back[0]], times[back[0] + 1]
        raise ValueError(
            f"{path}, line {line}: time runs backwards, from {earlier:.6f} in line {before} to {later:.6f}. "
            f"If the lines were only written out of order, sort them; if the clock was set back, cut the session there"
        )


def read_metadata(path: Path) -> tuple[dict, bool | None]:
    """What the session file holds, and whether the session was closed cleanly (None: there is no such file)."""
    if not path.is_file():
        return {}, None
    try:
        metadata = _json_object(path.read_bytes())
        if "fights" in metadata:  # what recordings before version 0.2 call their episodes
            metadata.setdefault("episodes", metadata.pop("fights"))
        _require_metadata(metadata)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; repair it, or delete it if another recorder made the session") from None
    return metadata, metadata.get("closed") is True


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


def state_columns(path: Path) -> tuple[str, ...]:
    """The column names of a state table."""
    with path.open("rb") as file:
        return _columns(path, file.readline())


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
    columns = tuple(name.strip() for name in line.removeprefix(BOM).decode("utf-8").split(","))
    if not all(columns) or len(set(columns)) != len(columns):
        raise ValueError(f"{path}, line 1: the column names {list(columns)} must be distinct and not empty")
    return columns
