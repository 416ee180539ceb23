"""Measures the recorder on this machine: how far apart a key in the log and its effect in the picture are.

A window (calibration_window.py, a process of its own) shows as black and white cells how often its key went down or up,
and presses that key itself, through the system. The real recorder records it. The window's log says when the key was
pressed or released and each number drawn; the session says when the key was heard and which number each frame shows.
Presses draw the odd numbers, releases the even ones, and each are measured for themselves. What is measured is the
recorder: display server, capture and key hook, not a game's own reaction.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.live.desktop import Desktop, open_desktop
from stages.live.recorder import Plan, Status, Switches
from stages.live.recording import Order, record
from stages.recordings.session import Session, read_session
from stages.recordings.video import read_frames

KEY = "Key.f8"
TITLE = "understudy calibration"
BITS, CELL_PX = 16, 24
WIDTH, HEIGHT = BITS * CELL_PX, 4 * CELL_PX
OPEN_S = 20.0
LAST_S = 0.3  # for so long after the last press the window is certainly still open
SAME_S = 0.05  # a key event this near to what was pressed is that one


@dataclass(frozen=True)
class Errors:
    """At presses or at releases, all in ms: `key` of the log against the moment itself, `picture` of a frame's time
    against the moments between which the picture that it shows was on the screen (0: inside), `effect` from the moment
    to the window's drawing."""

    key: np.ndarray
    picture: np.ndarray
    effect: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """`offset` is the certificate: how late (+) or early (-), ms, frames are stamped against keys, with its possible
    range. `lost` and `invented` count key events."""

    fps: float
    presses: int
    lost: int
    invented: int
    at_presses: Errors
    at_releases: Errors
    offset_low: float
    offset_high: float
    repeats: int
    dropped: int


def calibrate(fps: float, presses: int) -> Calibration:
    """Opens the window, presses and records; takes about presses / 3 + 5 seconds. ValueError without a display."""
    if presses < 5:
        raise ValueError(f"{presses} presses say nothing; at least 5")
    with (
        tempfile.TemporaryDirectory(prefix="understudy-calibration-") as folder,
        closing(open_desktop()) as desktop,
    ):
        log = Path(folder) / "drawn.jsonl"
        command = [sys.executable, "-m", "stages.live.calibration_window", str(log), str(presses)]
        window = subprocess.Popen(command)
        try:
            status = _recorded(Path(folder), desktop, window, fps)
        finally:
            window.terminate()
            window.wait(timeout=10)
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        session = read_session(folder, "calibration", on_bad_line="error", picture_fps=fps)
        shown = np.array([number_in(image) for image in read_frames(session.video)])
    return compared(fps, rows, session, shown, status)


def _recorded(folder: Path, desktop: Desktop, window: subprocess.Popen, fps: float):
    """Records until the window, which presses its key itself, has closed; the recorder's status."""
    region = desktop.region_of(_opened(desktop, window))
    plan = Plan(fps, region, None, (KEY,), "auto", None, 50.0)
    order = Order(plan, folder, "calibration", "calibration", {"PRESS": (KEY,)}, (KEY,), {}, crf=10)
    switches = Switches()

    def stop_with_the_window() -> None:
        window.wait()
        switches.stop.set()

    threading.Thread(target=stop_with_the_window, name="calibration", daemon=True).start()
    return record(order, switches)


def _opened(desktop: Desktop, window: subprocess.Popen) -> int:
    end = time.monotonic() + OPEN_S
    while time.monotonic() < end and window.poll() is None:
        try:
            found = desktop.window_titled(TITLE)
            if desktop.region_of(found) is not None:
                return found
        except ValueError:
            time.sleep(0.1)
    raise ValueError("the calibration window did not open; is tkinter installed (python3-tk)?")


