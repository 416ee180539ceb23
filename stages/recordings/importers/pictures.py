"""Folders of numbered pictures with a table of labels: <folder>/0.png, 1.png, ... and labels.csv or labels.jsonl.

A row of the table is a frame, in order, or in the order that a column with the names of the pictures gives. CSV: a
column an action, 0 or 1 (also true/false); a column t (s) where the times are known. The header may begin with # and
the cells be separated by comma, semicolon, tab, bar or blanks, as spreadsheets and numpy write them.
JSONL: {"LEFT": 1, "SHOOT": 0} or {"keys": ["Key.left", "LEFT"]}, with "t" where known.
"""

import codecs
import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.importers.imported import (
    Episode,
    Imported,
    cut,
    events_of,
    folded,
    matched_actions,
    reading,
    require_zero_or_one,
    session_name,
)
from stages.recordings.keys import key_name
from stages.recordings.logs import MOST_SECONDS
from stages.recordings.pictures import NAME, SUFFIXES, numbered_pictures, picture_folders, pictures_in, read_pictures

LABELS = ("labels.csv", "labels.jsonl")
OWN = ("t", "frame")  # columns that are no action
NUMBERS = ("frame", "frame_index", "index", "")  # columns that may number the rows; without a name, as pandas writes it
SHORTEST_S, LONGEST_S = 0.002, 60.0  # from picture to picture
WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
SEPARATORS = ",;\t|"


def episodes_of_pictures(source: Path, vocabulary: ActionVocabulary, *, fps: float) -> list[Episode]:
    """Every folder with pictures and labels, `source` itself or those in it; ValueError when there is none."""
    names = picture_folders(source)
    folders = [source] if pictures_in(source) else [source / name for name in names]
    if not folders:
        raise ValueError(
            f"{source} holds no folder of numbered pictures (0.png, 1.png, ...), and is no store or data set; "
            f"found {cut(sorted(each.name for each in source.iterdir()))}. Name the recording itself, see --help"
        )
    beside = [] if folders == [source] else sorted({path.name for path in source.iterdir()} - set(names))
    return [
        Episode(_session(folder), partial(_imported, folder, vocabulary, fps, beside if folder == folders[0] else []))
        for folder in folders
    ]


def _session(folder: Path) -> str:
    return session_name(folder.resolve().name)


def _imported(folder: Path, vocabulary: ActionVocabulary, fps: float, beside: list[str]) -> Imported:
    path = _table(folder)
    numbered = numbered_pictures(folder)
    count = len(numbered)
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    if len(rows) != count:
        raise ValueError(f"{path} has {len(rows)} rows, the folder {count} pictures; it needs a row a picture")
    rows = _in_order(rows, numbered, path)
    held, lost = _held(rows, path, vocabulary)
    times = _times(rows, path)
    if times is None:
        times = np.arange(count) / fps
        lost.append(f"the times: the pictures are taken for {fps:g} a second from 1970 on")
    elif count > 1:
        interval = float(np.median(np.diff(times)))
        if not SHORTEST_S <= interval <= LONGEST_S or np.abs(times).max() >= MOST_SECONDS:
            raise ValueError(
                f"{path}: by its column t the pictures are {interval:g} s apart, the first at {times[0]:g} s; are "
                f"these seconds? Divide them, or leave the column out and give --fps"
            )
        fps = round(1 / interval, 3)
    lost.append("when within a frame a key went down or up, and taps between two pictures")
    others = sorted({each.name for each in folder.iterdir()} - {each.name for each in (*pictures_in(folder), path)})
    lost += [f"{len(others)} files that are no pictures: {cut(others)}"] if others else []
    lost += [f"{len(beside)} files beside the folders of pictures: {cut(beside)}"] if beside else []
    events = events_of(times, held, list(vocabulary.keys), vocabulary.keys, fps)
    return Imported(_session(folder), times, read_pictures(folder), events, fps, str(folder), lost=lost)


def _table(folder: Path) -> Path:
    found = {path.name.lower(): path for path in folder.iterdir() if path.name.lower() in LABELS}
    if not found:
        raise ValueError(
            f"{folder} has no {' or '.join(LABELS)}; without labels it is a recording as it is, see README"
        )
    if len(found) > 1:
        raise ValueError(f"{folder} has both {' and '.join(LABELS)}; keep the one that holds")
    return next(iter(found.values()))


def _lines(path: Path) -> list[str]:
    """The lines of a table in UTF-8, or in UTF-16 with its byte order mark."""
    data = path.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    with reading(path):
        text = data.decode("utf-16" if wide else "utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds zero bytes, it is no text in UTF-8")
    return list(io.StringIO(text, newline=None))


