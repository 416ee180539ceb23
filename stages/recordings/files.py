"""The files of a session: what they are called and what stands in them.

    <s>.mp4             the video, or another container that FFmpeg reads (VIDEOS, in small or capital letters)
    <s>_frames.jsonl    {"t": 1700000000.5} a video frame, in order; "repeat": true where it repeats the one before
    <s>_events.jsonl    {"event": "keydown" | "keyup", "key": "Key.space", "t": ...}
                        {"event": "marker", "type": "fight_start" | "fight_end", "t": ...}
    <s>_session.json    game, fps, keys, recorder, player, closed, score and outcome of every episode; spans, where not
                        one and the same player held the keys: [{"player": "agent", "start": ..., "end": ...}]
    <s>_state.csv       a row a frame: named numbers of what the game itself knows, NaN where absent

The first three are required, other recorders of this kind write them too. Times are UTC seconds, kept to the
microsecond.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY_EVENTS = ("keydown", "keyup")
MARKERS = ("fight_start", "fight_end")
REQUIRED = {"video": ".mp4", "frames": "_frames.jsonl", "events": "_events.jsonl"}
VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".ts", ".flv")
OPTIONAL = {"session": "_session.json", "state": "_state.csv"}


def session_path(directory: str | Path, stem: str, part: str) -> Path:
    """The path of one file of a session; `part` is video, frames, events, session or state.

    ValueError when two files could be its video.
    """
    if part == "video" and (found := video_files(directory).get(stem)):
        if len(found) > 1:
            raise ValueError(f"{found[0]} and {found[1].name} are both the video of {stem}; take one of them away")
        return found[0]
    return Path(directory) / f"{stem}{(REQUIRED | OPTIONAL)[part]}"


def video_files(directory: str | Path) -> dict[str, list[Path]]:
    """{stem: its videos} of a folder; hidden files (macOS writes ._name beside each) are none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(directory).glob("[!.]*")):
        if path.suffix.lower() in VIDEOS:
            found.setdefault(path.name[: -len(path.suffix)], []).append(path)
    return found


def new_session_paths(directory: str | Path, stem: str) -> dict[str, Path]:
    """The path of every part of a session that is to be written, in a folder that is there now.

    ValueError when one of its files exists.
    """
    paths = {part: session_path(directory, stem, part) for part in REQUIRED | OPTIONAL}
    existing = [path for path in paths.values() if path.exists()]
    if existing:
        raise ValueError(f"{existing[0]} exists already; a recording is never overwritten: use another name")
    Path(directory).mkdir(parents=True, exist_ok=True)
    return paths


@contextmanager
def files_named() -> Iterator[None]:
    """A file that cannot be opened or written is bad input that names it; a full disk is not."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        why = error.strerror or type(error).__name__
        raise ValueError(f"{error.filename or 'a file'} cannot be opened: {why}") from None
