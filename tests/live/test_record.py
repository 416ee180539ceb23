"""`understudy record` on a real screen: a game's window, keys of the X server, the clock of the machine."""

import json
import time

import numpy as np

from stages.live.keyboard import Fingers
from stages.recordings.session import read_session
from tests.live.conftest import PLAYED, close, finished, understudy, wait_until
from tests.live.windows import PlainWindow
from tests.live.xvfb import x_server

NO_GAME = ["--keys", "LEFT=Key.left", "RIGHT=Key.right", "SHOOT=x"]


def start(tmp_path, *arguments):
    """A recorder without a window that has begun to record."""
    process = understudy(
        "record", "--no-window", "--out", tmp_path / "raw", "--name", "a", "--countdown", 0, *arguments
    )
    frames = tmp_path / "raw/a_frames.jsonl"
    wait_until(lambda: process.poll() is not None or (frames.is_file() and frames.stat().st_size))
    return process


def read(tmp_path, name="a"):
    return read_session(tmp_path / "raw", name, on_bad_line="error", picture_fps=10)


def test_every_key_of_a_real_game_is_in_the_log_at_its_time(desktop, doom, tmp_path):
    game, out = doom(32, 5, script=True)
    recorder = start(tmp_path, "--window", "VIZDOOM", "--fps", 11.6667, "--seconds", 22, *PLAYED)
    finished(recorder)
    game.wait(timeout=60)
    session = read(tmp_path)
    first, last = session.times[0] + 0.1, session.times[-1] - 0.1
    pressed = [(t, e, k) for t, e, k in json.loads(out.read_text())["keys"] if first < t < last]
    logged = [(e.t, e.event, e.key) for e in session.key_events if first < e.t < last]
    assert len(pressed) > 50
    assert [row[1:] for row in logged] == [tuple(row[1:]) for row in pressed]  # none lost, none invented
    error_ms = np.abs([(b[0] - a[0]) * 1000 for a, b in zip(pressed, logged, strict=True)])
    print(f"{len(error_ms)} key events, median {np.median(error_ms):.2f} ms, p99 {np.percentile(error_ms, 99):.2f} ms")
    assert np.median(error_ms) <= 5
    assert np.percentile(error_ms, 99) <= 40  # 20 on an idle machine; the game, the recorder and CI share two cores


def test_only_keys_of_the_game_are_named_and_repeats_suppressed(desktop, tmp_path):
    fingers = Fingers()
    fingers.press("x")  # held when the recording starts
    recorder = start(tmp_path, "--region", "0,0,320x240", "--seconds", 3, *NO_GAME)
    for _ in range(50):
        fingers.press("Key.left")  # a storm of repeats
    for key in "secret":
        fingers.press(key)
        fingers.release(key)
    fingers.release("Key.left")
    fingers.press("Key.right")  # held at the end
    finished(recorder)
    fingers.release("Key.right")
    fingers.release("x")
    session = read(tmp_path)
    found = [(e.event, e.key) for e in session.key_events]
    assert sorted(found) == sorted((e, k) for e in ("keydown", "keyup") for k in ("x", "Key.left", "Key.right"))
    assert session.key_events[0].key == "x" and session.key_events[0].t <= session.times[0]
    assert session.metadata["other_key_presses"] == len("secret")
    assert session.metadata["key_repeats_suppressed"] >= 49
    assert "s" not in {e.key for e in session.key_events}


