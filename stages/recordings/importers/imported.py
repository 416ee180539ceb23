"""A recording of another kind on its way to a session: what was read, and what could not be carried over."""

import errno
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.files import new_session_paths
from stages.recordings.writer import SessionWriter

SMALLEST_PX = 16
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


@dataclass(frozen=True)
class Episode:
    """One recording in a source, not read yet: `name` is its session's, `read` raises ValueError when it is bad."""

    name: str
    read: Callable[[], Imported]


def session_name(*parts: str) -> str:
    """The name of a session from names of files and folders; it has no dots."""
    return "_".join(part.replace(".", "_") for part in parts)


def folded(name: str) -> str:
    """A name as it is compared: in small letters, and ö is one letter, also where a system wrote o and two dots."""
    return unicodedata.normalize("NFC", name).casefold()


def cut(found: object, length: int = 160) -> str:
    """What was found, as one line of a message, without its middle where it is long."""
    text = " ".join(str(found).split())
    return text if len(text) <= length else f"{text[: length * 2 // 3]} ... {text[-length // 4 :]}"


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Whatever a library says of a damaged or foreign file becomes one sentence that begins with the file's name.

    Codecs and containers raise errors of every kind; a full disk is none of theirs.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        said = error.strerror if isinstance(error, OSError) and error.strerror else cut(error)
        why = ": ".join(part for part in (type(error).__name__ if type(error) is not ValueError else "", said) if part)
        raise ValueError(f"{where} cannot be read: {why}; restore it, convert it or leave it out") from None


def events_of(times: np.ndarray, held: np.ndarray, names: Sequence[str], keys: Mapping[str, Sequence[str]], fps: float):
    """Key events that give back the labels held [T, A]: a key goes down and up at the times of frames."""
    edges = [*times.tolist(), float(times[-1]) + 1 / fps]
    changes = np.diff(held.astype(bool).astype(np.int8), axis=0, prepend=0, append=0)
    return [
        (edges[i], "keydown" if changes[i, column] > 0 else "keyup", keys[names[column]][0])
        for i, column in np.argwhere(changes)
    ]


def matched_actions(found: Sequence[str], vocabulary: ActionVocabulary, where: str) -> dict[int, str]:
    """Column -> action of the key map, by name, in upper or lower case.

    ValueError when two columns are one action, and when a learned action has no column.
    """
    ours = {folded(action): action for action in vocabulary.keys}
    names = [str(name).strip() for name in found]
    matched = {i: ours[folded(name)] for i, name in enumerate(names) if folded(name) in ours}
    for action in vocabulary.keys:
        twins = [names[i] for i, other in matched.items() if other == action]
        if len(twins) > 1:
            raise ValueError(f"{where}: the columns {cut(twins)} are all {action}; keep one of them")
    missing = [action for action in vocabulary.names if action not in matched.values()]
    if missing:
        raise ValueError(
            f"{where} has no column for {cut(missing)}; found {cut(names)}. Rename its columns, or name the "
            f"actions that it has, each with its key: --keys ACTION=KEY"
        )
    return matched


def require_zero_or_one(values: np.ndarray, names: Sequence[str], where: str) -> None:
    """ValueError that names row and column of the first label that is neither 0 nor 1; `values` [T, A]."""
    row, column = next(iter(np.argwhere((values != 0) & (values != 1))), (None, None))
    if row is not None:
        raise ValueError(
            f"{where}, frame {row}: {names[column]} is {values[row, column]:g}, expected 0 or 1; write down which "
            f"frames held the key, not how likely, how strongly or as which class"
        )


@contextmanager
def all_or_none(directory: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write the sessions `names` to, which come to `directory` when the block ends, and not if it fails.

    ValueError when one of them stands there already, or two have one name.
    """
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"two recordings would both be called {name}; rename one")
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
    if min(height, width) < SMALLEST_PX:
        raise ValueError(
            f"{imported.source}: its pictures are {first.shape[1]}x{first.shape[0]} px, too small to be those of a game"
        )
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
        if image.shape[0] & ~1 != height or image.shape[1] & ~1 != width:
            raise ValueError(
                f"{imported.source}: picture {i} is {image.shape[1]}x{image.shape[0]} px, those before it "
                f"{width}x{height}; a session has one size: split it there"
            )
        writer.frame(image[:height, :width], t, state=state)
        written += 1
    if written != len(imported.times):
        raise ValueError(f"{imported.source} has {written} pictures, its labels say {len(imported.times)}")


def _write_events(writer: SessionWriter, imported: Imported) -> None:
    start, end = float(imported.times[0]), float(imported.times[-1]) + 1 / imported.fps
    markers = [(start, "fight_start", None), (end, "fight_end", None)]
    for t, event, key in sorted([*markers[:1], *imported.key_events, *markers[1:]], key=lambda row: row[0]):
        if key is None:
            writer.marker(event, t)
        else:
            writer.key(event, key, t)
