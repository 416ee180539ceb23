"""Measures the recorder on this machine: how far apart a key in the log and its effect in the picture are.

A window (calibration_window.py, a process of its own) shows as black and white cells how often its key went down, and
presses that key itself, through the system. The real recorder records it. The window's log says when each key was
pressed and each number drawn; the session says when the key was heard and which number each frame shows. What is
measured is the recorder: display server, capture and key hook, not a game's own reaction.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.live.desktop import Desktop, open_desktop
from stages.live.recorder import Plan, Switches
from stages.live.recording import Order, record
from stages.recordings.session import read_frames, read_session

KEY = "Key.f8"
TITLE = "understudy calibration"
BITS, CELL_PX = 16, 24
WIDTH, HEIGHT = BITS * CELL_PX, 4 * CELL_PX
OPEN_S = 20.0
LAST_S = 0.3  # for so long after the last press the window is certainly still open


@dataclass(frozen=True)
class Calibration:
    """All in ms, an array each: `key_error` of the log against the moment of pressing, `picture_error` of a frame's
    time against the moments between which the picture that it shows was on the screen (0: inside), `effect` from the
    press to the window's drawing; `offset` is the certificate: how late (+) or early (-) frames are stamped against
    keys, with its possible range. `lost` and `invented` count key events."""

    fps: float
    presses: int
    lost: int
    invented: int
    key_error: np.ndarray
    picture_error: np.ndarray
    effect: np.ndarray
    offset_low: float
    offset_high: float
    repeats: int
    dropped: int


def calibrate(fps: float, presses: int) -> Calibration:
    """Opens the window, presses and records; takes about presses / 4 + 5 seconds. ValueError without a display."""
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
    pressed = np.array([row["t"] for row in rows if row["what"] == "pressed"])
    return _compared(fps, pressed, [row for row in rows if row["what"] == "drawn"], session, shown, status)


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


def _compared(fps: float, pressed, drawn: list[dict], session, shown: np.ndarray, status) -> Calibration:
    downs = np.array([event.t for event in session.key_events if event.event == "keydown"])
    ups = sum(event.event == "keyup" for event in session.key_events)
    matched = [(t, downs[np.argmin(np.abs(downs - t))]) for t in pressed if len(downs)]
    key_error = np.array([(logged - t) * 1000 for t, logged in matched if abs(logged - t) < 0.05])
    drawn_at = {row["number"]: row["t"] for row in drawn}
    pictures, slack = _picture_errors(session.times, session.repeats, shown, drawn_at)
    effect = [(row["t"] - pressed[row["number"] - 1]) * 1000 for row in drawn if 0 < row["number"] <= len(pressed)]
    low, high = slack
    return Calibration(
        fps=fps,
        presses=len(pressed),
        lost=len(pressed) - len(key_error),
        invented=max(len(downs) - len(pressed), 0) + abs(ups - len(downs)),
        key_error=key_error,
        picture_error=pictures,
        effect=np.array(effect),
        offset_low=low,
        offset_high=high,
        repeats=status.repeats,
        dropped=status.dropped,
    )


def _picture_errors(times, repeats, shown, drawn_at: dict[int, float]):
    """Per frame the ms by which its time lies outside of the time its picture was on the screen, and the range of
    offsets (ms) that every frame allows, leaving out one frame in a hundred at each end. The first number says
    nothing: an empty window looks like it, from a moment that nobody wrote down."""
    errors, late, early = [], [], []
    first, end = min(drawn_at), max(drawn_at.values()) + LAST_S
    for t, repeat, number in zip(times.tolist(), repeats.tolist(), shown.tolist(), strict=True):
        if repeat or number == first or number not in drawn_at or t > end:
            continue
        since, until = drawn_at[number], drawn_at.get(number + 1, np.inf)
        errors.append(max(since - t, t - until, 0.0) * 1000)
        late.append((t - until) * 1000)
        early.append((t - since) * 1000)
    return np.array(errors), (float(np.percentile(late, 99)), float(np.percentile(early, 1)))


def calibration_lines(found: Calibration) -> list[str]:
    """The certificate in words."""
    lines = [
        f"{found.presses} presses at {found.fps:g} pictures a second: {found.lost} lost, {found.invented} invented; "
        f"{found.repeats} repeats, {found.dropped} dropped"
    ]
    for name, values in (
        ("keys in the log against the moment of pressing", np.abs(found.key_error)),
        ("frame times against what the picture shows", found.picture_error),
        ("from the press to the window's own drawing", np.abs(found.effect)),
    ):
        lines.append(f"{name}: median {np.median(values):.1f} ms, p99 {np.percentile(values, 99):.1f} ms")
    lines.append(
        f"frames are stamped between {found.offset_low:+.1f} and {found.offset_high:+.1f} ms off; "
        f"0 inside that range means that no offset could be seen"
    )
    return lines
