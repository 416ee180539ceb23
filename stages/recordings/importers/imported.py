"""A recording of another kind on its way to a session: what was read, and what could not be carried over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stages.recordings.files import new_session_paths
from stages.recordings.writer import SessionWriter

KeyEvents = Sequence[tuple[float, str, str]]  # (t, "keydown" | "keyup", key), in order


@dataclass(frozen=True)
class Imported:
    """One episode. `images`: uint8 BGR [H, W, 3], as many as `times` (float64 [T], s); `state` float [T, S] or None.

    `lost` says in sentences what of the original is not in the session.
    """

    name: str
    times: np.ndarray
    images: Iterable[np.ndarray]
    key_events: KeyEvents
    fps: float
    source: str
    state_columns: tuple[str, ...] | None = None
    state: np.ndarray | None = None
    lost: list[str] = field(default_factory=list)


def events_of(times: np.ndarray, held: np.ndarray, names: Sequence[str], keys: Mapping[str, Sequence[str]], fps: float):
    """Key events that give back the labels held [T, A]: a key goes down and up at the times of frames."""
    edges = [*times.tolist(), float(times[-1]) + 1 / fps]
    changes = np.diff(held.astype(bool).astype(np.int8), axis=0, prepend=0, append=0)
    return [
        (edges[i], "keydown" if changes[i, column] > 0 else "keyup", keys[names[column]][0])
        for i, column in np.argwhere(changes)
    ]


def matched_actions(found: Sequence[str], keys: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Column -> action of the key map, by name, in upper or lower case; ValueError when none matches."""
    ours = {action.casefold(): action for action in keys}
    matched = {i: ours[str(name).casefold()] for i, name in enumerate(found) if str(name).casefold() in ours}
    if not matched:
        raise ValueError(f"the actions {list(found)} of the recording are none of {list(keys)}; give --keys ACTION=KEY")
    return matched


@contextmanager
def all_or_none(directory: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write the sessions `names` to, which come to `directory` when the block ends, and not if it fails.

    ValueError when one of them stands there already.
    """
    for name in names:
        new_session_paths(directory, name)
    with TemporaryDirectory(prefix=".import-", dir=directory) as work:
        yield Path(work)
        for path in sorted(Path(work).iterdir()):
            path.rename(directory / path.name)


def write_session(directory: Path, imported: Imported, keys: Mapping[str, Sequence[str]], *, crf: int) -> None:
    """Write it as a session; odd sides lose their last row or column, which is added to `lost`."""
    images = iter(imported.images)
    first = next(images, None)
    if first is None:
        raise ValueError(f"{imported.source} holds no picture")
    height, width = first.shape[0] & ~1, first.shape[1] & ~1
    if (height, width) != first.shape[:2]:
        imported.lost.append(f"the last row or column of {first.shape[1]}x{first.shape[0]} px: video needs even sides")
    metadata = {
        "game": "",
        "keys": {action: list(held) for action, held in keys.items()},
        "recorder": "understudy 0.2.0 (import)",
        "player": "unknown",
        "imported_from": Path(imported.source).name,
    }
    with SessionWriter(
        directory, imported.name, width=width, height=height, fps=imported.fps, metadata=metadata, crf=crf,
        state_columns=imported.state_columns,
    ) as writer:  # fmt: skip
        _write_frames(writer, imported, chain([first], images), height, width)
        _write_events(writer, imported)


def _write_frames(writer: SessionWriter, imported: Imported, images: Iterator[np.ndarray], height: int, width: int):
    written = 0
    for i, (t, image) in enumerate(zip(imported.times.tolist(), images, strict=False)):
        state = None
        if imported.state is not None:
            state = dict(zip(imported.state_columns, imported.state[i].tolist(), strict=True))
        writer.frame(image[:height, :width], t, state=state)
        written += 1
    if written != len(imported.times):
        raise ValueError(f"{imported.source} has {written} pictures, its labels say {len(imported.times)}")


def _write_events(writer: SessionWriter, imported: Imported) -> None:
    writer.marker("fight_start", float(imported.times[0]))
    for t, event, key in sorted(imported.key_events, key=lambda row: row[0]):
        writer.key(event, key, t)
    writer.marker("fight_end", float(imported.times[-1]) + 1 / imported.fps)
