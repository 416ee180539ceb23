"""Writes the files of a session; collect and a live recorder share it."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np

from stages.recordings.files import KEY_EVENTS, MARKERS, new_session_paths
from stages.recordings.keys import key_name
from stages.recordings.video import VideoWriter


class SessionWriter(AbstractContextManager):
    """Writes a session frame by frame; equal input gives equal bytes. Use it as a context manager.

    Until `close` the session file says `"closed": false`, so that a crashed recording is recognised when it is read.
    """

    def __init__(
        self,
        directory: str | Path,
        stem: str,
        *,
        width: int,
        height: int,
        fps: float,
        metadata: Mapping[str, object],
        crf: int,
        state_columns: Sequence[str] | None,
    ):
        """`metadata`: game, keys, recorder, player, ...; `state_columns`: the names of the state's numbers, or None.

        Raises ValueError when the session exists already.
        """
        own = {"fps", "closed", "episodes"} & metadata.keys()
        if own:
            raise ValueError(f"metadata holds {sorted(own)}, which the writer itself fills in")
        self._paths = new_session_paths(directory, stem)
        self._metadata = {**metadata, "fps": round(fps, 6)}
        self._columns = None if state_columns is None else tuple(state_columns)
        self._results: list[dict | None] = []
        self._last_t = {"frames": -math.inf, "events": -math.inf}
        self._video = VideoWriter(self._paths["video"], width=width, height=height, fps=fps, crf=crf)
        self._frames = self._open("frames")
        self._events = self._open("events")
        self._state = None if self._columns is None else self._open("state")
        if self._state:
            self._state.write(",".join(self._columns) + "\n")
        self._write_metadata(closed=False)

    def frame(
        self, image_bgr: np.ndarray, t: float, *, repeat: bool = False, state: Mapping[str, float] | None = None
    ) -> None:
        """Append a frame: uint8 [H, W, 3], captured at `t` s; `state` columns that are left out are NaN."""
        t = self._checked_time("frames", t)
        row = self._state_row(state)
        self._video.write(image_bgr)
        self._frames.write(json.dumps({"t": t, "repeat": True} if repeat else {"t": t}) + "\n")
        if row is not None:
            self._state.write(row + "\n")

    def key(self, event: str, key: str, t: float) -> None:
        """Append a key event, "keydown" or "keyup", at `t` s."""
        if event not in KEY_EVENTS:
            raise ValueError(f"{event!r} is no key event; expected one of {list(KEY_EVENTS)}")
        self._event({"event": event, "key": key_name(key)}, t)

    def marker(self, type: str, t: float) -> None:
        """Append a marker, "fight_start" or "fight_end", at `t` s."""
        if type not in MARKERS:
            raise ValueError(f"{type!r} is no marker; expected one of {list(MARKERS)}")
        self._event({"event": "marker", "type": type}, t)
        if type == "fight_start":
            self._results.append(None)

    def episode_result(self, score: float | None, outcome: str | None) -> None:
        """Say how the episode that started last went; None where that is not known."""
        if not self._results or self._results[-1] is not None:
            raise ValueError("an episode's result follows its fight_start marker, once an episode")
        self._results[-1] = {"score": score, "outcome": outcome}

    def close(self, *, complete: bool = True) -> None:
        """Finish all files; `complete=False` leaves the session marked as not closed cleanly."""
        if self._frames.closed:
            return
        with ExitStack() as closing:  # closes every file, even if one of them meets a full disk
            closing.callback(self._video.close)
            for file in (self._frames, self._events, self._state):
                if file:
                    closing.callback(file.close)
        self._write_metadata(closed=complete)

    def __exit__(self, error_type, error, traceback) -> None:
        self.close(complete=error_type is None)

    def _open(self, part: str):
        return self._paths[part].open("x", encoding="utf-8", newline="\n")

    def _checked_time(self, part: str, t: float) -> float:
        if not math.isfinite(t):
            raise ValueError(f"{self._paths[part]}: time {t} is not a number of seconds")
        t = round(float(t), 6)
        if t < self._last_t[part]:
            raise ValueError(f"{self._paths[part]}: time {t} after {self._last_t[part]}; times must not run backwards")
        self._last_t[part] = t
        return t

    def _event(self, event: dict, t: float) -> None:
        self._events.write(json.dumps({**event, "t": self._checked_time("events", t)}) + "\n")

    def _state_row(self, state: Mapping[str, float] | None) -> str | None:
        if self._columns is None:
            if state:
                raise ValueError(f"{self._paths['state']}: a state, but the session was opened without state_columns")
            return None
        unknown = (state or {}).keys() - set(self._columns)
        if unknown:
            raise ValueError(f"{self._paths['state']}: no such state columns: {sorted(unknown)}")
        values = (float((state or {}).get(column, math.nan)) for column in self._columns)
        return ",".join("NaN" if math.isnan(value) else f"{value:.9g}" for value in values)

    def _write_metadata(self, *, closed: bool) -> None:
        episodes = [result or {"score": None, "outcome": None} for result in self._results]
        text = json.dumps({**self._metadata, "closed": closed, "episodes": episodes}, indent=1, ensure_ascii=False)
        self._paths["session"].write_text(text + "\n", encoding="utf-8", newline="\n")
