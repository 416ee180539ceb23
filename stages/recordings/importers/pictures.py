"""Folders of numbered pictures with a table of labels: <folder>/0.png, 1.png, ... and labels.csv or labels.jsonl.

A row of the table is a frame, in order. CSV: a column an action, 0 or 1 (also true/false); a column t (s) where the
times are known. JSONL: {"LEFT": 1, "SHOOT": 0} or {"keys": ["Key.left", "LEFT"]}, with "t" where known.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stages.recordings.importers.imported import Imported, events_of, matched_actions
from stages.recordings.keys import key_name
from stages.recordings.pictures import numbered_pictures, picture_folders, read_pictures

LABELS = ("labels.csv", "labels.jsonl")
OWN = ("t", "frame", "keys")
YES, NO = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no", ""}


def imported_pictures(source: Path, keys: Mapping[str, Sequence[str]], *, fps: float) -> list[Imported]:
    """Every folder with pictures and labels, `source` itself or those in it; ValueError when there is none."""
    folders = [source] if any(source.glob("*.png")) else [source / name for name in picture_folders(source)]
    if not folders:
        raise ValueError(f"{source} holds no folder of numbered pictures (0.png, 1.png, ...)")
    return [_imported(folder, keys, fps) for folder in folders]


def _imported(folder: Path, keys: Mapping[str, Sequence[str]], fps: float) -> Imported:
    rows, path = _rows(folder)
    count = len(numbered_pictures(folder))
    if len(rows) != count:
        raise ValueError(f"{path} has {len(rows)} rows, the folder {count} pictures; it needs a row a picture")
    names, held, lost = _held(rows, path, keys)
    with_t = [row for row in rows if row.get("t") not in (None, "")]
    if with_t and len(with_t) != count:
        raise ValueError(f"{path}: {len(with_t)} of {count} rows have a t; give it to all or to none")
    times = np.array([_time(row["t"], path, i) for i, row in enumerate(rows)]) if with_t else np.arange(count) / fps
    if (np.diff(times) < 0).any():
        raise ValueError(f"{path}: the times t run backwards after row {int(np.argmax(np.diff(times) < 0)) + 1}")
    if not with_t:
        lost.append(f"the times: the pictures are taken for {fps:g} a second from 1970 on")
    lost.append("when within a frame a key went down or up, and taps between two pictures")
    events = events_of(times, held, names, keys, fps)
    return Imported(folder.name, times, read_pictures(folder), events, fps, str(folder), lost=lost)


def _rows(folder: Path) -> tuple[list[dict], Path]:
    path = next((folder / name for name in LABELS if (folder / name).is_file()), None)
    if path is None:
        raise ValueError(
            f"{folder} has no {' or '.join(LABELS)}; without labels it is a recording as it is, see README"
        )
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file)), path
        lines = [line for line in file if line.strip()]
    return [_row(line, path, i) for i, line in enumerate(lines)], path


def _row(line: str, path: Path, row: int) -> dict:
    """A row of JSON lines; ValueError when it is no object, or its keys are no list of names."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, row {row + 1} is not JSON: {error}") from None
    keys = found.get("keys") or [] if isinstance(found, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        expected = '{"LEFT": 1} or {"keys": ["Key.left"]}'
        raise ValueError(f"{path}, row {row + 1}: expected {expected}, found {line.strip()[:80]!r}")
    return found


def _time(value, path: Path, row: int) -> float:
    """A time in s; ValueError for anything that is no number."""
    try:
        t = float(value)
    except (TypeError, ValueError):
        t = math.nan
    if not math.isfinite(t):
        raise ValueError(f"{path}, row {row + 1}: t is {value!r}, expected seconds")
    return t


def _held(rows: list[dict], path: Path, keys: Mapping) -> tuple[list[str], np.ndarray, list[str]]:
    """Actions, which of them each row holds uint8 [T, A], and what of the table is not carried over."""
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in OWN]
    actions = list(keys)
    action_of = {key_name(key): action for action, held in keys.items() for key in held}
    action_of |= {action.casefold(): action for action in keys}
    matched = matched_actions(columns, keys) if columns else {}
    held, unknown = np.zeros((len(rows), len(actions)), np.uint8), Counter()
    for i, row in enumerate(rows):
        for column, action in matched.items():
            held[i, actions.index(action)] |= _is_held(row.get(columns[column], 0), path, i, columns[column])
        for key in row.get("keys") or []:
            action = action_of.get(key_name(key)) or action_of.get(str(key).casefold())
            if action:
                held[i, actions.index(action)] = 1
            else:
                unknown[key] += 1
    left = [name for i, name in enumerate(columns) if i not in matched]
    lost = [f"columns that are no action of the key map: {left}"] if left else []
    if unknown:
        lost.append(f"keys that are not in the key map, with their frames: {dict(unknown)}")
    return actions, held, lost


def _is_held(value, path: Path, row: int, column: str) -> bool:
    text = str(value).strip().lower()
    if text not in YES | NO:
        raise ValueError(f"{path}, row {row + 1}: {column} is {value!r}, expected 0 or 1")
    return text in YES
