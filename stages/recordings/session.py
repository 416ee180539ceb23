"""A session as it is read, every value checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stages.recordings.files import KEY_EVENTS, OPTIONAL, REQUIRED, session_path, video_files
from stages.recordings.logs import JsonLog, OnBadLine, read_event_log, read_frame_log, read_metadata, read_state
from stages.recordings.pictures import numbered_pictures, picture_folders


@dataclass(frozen=True)
class KeyEvent:
    """A key going down or up at `t` s; `key` is canonical, `line` counts from 1 in the event log."""

    event: str
    key: str
    t: float
    line: int


@dataclass(frozen=True)
class Marker:
    """`type` is fight_start or fight_end."""

    type: str
    t: float
    line: int


@dataclass(frozen=True)
class StateTable:
    """What the game itself knows: one row a frame, float32 [T, S], NaN where absent."""

    columns: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True)
class Session:
    """The logs of one recording: `times` float64 [T] in s, `repeats` bool [T].

    `closed` is True after a clean end, False after a crash, None where no session file tells.
    `skipped_lines` counts the lines that were left out because they could not be read, `skipped_frames`
    those of the frame log among them. `keys_logged` is False for a folder of pictures: nobody knows which
    keys were held.
    """

    directory: Path
    stem: str
    times: np.ndarray
    repeats: np.ndarray
    key_events: tuple[KeyEvent, ...]
    markers: tuple[Marker, ...]
    metadata: dict
    state: StateTable | None
    closed: bool | None
    skipped_lines: int
    skipped_frames: int = 0
    keys_logged: bool = True
    other_events: Mapping[str, int] = field(default_factory=dict)  # kinds of events that are neither key nor marker

    @property
    def video(self) -> Path:
        """The video's file, or the folder of pictures."""
        return session_path(self.directory, self.stem, "video") if self.keys_logged else self.directory / self.stem

    @property
    def fps(self) -> float:
        """Frames a second as the session file says, else from the median interval."""
        if "fps" in self.metadata:
            return float(self.metadata["fps"])
        interval = float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0
        if not interval:
            raise ValueError(f"{self.video}: the frame times tell no frame rate; take session {self.stem} out")
        return round(1 / interval, 3)

    def episode_result(self, episode: int) -> tuple[float | None, str | None]:
        """Score and outcome of an episode, counted from 0; None where the session file does not tell."""
        episodes = self.metadata.get("episodes", [])
        result = episodes[episode] if episode < len(episodes) else {}
        return result.get("score"), result.get("outcome")

    def cut_to(self, frames: int) -> "Session":
        """The same session with its first frames only."""
        state = self.state and replace(self.state, values=self.state.values[:frames])
        return replace(self, times=self.times[:frames], repeats=self.repeats[:frames], state=state)


def session_stems(directory: str | Path) -> list[str]:
    """The stems of all sessions of a directory, sorted; ValueError when there is none."""
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(f"recordings: there is no directory {directory}; record a session or set the param recordings")
    stems = set(video_files(directory))
    for suffix in (REQUIRED["frames"], REQUIRED["events"]):
        stems |= {path.name.removesuffix(suffix) for path in directory.glob(f"[!.]*{suffix}")}
    folders = picture_folders(directory)
    if stems and folders:
        raise ValueError(
            f"recordings: {directory} holds sessions ({min(stems)}, ...) and folders of pictures ({folders[0]}, ...); "
            f"put them into two directories, for pictures have no keys to learn from"
        )
    if not stems and not folders:
        names = ", ".join(f"<name>{suffix}" for suffix in REQUIRED.values())
        raise ValueError(
            f"recordings: {directory} holds no session; a session is {names}, or a folder of 0.png, 1.png, ..."
        )
    return sorted(stems or folders)


def read_session(directory: str | Path, stem: str, *, on_bad_line: OnBadLine, picture_fps: float) -> Session:
    """Read and check the logs of a session; the video is only looked for, not opened.

    A folder of pictures becomes a session without keys and markers, `picture_fps` of them a second.

    `on_bad_line="skip"` leaves out event lines that cannot be read and counts them. A line of the frame log still
    stands for a frame of the video: a skipped one gets its time from its neighbours. After a crash a half-written
    last line is left out and counted either way.

    Raises ValueError for a missing or empty file, a bad line, and times that run backwards, naming file and line.
    """
    directory = Path(directory)
    if (directory / stem).is_dir():
        return _pictures(directory, stem, picture_fps)
    _require_files(directory, stem)
    metadata, closed = read_metadata(session_path(directory, stem, "session"))
    whole = closed is not False
    frame_log = JsonLog(session_path(directory, stem, "frames"), whole)
    event_log = JsonLog(session_path(directory, stem, "events"), whole)
    times, repeats = read_frame_log(frame_log, on_bad_line)
    events, others = read_event_log(event_log, on_bad_line)
    return Session(
        directory=directory,
        stem=stem,
        times=times,
        repeats=repeats,
        key_events=tuple(KeyEvent(e["event"], e["key"], e["t"], n) for n, e in events if e["event"] in KEY_EVENTS),
        markers=tuple(Marker(e["type"], e["t"], n) for n, e in events if e["event"] == "marker"),
        metadata=metadata,
        state=_state(session_path(directory, stem, "state"), whole, len(times)),
        closed=closed,
        skipped_lines=frame_log.skipped + event_log.skipped,
        skipped_frames=frame_log.skipped,
        other_events=dict(others),
    )


def _pictures(directory: Path, stem: str, fps: float) -> Session:
    count = len(numbered_pictures(directory / stem))
    return Session(
        directory=directory,
        stem=stem,
        times=np.arange(count) / fps,
        repeats=np.zeros(count, bool),
        key_events=(),
        markers=(),
        metadata={"fps": fps},
        state=None,
        closed=True,
        skipped_lines=0,
        keys_logged=False,
    )


def _state(path: Path, whole: bool, frames: int) -> StateTable | None:
    if not path.is_file():
        return None
    columns, values = read_state(path, whole)
    if whole and len(values) != frames:
        raise ValueError(
            f"{path} holds {len(values)} rows, the frame log {frames} frames; it needs a row a frame: "
            f"repair it or take it away"
        )
    return StateTable(columns, values)


def _require_files(directory: Path, stem: str) -> None:
    for part in REQUIRED:
        path = session_path(directory, stem, part)
        if not path.is_file():
            names = ", ".join(f"{stem}{suffix}" for suffix in REQUIRED.values())
            raise ValueError(f"{path} is missing; this session needs {names}")
        if not path.stat().st_size:
            raise ValueError(f"{path} is empty; restore it or take the session {stem} out of {directory}")
    extra = directory / f"{stem}{OPTIONAL['state']}"
    if extra.is_file() and not extra.stat().st_size:
        raise ValueError(f"{extra} is empty; restore it or delete it")