def _csv_rows(path: Path) -> list[dict]:
    """A row of the table as {column: cell}; what spreadsheets fill up with empty cells is left out."""
    lines, separator = _lines(path), None
    if lines and lines[0].lower().startswith("sep="):  # Excel's own line
        separator = lines.pop(0).strip()[4:5]
    comments = []
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("#")):
        comments.append(lines.pop(0).lstrip()[1:])
    named = [comment for comment in comments if comment.strip()]
    if named and (not lines or _is_data(lines[0])):  # the header stands behind the last #, as numpy writes it
        lines.insert(0, named[-1])
    if lines and _is_data(lines[0]):
        raise ValueError(f"{path} begins with {cut(lines[0], 60)!r}; it needs a header that names the columns")
    if not lines:
        raise ValueError(f"{path} is empty; it needs a header, LEFT,RIGHT,SHOOT, and a row a picture")
    separator = separator or _separator(lines[0])
    if separator == " " and not any(" " in line.strip() for line in lines[1:2]):  # one column, of two words
        separator = ","
    with reading(path):
        table = [[cell.strip() for cell in row] for row in _cells(lines, separator)]
    header, rows = table[0], [row for row in table[1:] if row]
    while rows and not any(rows[-1]):
        rows.pop()
    for i, row in enumerate(rows):
        row += [""] * (len(header) - len(row))
        if any(row[len(header) :]):
            raise ValueError(f"{path}, row {i + 1} has {len(row)} cells, the header {len(header)}: {cut(row)}")
    kept = [i for i, name in enumerate(header) if name or any(row[i] for row in rows)]
    twins = [name for name, n in Counter(header[i].casefold() for i in kept).items() if n > 1]
    if twins:
        raise ValueError(f"{path}: the header names {cut(twins)} more than once; keep one column of each")
    return [{_own(header[i]): row[i] for i in kept} for row in rows]


def _separator(header: str) -> str:
    """Blanks are one only where nothing else is."""
    try:
        return csv.Sniffer().sniff(header, SEPARATORS).delimiter
    except csv.Error:
        return " " if " " in header.strip() and not any(each in header for each in SEPARATORS) else ","


def _cells(lines: list[str], separator: str) -> Iterator[list[str]]:
    """The cells of each line; several blanks are one separator."""
    blanks = separator == " "
    return csv.reader(
        (line.strip() for line in lines) if blanks else lines,
        delimiter=separator, skipinitialspace=blanks, strict=True,
    )  # fmt: skip


def _is_data(line: str) -> bool:
    separator = _separator(line)
    return all(_number(cell) is not None for cell in line.split(None if separator == " " else separator))


def _in_order(rows: list[dict], numbered: list[Path], path: Path) -> list[dict]:
    """The rows in the order of the pictures, where a column names or numbers the picture of each."""
    names = [_picture(picture.name) for picture in numbered]
    wrong = None
    for column in rows[0] if rows else ():
        row_of = {_picture(str(row.get(column))): row for row in rows}
        if None in row_of or not row_of.keys() & set(names):
            continue
        missing = [picture.name for picture, name in zip(numbered, names, strict=True) if name not in row_of]
        if not missing:
            return [row_of[name] for name in names]
        wrong = wrong or f"{path}: no row names {missing[0]} in its column {column!r}; it needs a row a picture"
    if wrong:
        raise ValueError(wrong)
    numbers = [number for _, number in names]
    for column in (name for name in (rows[0] if len(rows) > 2 else ()) if name.lower() not in NUMBERS):
        row_of = {_number(row.get(column)): row for row in rows}
        if row_of.keys() != set(numbers) or len(set(numbers)) < len(rows):
            continue
        if [*row_of] == numbers[::-1]:
            raise ValueError(
                f"{path}: its column {column!r} counts down to the first picture: if it numbers the pictures, sort the "
                f"rows by it, else leave it out"
            )
        return [row_of[number] for number in numbers]
    return rows


def _picture(cell: str) -> tuple[str, int] | None:
    """The word and the number that a cell calls a picture by; None for what is no picture's name, or a number alone."""
    file = PureWindowsPath(cell)  # either slash
    stem = file.stem if file.suffix.lower() in SUFFIXES else file.name
    found = NAME.fullmatch(stem)
    return (folded(found[1]), int(found[2])) if found and (found[1] or stem != file.name) else None


def _own(name: str) -> str:
    return name.lower() if name.lower() in OWN else name


def _json_rows(path: Path) -> list[dict]:
    return [_json_row(line, path, i) for i, line in enumerate(line for line in _lines(path) if line.strip())]


