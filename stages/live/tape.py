"""Writes a session that survives a crash: what was written more than a second ago can be read again.

The video is a fragmented mp4 (ISO/IEC 14496-12, 8.8) with a keyframe a second and a fragment every half second;
the logs are appended line by line and flushed. Until `close` the session file says `"closed": false`, and a
session that says so is cut to the frames that its video and its frame log both hold (recordings/doctor.py).
"""

import json
import math
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from stages.live.state import StateSource
from stages.recordings.files import KEY_EVENTS, MARKERS, new_session_paths
from stages.recordings.keys import key_name
from stages.recordings.video import VideoWriter

FRAGMENT_US = 500_000
MP4 = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(FRAGMENT_US),
    "flush_packets": "1",
}
X264 = {"tune": "zerolatency", "x264-params": "mbtree=0:bframes=0:scenecut=0"}


class FragmentedVideo(VideoWriter):
    """A session's video, of which a killed process leaves all but the last half second."""

    def __init__(self, path: Path, *, width: int, height: int, fps: float, crf: int):
        encoder = {"g": str(max(round(fps), 1)), **X264}
        super().__init__(path, width=width, height=height, fps=fps, crf=crf, encoder=encoder, container=MP4)
        self._container.start_encoding()  # the head of the file is there before the first frame


class Tape:
    """The files of one session while it is recorded. Frames come from one thread, events from any.

    Nobody who tells of an event waits for the disk: it gets its place in the order of the log and is written and
    flushed by a thread that does nothing else.

    A session of which no frame was written is taken away again by `close`: nothing could read it. Where neither a key
    nor an episode was logged, `close` marks one episode from the first frame to the last, for the same reason.

    The first write that fails (a full disk) ends the tape: `failure` holds the error, and nothing is written after
    it, so that no line follows a half-written one.
    """

    def __init__(
        self,
        directory: str | Path,
        stem: str,
        *,
        width: int,
        height: int,
        fps: float,
        crf: int,
        metadata: Mapping[str, object],
        state: StateSource | None = None,
    ):
        """`width`, `height` in px and even; `state` tells a row of numbers for each frame. ValueError when the session
        exists, cannot be written there, or the name is no file name."""
        if not stem or stem != Path(stem).name or stem.startswith("."):
            raise ValueError(f"{stem!r} cannot be the name of a session: use letters, digits, - and _")
        try:
            self._paths = new_session_paths(directory, stem)
        except OSError as error:
            raise ValueError(f"no session can be written to {directory}: {error.strerror}") from None
        self.directory, self.stem = Path(directory), stem
        self.failure: OSError | None = None
        self._metadata, self._source = {**metadata, "fps": round(fps, 6)}, state
        self.frames = 0  # written
        self._first_t = math.nan
        self._last_t = {"frames": -math.inf, "events": -math.inf}
        self._events_lock = threading.Lock()
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._episodes: list[dict] = []
        try:
            self._open(width=width, height=height, fps=fps, crf=crf)
        except Exception as error:
            self._remove()
            if isinstance(error, OSError):
                raise ValueError(f"no session can be written to {directory}: {error.strerror}") from None
            raise

    def _open(self, **video) -> None:
        self._write_metadata(closed=False)
        self._video = FragmentedVideo(self._paths["video"], **video)
        self._frames = self._paths["frames"].open("x", encoding="utf-8", newline="\n", buffering=1)
        self._events = self._paths["events"].open("x", encoding="utf-8", newline="\n", buffering=1)
        self._state = None
        if self._source is not None:
            self._state = self._paths["state"].open("x", encoding="utf-8", newline="\n", buffering=1)
            self._state.write(",".join(self._source.columns) + "\n")
        self._writer = threading.Thread(target=self._write_events, name="event log", daemon=True)
        self._writer.start()

    def frame(self, image_bgr: np.ndarray | None, t: float) -> None:
        """Append an image uint8 [H, W, 3] captured at `t` s, or None: the slot at `t` repeats the image before."""
        if self.failure:
            return
        t = self._in_order("frames", t)
        row = {"t": t} if image_bgr is not None else {"t": t, "repeat": True}
        with self._failing_once():
            if image_bgr is None:
                self._video.repeat()
            else:
                self._video.write(image_bgr)
            self._frames.write(json.dumps(row) + "\n")
            if self._state is not None:
                numbers = self._source.at(t).values()
                self._state.write(",".join("NaN" if math.isnan(x) else f"{x:.9g}" for x in numbers) + "\n")
            self._first_t = self._first_t if self.frames else t
            self.frames += 1

    def key(self, event: str, key: str, t: float) -> None:
        """Append "keydown" or "keyup" of a key at `t` s."""
        assert event in KEY_EVENTS
        self._event({"event": event, "key": key_name(key)}, t)

    def marker(self, type: str, t: float) -> None:
        """Append "fight_start" or "fight_end" at `t` s."""
        assert type in MARKERS
        self._event({"event": "marker", "type": type}, t)
        if type == "fight_start":
            self._episodes.append({"score": None, "outcome": None})

    def close(self, notes: Mapping[str, object]) -> None:
        """Finish all files; `notes` (counts of the recorder) go into the session file."""
        if self.frames and self._last_t["events"] == -math.inf:
            self.marker("fight_start", self._first_t)
            self.marker("fight_end", self._last_t["frames"])
        self._waiting.put(None)
        self._writer.join()
        for part in filter(None, (self._video, self._frames, self._events, self._state)):
            with self._failing_once():
                part.close()
        if not self.frames:
            self._remove()
            return
        self._metadata |= notes
        with self._failing_once():
            self._write_metadata(closed=self.failure is None)

    def _remove(self) -> None:
        for path in self._paths.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _event(self, event: dict, t: float) -> None:
        with self._events_lock:
            self._waiting.put(json.dumps({**event, "t": self._in_order("events", t)}) + "\n")

    def _write_events(self) -> None:
        """Until None comes; after a failure the rest is taken and left out."""
        while (line := self._waiting.get()) is not None:
            with self._failing_once():
                if not self.failure:
                    self._events.write(line)

    def _in_order(self, part: str, t: float) -> float:
        """Two threads may ask the clock in one order and write in the other; the log keeps the order of the lines."""
        self._last_t[part] = max(round(t, 6), self._last_t[part])
        return self._last_t[part]

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        """Keeps the first OSError as the tape's failure instead of raising it in whichever thread met it."""
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error

    def _write_metadata(self, *, closed: bool) -> None:
        """In one step: a disk that is full must not leave half a file in the place of a whole one."""
        text = json.dumps(
            {**self._metadata, "closed": closed, "episodes": self._episodes}, indent=1, ensure_ascii=False
        )
        path = self._paths["session"]
        partial = path.with_name(path.name + ".partial")
        try:
            partial.write_text(text + "\n", encoding="utf-8", newline="\n")
            os.replace(partial, path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