def test_keys_of_other_names_with_shift_and_on_the_number_pad(desktop, tmp_path):
    """X calls Shift and 1 the key !, and the arrow of the number pad the arrow key, whose own state is up."""
    fingers, keypad_left = Fingers(), "Numpad.4"
    keys = ["--keys", "DASH=Key.shift", "ONE=1", "LEFT=Key.left"]
    recorder = start(tmp_path, "--region", "0,0,320x240", "--fps", 20, "--seconds", 4, *keys)
    fingers.press("Key.shift")
    fingers.press("1")
    time.sleep(0.2)
    fingers.release("Key.shift")
    fingers.release("1")
    for _ in range(20):
        fingers.press(keypad_left)  # and the keyboard repeats it
        time.sleep(0.05)
    fingers.release(keypad_left)
    finished(recorder)
    session = read(tmp_path)
    assert [(e.event, e.key) for e in session.key_events] == [
        ("keydown", "Key.shift"), ("keydown", "1"), ("keyup", "Key.shift"), ("keyup", "1"),
        ("keydown", "Key.left"), ("keyup", "Key.left"),
    ]  # fmt: skip
    assert session.metadata["other_key_presses"] == 0


def test_a_pause_ends_the_episode_and_every_key(desktop, tmp_path):
    fingers = Fingers()
    recorder = start(tmp_path, "--region", "0,0,320x240", "--seconds", 5, *NO_GAME)
    fingers.press("x")
    wait_until(lambda: '"x"' in (tmp_path / "raw/a_events.jsonl").read_text())
    for _ in range(2):  # pause, go on
        fingers.press("Key.f10")
        fingers.release("Key.f10")
        time.sleep(0.8)
    fingers.release("x")
    finished(recorder)
    session = read(tmp_path)
    assert [m.type for m in session.markers] == ["fight_start", "fight_end"] * 2
    assert [(e.event, e.key) for e in session.key_events] == [("keydown", "x"), ("keyup", "x")] * 2
    hole = session.markers[1].t, session.markers[2].t
    assert hole[1] - hole[0] > 0.5
    assert not ((session.times > hole[0]) & (session.times < hole[1])).any()


def test_the_stop_key_stops_and_a_session_is_never_overwritten(desktop, tmp_path):
    fingers = Fingers()
    recorder = start(tmp_path, "--region", "0,0,320x240", *NO_GAME)
    fingers.press("Key.f12")
    fingers.release("Key.f12")
    assert "stopped by you" in finished(recorder, timeout=20)
    before = (tmp_path / "raw/a.mp4").read_bytes()
    again = start(tmp_path, "--region", "0,0,320x240", "--seconds", 1, *NO_GAME)
    assert "exists already" in finished(again, code=1)
    assert (tmp_path / "raw/a.mp4").read_bytes() == before


def test_another_window_in_front_pauses_and_a_closed_one_stops(desktop, doom, tmp_path):
    game, _ = doom(60, 3)
    recorder = start(tmp_path, "--window", "VIZDOOM", "--wait-for-window", 1, *PLAYED)
    fingers = Fingers()
    fingers.press("Key.left")
    wait_until(lambda: "keydown" in (tmp_path / "raw/a_events.jsonl").read_text())
    with PlainWindow(0, 0, 200, 200) as other:
        other.take_focus()
        wait_until(lambda: "keyup" in (tmp_path / "raw/a_events.jsonl").read_text())
        fingers.release("Key.left")
        fingers.press("Key.right")  # meant for the other window
        fingers.release("Key.right")
    close(game)
    assert "closed or hidden" in finished(recorder, timeout=30)
    session = read(tmp_path)
    assert [(e.event, e.key) for e in session.key_events] == [("keydown", "Key.left"), ("keyup", "Key.left")]
    assert session.closed is True and session.markers[-1].type == "fight_end"


def test_of_a_region_the_window_in_its_middle_is_watched(desktop, tmp_path):
    fingers, events = Fingers(), tmp_path / "raw/a_events.jsonl"
    with PlainWindow(0, 0, 400, 300, "the game") as game, PlainWindow(600, 400, 200, 200, "another") as other:
        game.take_focus()
        recorder = start(tmp_path, "--region", "0,0,320x240", "--fps", 20, "--wait-for-window", 1, *NO_GAME)
        fingers.press("x")
        wait_until(lambda: "keydown" in events.read_text())
        other.take_focus()
        wait_until(lambda: "keyup" in events.read_text())
        fingers.release("x")
        fingers.press("Key.left")  # meant for the other window
        fingers.release("Key.left")
        game.take_focus()
        wait_until(lambda: events.read_text().count("fight_start") == 2)
        fingers.press("Key.right")
        fingers.release("Key.right")
        wait_until(lambda: events.read_text().count("keyup") == 2)
    printed = finished(recorder, timeout=30)
    assert "only while the window 'the game' is in front" in printed and "closed or hidden" in printed
    session = read(tmp_path)
    assert [(e.event, e.key) for e in session.key_events] == [
        ("keydown", "x"), ("keyup", "x"), ("keydown", "Key.right"), ("keyup", "Key.right"),
    ]  # fmt: skip
    assert [m.type for m in session.markers] == ["fight_start", "fight_end"] * 2


