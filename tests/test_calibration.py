"""The recorder's calibration, by hand: a window's log and a recording of it whose errors are known."""

from pathlib import Path

import numpy as np
import pytest

from stages.live.calibration import calibration_lines, compared
from stages.live.recorder import Status
from stages.recordings.session import KeyEvent, Session

PRESSED, RELEASED = (1.0, 2.0, 3.0), (1.4, 2.4, 3.4)


def rows():
    """Three presses, each drawn 10 ms later, and three releases, each drawn 20 ms later."""
    said = [{"what": "drawn", "number": 0, "t": 0.5}]
    for i, (down, up) in enumerate(zip(PRESSED, RELEASED, strict=True)):
        said += [{"what": "pressed", "t": down}, {"what": "drawn", "number": 2 * i + 1, "t": down + 0.01}]
        said += [{"what": "released", "t": up}, {"what": "drawn", "number": 2 * i + 2, "t": up + 0.02}]
    return said


def recording(*, ups_late_s=0.003, lost_ups=0):
    """Keys heard 1 ms after the press and 3 ms after the release; a frame every 0.1 s, whose time is right."""
    times = np.arange(0.6, 3.6, 0.1) + 0.005
    events = [KeyEvent("keydown", "Key.f8", t + 0.001, 0) for t in PRESSED]
    events += [KeyEvent("keyup", "Key.f8", t + ups_late_s, 0) for t in RELEASED[: 3 - lost_ups]]
    events.sort(key=lambda event: event.t)
    drawn = np.array([row["t"] for row in rows() if row["what"] == "drawn"])
    shown = np.searchsorted(drawn, times, side="right") - 1
    nothing = {"markers": (), "metadata": {}, "state": None, "closed": True, "skipped_lines": 0}
    repeats = np.zeros(len(times), bool)
    session = Session(Path("."), "calibration", times, repeats, tuple(events), **nothing)
    return session, shown


def found(session, shown):
    return compared(10, rows(), session, shown, Status())


def test_presses_and_releases_are_measured_each_for_themselves():
    each = found(*recording())
    assert (each.presses, each.lost, each.invented) == (3, 0, 0)
    assert each.at_presses.key == pytest.approx([1, 1, 1]) and each.at_releases.key == pytest.approx([3, 3, 3])
    assert each.at_presses.effect == pytest.approx([10] * 3) and each.at_releases.effect == pytest.approx([20] * 3)
    assert not each.at_presses.picture.any() and not each.at_releases.picture.any()
    first, *_ = calibration_lines(each)[1:]
    assert first.endswith("median 1.0 ms, p99 1.0 ms at presses; median 3.0 ms, p99 3.0 ms at releases")


def test_a_frame_that_shows_a_release_too_late_is_an_error_at_releases_only():
    session, shown = recording()
    late = int(np.searchsorted(session.times, RELEASED[0] + 0.02))
    shown[late] -= 1  # shows the key still down, from 85 ms or less after the release was drawn
    each = found(session, shown)
    wrong_ms = (session.times[late] - RELEASED[0] - 0.02) * 1000
    assert each.at_presses.picture.max() == pytest.approx(wrong_ms) and not each.at_releases.picture.any()
    shown[late], shown[late - 1] = shown[late] + 1, shown[late] + 1
    each = found(session, shown)
    assert each.at_releases.picture.max() == pytest.approx((RELEASED[0] + 0.02 - session.times[late - 1]) * 1000)
    assert not each.at_presses.picture.any()


def test_what_is_lost_at_releases_counts():
    assert found(*recording(lost_ups=1)).lost == 1
    far = found(*recording(ups_late_s=0.2))
    assert far.lost == 3 and not len(far.at_releases.key)
    assert "nan" in calibration_lines(far)[1]