def _json_row(line: str, path: Path, row: int) -> dict:
    """A row of JSON lines; ValueError when it is no object, or its keys are no list of names."""
    try:
        found = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}, row {row + 1} is not JSON: {cut(error)}; found {cut(line, 80)!r}") from None
    keys = found.get("keys") or [] if isinstance(found, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        expected = '{"LEFT": 1} or {"keys": ["Key.left"]}'
        raise ValueError(f"{path}, row {row + 1}: expected {expected}, found {cut(line, 80)!r}")
    return {name.strip(): value for name, value in found.items()}


def _unique(pairs: list[tuple]) -> dict:
    names = [name.strip().casefold() for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice in it")
    return dict(pairs)


def _number(value: object) -> float | None:
    """A cell as a number, also with a decimal comma or as true or false; None when it is none."""
    text = str(value).strip().lower()
    try:
        return WORDS[text] if text in WORDS else float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        return None


def _times(rows: list[dict], path: Path) -> np.ndarray | None:
    """When each picture was taken, s; None where the table does not say. Also holds its frame numbers to the order."""
    for column in (name for name in rows[0] if name.lower() in NUMBERS):
        numbers = [_number(row.get(column)) for row in rows]
        if None in numbers or (column != "frame" and sorted(numbers) != [min(numbers) + i for i in range(len(rows))]):
            continue
        for i in range(1, len(rows)):
            if numbers[i] != numbers[i - 1] + 1:
                raise ValueError(
                    f"{path}, row {i + 1}: {column or 'the column without a name'} is {numbers[i]:g} after "
                    f"{numbers[i - 1]:g}; a row a picture, in order"
                )
    given = [row.get("t") not in (None, "") for row in rows]
    if not any(given):
        return None
    if not all(given):
        raise ValueError(f"{path}: {sum(given)} of {len(rows)} rows have a t; give it to all or to none")
    times = [_number(row["t"]) for row in rows]
    for i, t in enumerate(times):
        if t is None or not math.isfinite(t):
            raise ValueError(f"{path}, row {i + 1}: t is {cut(rows[i]['t'], 40)!r}, expected seconds")
        if i and t <= times[i - 1]:
            raise ValueError(f"{path}: the times t run backwards or stand still after row {i}, at {t:g} s")
    return np.array(times)


def _held(rows: list[dict], path: Path, vocabulary: ActionVocabulary) -> tuple[np.ndarray, list[str]]:
    """Which actions of the key map each row holds uint8 [T, A], and what of the table is not carried over."""
    by_key = any(isinstance(row.get("keys"), list) for row in rows)
    silent = next((i for i, row in enumerate(rows) if by_key and not isinstance(row.get("keys"), list)), None)
    if silent is not None:
        raise ValueError(f"{path}, row {silent + 1} has no list of keys, others have one; write [] where none is held")
    own = (*OWN, "keys") if by_key else OWN
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in own]
    actions = list(vocabulary.keys)
    required = () if by_key else vocabulary.names  # a key that was never pressed stands in no list
    matched = matched_actions(columns, ActionVocabulary(required, vocabulary.keys), str(path))
    held = np.zeros((len(rows), len(actions)), np.uint8)
    if matched:
        names = [columns[i] for i in matched]
        held[:, [actions.index(action) for action in matched.values()]] = _zero_or_one(rows, names, path)
    unknown = _hold_keys(held, rows, vocabulary) if by_key else {}
    if by_key and unknown and not held.any():
        raise ValueError(f"{path}: its keys {cut(dict(unknown))} are none of {vocabulary.keys}; give --keys ACTION=KEY")
    left = [name for i, name in enumerate(columns) if i not in matched]
    lost = [f"columns that are no action of the key map: {cut(left)}"] if left else []
    return held, lost + (
        [f"keys that are not in the key map, with their frames: {cut(dict(unknown))}"] if unknown else []
    )


def _zero_or_one(rows: list[dict], names: list[str], path: Path) -> np.ndarray:
    """The labels of some columns [T, N]; a JSON row holds only what it names, a CSV row all."""
    values = np.empty((len(rows), len(names)))
    for i, row in enumerate(rows):
        for k, name in enumerate(names):
            value = _number(row.get(name, 0))
            if value is None:
                raise ValueError(f"{path}, row {i + 1}: {name} is {cut(row[name], 40)!r}, expected 0 or 1")
            values[i, k] = value
    require_zero_or_one(values, names, str(path))
    return values


def _hold_keys(held: np.ndarray, rows: list[dict], vocabulary: ActionVocabulary) -> Counter:
    """Set in `held` the actions whose keys stand in the rows' lists; how often which other keys do."""
    actions = list(vocabulary.keys)
    action_of = {action.casefold(): action for action in actions}
    action_of |= {key_name(key): action for action, own in vocabulary.keys.items() for key in own}
    unknown = Counter()
    for i, row in enumerate(rows):
        for key in row.get("keys") or []:
            action = action_of.get(key_name(key)) or action_of.get(key.casefold())
            if action:
                held[i, actions.index(action)] = 1
            else:
                unknown[key] += 1
    return unknown
