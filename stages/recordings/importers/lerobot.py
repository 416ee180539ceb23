"""LeRobot data sets, version 3: meta/info.json, meta/episodes/*/*.parquet, data/*/*.parquet and a video per camera.

Many episodes share a file: meta/episodes says of each which file of data has its rows, and from when to when it runs in
which video. Columns are vectors whose parts the features of info.json may name. Which part is which action, from which
value on, only the user can say: `--column "action[3] > 0.5 = SHOOT"`. The layout is that of
https://huggingface.co/docs/lerobot/lerobot-dataset-v3; read by pyarrow and PyAV, without LeRobot's own library.
"""

import json
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.importers.imported import Episode, Imported, cut, events_of, reading, session_name
from stages.recordings.importers.screens import pictures_at
from stages.recordings.pictures import decoded_picture

RULE = re.compile(r"\s*([^\[\]<>=]+?)\s*(?:\[([^\]]+)\])?\s*(>=|<=|==|>|<)\s*([-+.\deE]+)\s*=\s*(.+?)\s*")
COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq}
PICTURES = ("video", "image")
NUMBERS = ("float", "int", "uint", "bool")
OWN = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class Rule:
    """`action` is held where a part of a feature compares so with `value`."""

    feature: str
    part: int
    compare: str
    value: float
    action: str

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Whether it is held, bool [T]; `values` [T] of the part."""
        return COMPARE[self.compare](values, self.value)


@dataclass(frozen=True)
class DataSet:
    """Where it lies, what info.json says, and the camera whose pictures are taken."""

    folder: Path
    info: Mapping
    camera: str

    def path(self, template: str, row: Mapping, prefix: str) -> Path:
        """The file of data or video that an episode lies in."""
        key = "data_path" if template == "data" else "video_path"
        with reading(f"{self.folder}/meta/info.json, {key}"):
            numbers = {n: int(row[f"{prefix}/{n}"]) for n in ("chunk_index", "file_index")}
            return self.folder / self.info[key].format(video_key=self.camera, **numbers)


def episodes_of_lerobot(
    source: Path, vocabulary: ActionVocabulary, *, columns: Sequence[str], camera: str | None
) -> list[Episode]:
    """Every episode of the data set; ValueError when it is none, or an action has no rule."""
    if find_spec("pyarrow") is None:
        raise ValueError("the pyarrow library is missing: pip install pyarrow, or make live")
    info = _info(source)
    rules = _rules(source, info, columns, vocabulary)
    data = DataSet(source, info, _camera(source, info, camera))
    stem = session_name(source.resolve().name)
    episodes = []
    for path in sorted((source / "meta" / "episodes").glob("[!.]*/[!.]*.parquet")):
        with reading(path):
            episodes += [(int(row["episode_index"]), row) for row in _table(path).to_pylist()]
    if len(episodes) != info.get("total_episodes", len(episodes)) or not episodes:
        raise ValueError(
            f"{source}/meta/episodes holds {len(episodes)} episodes, info.json says "
            f"{cut(info.get('total_episodes'), 20)}; fetch the whole data set, and finish it if it was just recorded"
        )
    episodes.sort(key=lambda each: each[0])
    _require_apart(data, [row for _, row in episodes])
    return [
        Episode(f"{stem}_episode_{n}", partial(_imported, data, n, row, rules, vocabulary, f"{stem}_episode_{n}"))
        for n, row in episodes
    ]


def _require_apart(data: DataSet, rows: Sequence[Mapping]) -> None:
    """ValueError where two episodes are said to lie at one place of a video: one would get the other's pictures."""
    prefix = f"videos/{data.camera}"
    names = [f"{prefix}/{part}" for part in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")]
    placed = [(*(row.get(name) for name in names), row["episode_index"]) for row in rows]
    placed = sorted(each for each in placed if all(isinstance(value, int | float) for value in each))
    for (*video, _, end, before), (*other, start, _, number) in pairwise(placed):
        if video == other and start < end - 0.5 / float(data.info["fps"]):
            raise ValueError(
                f"{data.folder}/meta/episodes: episode {number} begins at {start:.3f} s of a video in which episode "
                f"{before} ends at {end:.3f} s; one of them would get the other's pictures: fetch the data set anew"
            )


def _info(source: Path) -> dict:
    path = source / "meta" / "info.json"
    with reading(path):
        info = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(info, dict) or not isinstance(info.get("features"), dict):
        raise ValueError(f"{path} names no features; it is no data set of LeRobot")
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise ValueError(f"{path}: the version is {cut(version, 20)}, v3.0 is read; LeRobot itself converts older ones")
    if info.get("storage_format", "parquet") != "parquet":
        raise ValueError(f"{path}: storage_format is {cut(info['storage_format'], 20)}, only files of Parquet are read")
    fps = info.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1000:
        raise ValueError(f"{path}: fps is {cut(fps, 20)}, expected frames a second")
    for name, feature in info["features"].items():
        if not isinstance(feature, dict) or not isinstance(feature.get("dtype"), str):
            raise ValueError(f"{path}: the feature {cut(name, 40)!r} has no dtype")
    return info


def _camera(source: Path, info: Mapping, wanted: str | None) -> str:
    cameras = [name for name, feature in info["features"].items() if feature["dtype"] in PICTURES]
    if wanted in cameras or (wanted is None and len(cameras) == 1):
        return wanted or cameras[0]
    raise ValueError(f"{source} has the cameras {cut(cameras)}; name the one that shows the game: --camera NAME")


def part_names(feature: Mapping) -> list[str]:
    """What the parts of a feature are called, their numbers where info.json has no names for them."""
    names = feature.get("names")
    if isinstance(names, dict):
        lists = [each for each in names.values() if isinstance(each, list)]
        numbered = all(isinstance(each, int) for each in names.values())
        names = lists[0] if len(lists) == 1 else sorted(names, key=names.get) if numbered else None
    shape = feature["shape"] if isinstance(feature.get("shape"), list) and feature["shape"] else [1]
    count = shape[0] if len(shape) == 1 and isinstance(shape[0], int) else 0
    return list(map(str, names)) if isinstance(names, list) and len(names) == count else [str(i) for i in range(count)]


def _rules(source: Path, info: Mapping, columns: Sequence[str], vocabulary: ActionVocabulary) -> list[Rule]:
    rules = [_rule(source, info, text) for text in columns]
    known = {
        name: part_names(feature) for name, feature in info["features"].items()
        if feature["dtype"].startswith(NUMBERS) and name not in OWN
    }  # fmt: skip
    for rule in rules:
        if rule.action not in vocabulary.keys:
            raise ValueError(f"--column: {rule.action!r} is no action; known are {cut(list(vocabulary.keys))}")
    missing = [action for action in vocabulary.names if action not in [rule.action for rule in rules]]
    if missing:
        raise ValueError(
            f"{source}: nothing says which column is {cut(missing)}; it has {cut(known, 400)}. Say it, with the value "
            f'from which on the key is held: --column "{next(iter(known), "action")}[0] > 0.5 = {missing[0]}"'
        )
    return rules


def _rule(source: Path, info: Mapping, text: str) -> Rule:
    found = RULE.fullmatch(text)
    expected = 'expected NAME[PART] > VALUE = ACTION, for example "action[3] > 0.5 = SHOOT"'
    if not found:
        raise ValueError(f"--column {cut(text, 60)!r}: {expected}")
    name, part, compare, value, action = found.groups()
    feature = info["features"].get(name)
    if feature is None or not feature["dtype"].startswith(NUMBERS):
        kind = "no column" if feature is None else f"a column of {feature['dtype']}"
        raise ValueError(
            f"--column {cut(text, 60)!r}: {name} is {kind} of {source}; it has {cut(list(info['features']))}"
        )
    names = part_names(feature)
    index = names.index(part) if part in names else int(part) if part and part.isdecimal() else 0 if not part else -1
    if not 0 <= index < len(names) or (part is None and len(names) > 1):
        raise ValueError(f"--column {cut(text, 60)!r}: {name} has the parts {cut(names)}, counted from 0; {expected}")
    try:
        return Rule(name, index, compare, float(value), action)
    except ValueError:
        raise ValueError(f"--column {cut(text, 60)!r}: {value} is no number; {expected}") from None


def _table(path: Path, columns: Sequence[str] | None = None, filters=None):
    from pyarrow import parquet

    if columns is None:  # statistics lie beside what is wanted
        names = parquet.read_schema(path).names
        columns = [name for name in names if not name.startswith("stats/")]
    return parquet.read_table(path, columns=list(columns), filters=filters, partitioning=None)


def _imported(
    data: DataSet, number: int, row: Mapping, rules: Sequence[Rule], vocabulary: ActionVocabulary, name: str
) -> Imported:
    where, fps = f"{data.folder}, episode {number}", float(data.info["fps"])
    path = data.path("data", row, "data")
    stills = data.info["features"][data.camera]["dtype"] == "image"
    wanted = {"timestamp", "frame_index", *(rule.feature for rule in rules), *([data.camera] if stills else [])}
    with reading(f"{where}: {path}"):
        table = _table(path, sorted(wanted), [("episode_index", "=", number)]).sort_by("frame_index")
        times = table["timestamp"].to_numpy().astype(np.float64).reshape(-1)
        index = table["frame_index"].to_numpy().reshape(-1)
    if len(times) != row.get("length", len(times)) or not len(times):
        raise ValueError(f"{where}: {path} has {len(times)} rows of it, meta/episodes says {row.get('length')}")
    if (index != np.arange(len(index))).any() or not (np.diff(times) > 0).all():
        raise ValueError(f"{where}: {path}: its frames are not numbered from 0 on with times that run forward")
    times = np.round(times, 6)
    actions = list(dict.fromkeys(rule.action for rule in rules))
    held = np.zeros((len(times), len(actions)), bool)
    for rule in rules:
        held[:, actions.index(rule.action)] |= rule.holds(_values(table, rule, f"{where}: {path}"))
    images = _stills(table, data.camera, where) if stills else _shown(data, row, times, where)
    left = _left(data.info["features"], rules, data.camera)
    lost = [f"columns that nobody asked for: {cut(left)}"] if left else []
    lost += ["exact pixels: the pictures become H.264 video", "the clock: times are counted from 1970 on"]
    lost.append("when within a frame a key went down or up, and taps between two pictures")
    events = events_of(times, held, actions, vocabulary.keys, fps)
    return Imported(name, times, images, events, fps, where, lost=lost)


def _left(features: Mapping, rules: Sequence[Rule], camera: str) -> list[str]:
    """The features, and parts of them, that no rule looks at."""
    asked = {rule.feature: {other.part for other in rules if other.feature == rule.feature} for rule in rules}
    left = [name for name in features if name not in {*OWN, *asked, camera}]
    return left + [
        f"{name}[{part}]"
        for name, used in asked.items()
        for i, part in enumerate(part_names(features[name]))
        if i not in used
    ]


def _values(table, rule: Rule, where: str) -> np.ndarray:
    """The part of a feature that a rule looks at, float64 [T]."""
    with reading(f"{where}, {rule.feature}"):
        rows = np.array(table[rule.feature].to_pylist(), np.float64).reshape(table.num_rows, -1)
        values = rows[:, rule.part]
    if not np.isfinite(values).all():
        frame = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"{where}, frame {frame}: {rule.feature}[{rule.part}] is {values[frame]}, expected a number")
    return values


def _stills(table, camera: str, where: str) -> Iterator[np.ndarray]:
    for i, picture in enumerate(table[camera]):
        found = picture.as_py()
        data = found.get("bytes") if isinstance(found, dict) else None
        yield decoded_picture(data or b"", f"{where}, frame {i}, {camera}")


def _shown(data: DataSet, row: Mapping, times: np.ndarray, where: str) -> Iterator[np.ndarray]:
    """The pictures of an episode, which has a stretch of a video."""
    prefix = f"videos/{data.camera}"
    path = data.path("video", row, prefix)
    with reading(f"{where}, {prefix} in meta/episodes"):
        start, end = float(row[f"{prefix}/from_timestamp"]), float(row[f"{prefix}/to_timestamp"])
    interval = 1 / float(data.info["fps"])
    if start + times[-1] > end + interval / 2:
        raise ValueError(
            f"{where}: its last row is at {times[-1]:.3f} s, its part of {path} lasts {end - start:.3f} s; the rows "
            f"and the video are not of one recording"
        )
    return pictures_at(path, start + times, longest_s=1.5 * interval)