def test_a_window_that_the_game_makes_anew_is_recorded_on(desktop, tmp_path):
    fingers, events = Fingers(), tmp_path / "raw/a_events.jsonl"
    with PlainWindow(0, 0, 400, 300, "the game") as first:
        first.take_focus()
        recorder = start(tmp_path, "--window", "the game", "--fps", 20, *NO_GAME)
        fingers.press("x")
        fingers.release("x")
        wait_until(lambda: "keyup" in events.read_text())
    with PlainWindow(0, 0, 200, 100, "another") as another:
        another.take_focus()
        wait_until(lambda: "fight_end" in events.read_text())
        with PlainWindow(80, 60, 400, 300, "the game") as second:
            second.take_focus()
            wait_until(lambda: events.read_text().count("fight_start") == 2)
            fingers.press("Key.right")
            fingers.release("Key.right")
            wait_until(lambda: events.read_text().count("keyup") == 2)
    with PlainWindow(0, 0, 300, 300, "the game"):
        assert "size" in finished(recorder, timeout=30)
    session = read(tmp_path)
    assert [e.key for e in session.key_events if e.event == "keydown"] == ["x", "Key.right"]
    assert [m.type for m in session.markers] == ["fight_start", "fight_end"] * 2


def test_of_a_region_without_a_window_that_is_said(desktop, tmp_path):
    recorder = start(tmp_path, "--region", "0,0,320x240", "--seconds", 1, *NO_GAME)
    assert "no window shows the middle of the region" in finished(recorder)


def test_a_region_is_recorded_after_a_countdown(display, tmp_path):
    arguments = ("--out", tmp_path / "raw", "--name", "a", "--region", "0,0,320x240", "--seconds", 1, *NO_GAME)
    printed = finished(understudy("record", "--no-window", "--countdown", 2, *arguments)).splitlines()
    assert [line[:14] for line in printed[:2]] == ["recording in 2", "recording in 1"]


def test_a_display_of_its_own_is_recorded_from_inside_a_wayland_session(desktop, tmp_path, monkeypatch):
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("XDG_SESSION_TYPE", "wayland")
    finished(start(tmp_path, "--region", "0,0,320x240", "--seconds", 1, *NO_GAME))
    assert len(read(tmp_path).times) > 5


def test_a_display_of_16_bits_is_told_before_anything_is_written(tmp_path, monkeypatch):
    with x_server(tmp_path / "log", "-screen", "0", "640x480x16") as name:
        monkeypatch.setenv("DISPLAY", name)
        for place in (("--region", "0,0,320x240"), ("--monitor", 1)):
            said = finished(start(tmp_path, *place, *NO_GAME), code=1)
            assert "set the display to 24 bits a pixel" in said and "Traceback" not in said
    assert not (tmp_path / "raw").exists()


def test_a_region_left_of_the_screen_and_a_gamepad_are_told(desktop, tmp_path):
    said = finished(start(tmp_path, "--region", "-10,-10,320x240", *NO_GAME), code=1)
    assert "-10,-10,320x240 does not lie on the screen, which is 1280x800 from 0,0" in said
    said = finished(start(tmp_path, "--region", "0,0,320x240", "--keys", "AIM=Axis.x"), code=1)
    assert "'Axis.x' is of a mouse or a gamepad: of those nothing is recorded or pressed" in said
