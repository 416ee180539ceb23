"""The recorder's window, by tkinter, on a real screen: what is typed into it is never logged."""

import json
import threading
import time
from dataclasses import replace
from functools import partial

import pytest

from stages.commands.record import _named
from stages.live.keyboard import Fingers
from stages.live.recorder import Plan
from stages.live.recording import Order, record
from stages.live.screen import Region
from stages.live.window import ControlWindow
from stages.recordings.session import read_session


def order(folder) -> Order:
    plan = Plan(10, Region(0, 300, 64, 64), None, ("x", "s"), "auto", None, 0.0)
    keys = {"SHOOT": ("x",), "DUCK": ("s",)}
    return Order(plan, folder, "unnamed", "", keys, ("x", "s"), {"Key.f12": "stop"}, crf=20)


def named(asked: Order, name: str, switches, show):
    return record(replace(asked, stem=name), switches, show)


def hand(window: ControlWindow, seen: dict) -> None:
    """Types a name, presses Record, plays a little, and stops by hot key."""
    fingers = Fingers()

    def tap(key: str) -> None:
        fingers.press(key)
        time.sleep(0.03)
        fingers.release(key)
        time.sleep(0.03)

    time.sleep(1.0)
    for key in "sxs":
        tap(key)
    time.sleep(0.3)
    window._root.after(0, window._start.invoke)
    while window._recorder is None or window._recorder.status.frames < 5:
        time.sleep(0.05)
    tap("x")
    time.sleep(0.7)
    seen["text"] = window._text.get()
    tap("Key.f12")


def test_the_window_records_under_the_name_that_was_typed(desktop, tmp_path):
    window, seen = ControlWindow("", "F12 stop", partial(named, order(tmp_path))), {}
    window._root.after(300, window._entry.focus_force)
    person = threading.Thread(target=hand, args=(window, seen))
    person.start()
    status = window.run()
    person.join()
    session = read_session(tmp_path, "sxs", on_bad_line="error", picture_fps=10)
    assert status.why_stopped == "stopped by you" and session.closed is True
    assert [(event.event, event.key) for event in session.key_events] == [("keydown", "x"), ("keyup", "x")]
    assert "recording" in seen["text"] and "0 dropped" in seen["text"] and "GB free" in seen["text"]


def test_a_window_that_is_closed_before_anything_was_recorded(desktop, tmp_path):
    window = ControlWindow("a", "", partial(named, order(tmp_path)))
    window._root.after(300, window.stop)
    assert window.run() is None and not list(tmp_path.iterdir())


def test_an_error_of_the_recorder_reaches_whoever_opened_the_window(desktop, tmp_path):
    (tmp_path / "a_session.json").write_text(json.dumps({}))
    window = ControlWindow("a", "", partial(named, order(tmp_path)))
    window._root.after(300, window._start.invoke)
    try:
        window.run()
    except ValueError as error:
        assert "never overwritten" in str(error)
    else:
        raise AssertionError("the error was swallowed")


def test_a_region_that_the_recorders_own_window_covers_is_refused(desktop, tmp_path):
    asked = order(tmp_path)
    window = ControlWindow(
        "a", "", partial(_named, replace(asked, plan=replace(asked.plan, region=Region(0, 0, 64, 64))))
    )
    window._root.geometry("+0+0")
    window._root.after(300, window._start.invoke)
    with pytest.raises(ValueError, match="own window covers the middle of the region"):
        window.run()
    assert not list(tmp_path.iterdir())