def number_in(image_bgr: np.ndarray) -> int:
    """The number that the window shows: the upper half of its cells, the highest bit to the left."""
    row = image_bgr[CELL_PX // 2 : CELL_PX, :, 1]
    cells = row[:, : BITS * CELL_PX].reshape(row.shape[0], BITS, CELL_PX)[:, :, CELL_PX // 4 : -CELL_PX // 4]
    bits = cells.mean(axis=(0, 2)) > 127
    return int((bits * 2 ** np.arange(BITS - 1, -1, -1)).sum())


def compared(fps: float, rows: Sequence[Mapping], session: Session, shown: np.ndarray, status: Status) -> Calibration:
    """What the window wrote down, `rows`, against its recording: `shown` [T] are the numbers that the frames show."""
    drawn_at = {row["number"]: row["t"] for row in rows if row["what"] == "drawn"}
    odd = (shown % 2).astype(bool)
    late, early, told = _off(session.times, session.repeats, shown, drawn_at)
    off = np.maximum(np.maximum(late, -early), 0)
    lost, invented, found = 0, 0, []
    for what, event, mine in (("pressed", "keydown", odd), ("released", "keyup", ~odd)):
        moments = np.array([row["t"] for row in rows if row["what"] == what])
        logged = np.array([each.t for each in session.key_events if each.event == event])
        errors = _key_errors(moments, logged)
        lost += len(moments) - len(errors)
        invented += max(len(logged) - len(moments), 0)
        number = 2 * np.arange(1, len(moments) + 1) - (event == "keydown")
        effect = [(drawn_at[n] - t) * 1000 for n, t in zip(number.tolist(), moments, strict=True) if n in drawn_at]
        found.append(Errors(errors, off[told & mine], np.array(effect)))
    at_presses, at_releases = found
    return Calibration(
        fps=fps,
        presses=sum(row["what"] == "pressed" for row in rows),
        lost=lost,
        invented=invented,
        at_presses=at_presses,
        at_releases=at_releases,
        offset_low=_percentile(late[told], 99),
        offset_high=_percentile(early[told], 1),
        repeats=status.repeats,
        dropped=status.dropped,
    )


def _key_errors(moments: np.ndarray, logged: np.ndarray) -> np.ndarray:
    """By how many ms the log is late for each of `moments` that stands in it."""
    if not len(logged):
        return np.zeros(0)
    nearest = logged[np.abs(logged - moments[:, None]).argmin(axis=1)]
    return ((nearest - moments) * 1000)[np.abs(nearest - moments) < SAME_S]


def _off(times, repeats, shown, drawn_at: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per frame [T] by how many ms its time lies after the end and after the begin of its picture on the screen, and
    whether it says something. Pictures that nobody wrote down do not, nor does the first number: an empty window looks
    like it, from a moment that nobody wrote down."""
    since, until = (np.array([drawn_at.get(n + k, np.nan) for n in shown.tolist()]) for k in (0, 1))
    told = ~repeats & (shown != min(drawn_at)) & np.isfinite(since) & (times <= max(drawn_at.values()) + LAST_S)
    return (times - np.where(np.isfinite(until), until, np.inf)) * 1000, (times - since) * 1000, told


def _percentile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else np.nan


def calibration_lines(found: Calibration) -> list[str]:
    """The certificate in words."""
    lines = [
        f"{found.presses} presses and releases at {found.fps:g} pictures a second: {found.lost} lost, "
        f"{found.invented} invented; {found.repeats} repeats, {found.dropped} dropped"
    ]
    for name, part in (
        ("keys in the log against the moment itself", "key"),
        ("frame times against what the picture shows", "picture"),
        ("from the key to the window's own drawing", "effect"),
    ):
        at_presses, at_releases = (_spread(getattr(side, part)) for side in (found.at_presses, found.at_releases))
        lines.append(f"{name}: {at_presses} at presses; {at_releases} at releases")
    lines.append(
        f"frames are stamped between {found.offset_low:+.1f} and {found.offset_high:+.1f} ms off; "
        f"0 inside that range means that no offset could be seen"
    )
    return lines


def _spread(values: np.ndarray) -> str:
    return f"median {_percentile(np.abs(values), 50):.1f} ms, p99 {_percentile(np.abs(values), 99):.1f} ms"
