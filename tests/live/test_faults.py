"""What goes wrong on a real machine, done to the recorder: a kill, a full disk, a slow encoder, a clock that jumps."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from stages.live import recording
from stages.live.clock import SteadyClock
from stages.live.desktop import open_desktop
from stages.live.encoder import Encoder
from stages.live.keyboard import Fingers
from stages.live.keylog import KeyLog
from stages.live.recorder import Plan, Recorder, Switches
from stages.live.screen import Camera, Region
from stages.live.tape import Tape
from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Reading, examined_session
from stages.recordings.verdict import GOOD, verdict_of
from tests.live.conftest import ROOT, finished, understudy, wait_until
from tests.live.xvfb import x_server
from tests.test_live_tape import SlowDisk

READING = Reading(rule="interval", delay_ms=0, on_bad_line="error", picture_fps=10)
VOCABULARY = ActionVocabulary.from_params(["LEFT", "SHOOT"], {"LEFT": ["Key.left"], "SHOOT": ["x"]})
NO_GAME = ["--keys", "LEFT=Key.left", "SHOOT=x"]
REGION = ["--region", "0,0,320x240"]


def press(times: int, pause: float = 0.05) -> None:
    fingers = Fingers()
    for _ in range(times):
        fingers.press("x")
        time.sleep(pause)
        fingers.release("x")


def started(folder, name, *arguments):
    asked = ("--no-window", "--countdown", 0, "--out", folder, "--name", name, *REGION, *NO_GAME, *arguments)
    process = understudy("record", *asked)
    log = folder / f"{name}_frames.jsonl"
    wait_until(lambda: process.poll() is not None or (log.is_file() and log.stat().st_size))
    return process


def test_a_recorder_killed_at_any_moment_loses_less_than_two_seconds(desktop, tmp_path):
    moments, lost = random.Random(0), []
    for turn in range(20):
        process = started(tmp_path, f"killed-{turn}", "--fps", 20)
        press(3)
        time.sleep(moments.uniform(0.6, 3.0))
        process.send_signal(signal.SIGKILL)
        killed = time.time()
        finished(process, code=-signal.SIGKILL)
        found = examined_session(tmp_path, f"killed-{turn}", VOCABULARY, READING)
        assert found.session.closed is False
        verdict = verdict_of(found.report)
        assert verdict.word != GOOD and any("not ended cleanly" in reason for reason in verdict.reasons)
        assert found.report["presses"]["SHOOT"] == 3
        lost.append(killed - found.session.times[-1])
    print(f"lost: median {np.median(lost):.2f} s, most {max(lost):.2f} s")
    assert max(lost) < 2


def test_a_full_disk_stops_it_with_what_was_recorded(desktop, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2000k", "tmpfs", small], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    noise = subprocess.Popen([sys.executable, "-m", "tests.live.noise_window"])
    try:
        process = started(small, "full", "--fps", 20, "--keep-free-mb", 0)
        press(5)
        printed = finished(process, timeout=60, code=1)
        assert "the disk did not take more" in printed
        found = examined_session(small, "full", VOCABULARY, READING)
        assert found.session.closed is False and len(found.session.times) > 20
        assert found.report["presses"]["SHOOT"] > 0
    finally:
        noise.kill()
        noise.wait()
        subprocess.run(["umount", small], check=True)


def test_it_stops_before_the_disk_is_full(desktop, tmp_path):
    more_than_there_is = shutil.disk_usage(tmp_path).free / 1e6 + 1000
    process = started(tmp_path, "almost", "--keep-free-mb", more_than_there_is)
    assert "MB are left on the disk" in finished(process, code=1)


class SlowTape(Tape):
    """An encoder that needs 0.3 s a picture."""

    def frame(self, image_bgr, t):
        if image_bgr is not None:
            time.sleep(0.3)
        super().frame(image_bgr, t)


def recorded(folder, tape_class, *, seconds, pictures, clock, during=lambda: None):
    """A recording in this process: 20 pictures a second of a corner of the screen."""
    region = Region(0, 0, 64, 64)
    plan = Plan(20, region, None, ("x",), "auto", seconds, 0.0)
    tape = tape_class(folder, "slow", width=64, height=64, fps=20, crf=20, metadata={"player": "human"})
    with closing(open_desktop()) as desktop, Camera(region, clock) as camera:
        keys = KeyLog(["x"], tape.key)
        with Encoder(tape, pictures=pictures) as encoder:
            recorder = Recorder(plan, tape, keys, encoder, desktop, Switches(), clock)
            keys_down = time.monotonic() + 0.5

            def alive() -> bool:
                if time.monotonic() > keys_down:
                    during()
                return True

            recorder.run(camera, ears_alive=alive)
        tape.close({})
    return recorder.status, encoder


def test_a_slow_encoder_costs_pictures_that_are_counted_and_repeats_that_are_marked(display, tmp_path):
    status, encoder = recorded(tmp_path, SlowTape, seconds=4, pictures=3, clock=SteadyClock())
    (tmp_path / "slow_events.jsonl").open("a").close()
    session = examined_session(tmp_path, "slow", VOCABULARY, READING).session
    assert encoder.dropped > 20 and encoder.most_waiting <= 3
    assert session.repeats.sum() == status.repeats >= encoder.dropped
    assert len(session.times) == status.frames
    interval = np.diff(session.times)
    assert np.median(interval) == pytest.approx(0.05, abs=0.005)  # the capture did not wait for the encoder


class SlowLog(Tape):
    """Keys come faster than its lines are written."""

    def _open(self, **video):
        super()._open(**video)
        self._events = SlowDisk(self._events)


def test_neither_keys_nor_pictures_wait_for_a_slow_key_log(desktop, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "Tape", SlowLog)
    pressed, clock = [], SteadyClock()

    def hand(recorder):
        fingers = Fingers()
        while recorder.status.frames < 5:
            time.sleep(0.02)
        for _ in range(10):
            for act in (fingers.press, fingers.release):
                pressed.append(clock.now())
                act("x")
                time.sleep(0.04)

    plan = Plan(20, Region(0, 0, 64, 64), None, ("x",), "auto", 2.0, 0.0)
    hands = []
    recording.record(
        recording.Order(plan, tmp_path, "a", "", {"SHOOT": ("x",)}, ("x",), {}, 20),
        Switches(),
        lambda recorder: hands.append(threading.Thread(target=hand, args=(recorder,))) or hands[0].start(),
    )
    hands[0].join()
    session = examined_session(tmp_path, "a", VOCABULARY, READING).session
    logged = [event.t for event in session.key_events]
    assert len(logged) == len(pressed) == 20
    assert np.median(np.subtract(logged, pressed)) < 0.02 and np.max(np.subtract(logged, pressed)) < 0.1
    assert np.diff(session.times).max() < 0.2


def test_a_clock_that_is_set_does_not_reach_the_recording(display, tmp_path, monkeypatch):
    true, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: true() + offset[0])
    steps = iter([3600.0, -7200.0, 0.5])

    def step():
        offset[0] += next(steps, 0.0)

    before = true()
    recorded(tmp_path, Tape, seconds=2, pictures=30, clock=SteadyClock(), during=step)
    times = examined_session(tmp_path, "slow", VOCABULARY, READING).session.times
    assert offset[0] != 0
    assert before <= times[0] and times[-1] <= true()
    assert (np.diff(times) > 0).all() and np.diff(times).max() < 0.5


def test_without_a_display_every_command_says_what_to_do(display, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE")}
    for changed, words in (
        ({}, "there is no display here"),
        ({"DISPLAY": ":4711"}, "does not answer"),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":4711"}, "runs on Wayland"),
    ):
        command = [
            sys.executable,
            "-m",
            "stages.commands.understudy",
            "record",
            "--out",
            str(tmp_path),
            *REGION,
            *NO_GAME,
        ]
        ended = subprocess.run(command, env=environment | changed, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and words in ended.stderr and "Traceback" not in ended.stderr


def test_a_display_that_tells_of_no_keys_is_named(tmp_path):
    asked = ["record", "--no-window", "--countdown", "0", "--out", str(tmp_path / "raw"), *REGION, *NO_GAME]
    with x_server(tmp_path / "log", "-extension", "RECORD") as name:
        command, environment = (
            [sys.executable, "-m", "stages.commands.understudy", *asked],
            os.environ | {"DISPLAY": name},
        )
        ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and "lacks its extension RECORD" in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr and not list(tmp_path.glob("raw/*"))
