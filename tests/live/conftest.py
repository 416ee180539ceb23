"""A real X server for the tests of the live parts, started by them: nothing is simulated but the monitor."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live.xvfb import require_xvfb, x_server

ROOT = Path(__file__).parents[2]
PLAYED = ["--keys", "LEFT=Key.left", "RIGHT=Key.right", "SHOOT=Key.ctrl", "DASH=Key.shift"]


@pytest.fixture(scope="session")
def display(tmp_path_factory):
    """The name of a fresh Xvfb, in DISPLAY for the tests and all they start."""
    try:
        require_xvfb()
    except ValueError as error:
        pytest.exit(str(error), 3)
    with x_server(tmp_path_factory.mktemp("xvfb") / "log") as name:
        before = {key: os.environ.pop(key, None) for key in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE")}
        os.environ["DISPLAY"] = name
        yield name
        wake_listeners()
        gc.collect()  # pynput closes its connections when nobody knows them any more, which needs the server
        os.environ.update({key: value for key, value in before.items() if value is not None})


def wake_listeners() -> None:
    """pynput's listener ends with the first key after it was told to; one without a server would raise."""
    from stages.live.keyboard import Fingers

    fingers = Fingers()
    fingers.press("Key.f8")
    fingers.release("Key.f8")
    time.sleep(0.2)


@pytest.fixture
def desktop(display):
    from stages.live.x11 import X11Desktop

    with contextlib.closing(X11Desktop()) as opened:
        yield opened
        assert not any(opened.key_states([*KEYBOARD]).values()), "a test left a key down"


KEYBOARD = ("Key.left", "Key.right", "Key.ctrl", "Key.shift", "Key.space", "x", "y")


def understudy(*arguments: object) -> subprocess.Popen:
    """The command as a person starts it, in the project's folder."""
    command = [sys.executable, "-m", "stages.commands.understudy", *map(str, arguments)]
    told = {**os.environ, "PYTHONFAULTHANDLER": "1"}  # where a crash of a native library happened
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=told)
    STARTED.append(process)
    return process


STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def nothing_left_running():
    """What a failed test left behind would press keys in the next one."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def finished(process: subprocess.Popen, *, timeout: float = 120, code: int | None = 0) -> str:
    """What it printed; fails with that when it ended otherwise than expected."""
    printed, _ = process.communicate(timeout=timeout)
    assert code is None or process.returncode == code, printed
    return printed


def say_so(process: subprocess.Popen, words: str) -> None:
    """Reads what it prints until it says `words`."""
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


def wait_until(what, *, timeout: float = 60, every: float = 0.02):
    """The first true answer of `what()`."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := what():
            return answer
        time.sleep(every)
    raise AssertionError(f"nothing within {timeout} s")


def close(game: subprocess.Popen) -> None:
    """Ends the game with its engine, a process of its own that holds the window."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(game.pid, signal.SIGKILL)
    game.wait(timeout=10)


@pytest.fixture
def doom(display, tmp_path):
    """Starts the game's window: doom(seconds, seed, script=False) -> (process, OUT.json)."""
    started = []

    def start(seconds: float, seed: int, *, script: bool = False):
        out = tmp_path / f"doom-{len(started)}.json"
        command = [sys.executable, "-m", "tests.live.doom_window", str(seconds), str(out), str(seed)]
        process = subprocess.Popen(
            [*command, *(["script"] if script else [])], cwd=ROOT, text=True, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process, out

    yield start
    for process in started:
        close(process)
        process.stdout.close()
