"""Whole recordings and runs with a screen, a keyboard and ears that the test holds in its hand."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stages.commands.record import _last_words
from stages.live import encoder, hands, playing, recorder, recording, screen
from stages.live.deciding import Decider
from stages.live.playing import Run, play
from stages.live.recorder import Plan, Switches
from stages.live.recording import Order, record
from stages.live.screen import Camera, Region
from stages.live.tape import Tape
from stages.recordings.session import read_session
from tests.agents import acting_of, write_small_agent

ROOT = Path(__file__).parents[1]
REGION = Region(0, 0, 64, 48)
GAME, OTHER = 7, 8


class Machine:
    """What the fakes show; `each_turn(number)` is called once a picture."""

    def __init__(self):
        self.front, self.down, self.lacks = GAME, set(), []
        self.refused = self.blind = None
        self.title, self.place = "game", REGION
        self.turn, self.each_turn = 0, lambda turn: None
        self.on_key = None

    def desktop(self):
        return SimpleNamespace(
            front=lambda: self.front,
            title_of=lambda window: self.title,
            region_of=lambda window: self.place,
            window_titled=lambda title: None,
            window_at=lambda x, y: GAME,
            key_states=lambda keys: {key: key in self.down for key in keys},
            lacking=lambda keys: [key for key in keys if key in self.lacks],
            close=lambda: None,
        )


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()

    class Ears:
        def __init__(self, on_key, clock):
            machine.on_key = lambda key, down: on_key(key, down, clock.now())

        def __enter__(self):
            if machine.refused:
                raise machine.refused
            return self

        def __exit__(self, *error):
            pass

        @property
        def alive(self):
            machine.turn += 1
            machine.each_turn(machine.turn)
            return True

    class Eye:
        def __init__(self, region, clock):
            self._clock = clock

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def picture(self):
            if machine.blind:
                raise machine.blind
            return np.full((48, 64, 3), 100, np.uint8), self._clock.now()

    for module in (recording, playing):
        monkeypatch.setattr(module, "Ears", Ears)
        monkeypatch.setattr(module, "Camera", Eye)
        monkeypatch.setattr(module, "open_desktop", machine.desktop)
    monkeypatch.setattr(hands, "open_desktop", machine.desktop)
    return machine


def order(folder, *, episodes="auto", seconds=0.5, window=None):
    plan = Plan(50.0, REGION, window, ("Key.left", "x"), episodes, seconds, 0.0)
    return Order(plan, folder, "a", "game", {"LEFT": ("Key.left",)}, ("Key.left", "x"), {"Key.f9": "episode"}, 20)


def read(folder, stem="a"):
    return read_session(folder, stem, on_bad_line="error", picture_fps=50)


@pytest.mark.parametrize("command", ["record", "play"])
def test_without_the_live_libraries_it_says_how_to_install_them(command, tmp_path):
    blocked = "import sys; sys.modules.update(dict.fromkeys(['mss', 'pynput', 'Xlib', 'Quartz']));"
    asked = {"record": ["--out", str(tmp_path)], "play": [str(tmp_path / "agent"), "--engine", "torch"]}[command]
    if command == "play":
        write_small_agent(tmp_path / "agent")
    code = f"""{blocked}
sys.argv = ['understudy', '{command}', '--region', '0,0,64x48', *{asked}]
from stages.commands import understudy; understudy.main()"""
    environment = {k: v for k, v in os.environ.items() if k not in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE")}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment | {"DISPLAY": ":4711"}
    )
    assert ended.returncode == 1 and "is missing; install" in ended.stderr, ended.stderr
    assert "make live" in ended.stderr and "Traceback" not in ended.stderr


def test_a_recording_reads_back(machine, tmp_path):
    status = record(order(tmp_path), Switches())
    session = read(tmp_path)
    assert session.closed is True and len(session.times) == status.frames > 5
    assert status.episodes == 1 and "are over" in status.why_stopped
    assert _last_words(status, tmp_path, "Key.f9") == [f"0.5 s are over; look at it with: understudy doctor {tmp_path}"]


def test_a_permission_that_is_refused_leaves_no_files(machine, tmp_path):
    machine.refused = ValueError("macOS does not let this program see keys")
    with pytest.raises(ValueError, match="does not let"):
        record(order(tmp_path), Switches())
    assert list(tmp_path.iterdir()) == []


def test_stopped_before_the_game_was_in_front_leaves_no_files(machine, tmp_path):
    machine.front, switches = OTHER, Switches()
    machine.each_turn = lambda turn: switches.stop.set() if turn == 2 else None
    status = record(order(tmp_path, window=GAME), switches)
    assert status.frames == 0 and list(tmp_path.iterdir()) == []
    assert "no session was kept" in _last_words(status, tmp_path, "Key.f9")[0]


def test_another_window_that_got_the_number_of_the_closed_game_is_not_recorded(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "LOOK_AROUND_S", 0.0)

    def stranger(turn):
        if turn == 5:
            machine.title, machine.place = "mail", Region(10, 10, 30, 30)

    machine.each_turn = stranger
    plan = replace(order(tmp_path, window=GAME).plan, title="game", patience_s=0.2)
    status = record(replace(order(tmp_path, window=GAME), plan=plan), Switches())
    assert "was closed or hidden" in status.why_stopped and status.frames <= 5


@pytest.mark.parametrize("fps", [0, 1e-9, 1e9, float("nan")])
def test_an_absurd_frame_rate_is_refused_before_anything_is_opened(fps, tmp_path):
    with pytest.raises(ValueError, match="fps is"):
        Plan(fps, REGION, None, ("x",), "auto", None, 0.0)
    with pytest.raises(ValueError, match="fps is"):
        run(tmp_path, fps=fps)


def test_episodes_by_hand_of_which_none_was_marked(machine, tmp_path):
    status = record(order(tmp_path, episodes="manual"), Switches())
    session = read(tmp_path)  # not even a key was pressed: the event log must be readable all the same
    assert [marker.type for marker in session.markers] == ["fight_start", "fight_end"]
    assert (session.markers[0].t, session.markers[1].t) == (session.times[0], session.times[-1])
    assert status.episodes == 0 and "no episode was marked (Key.f9)" in _last_words(status, tmp_path, "Key.f9")[1]


def test_a_key_that_the_system_never_calls_down_is_pressed_once(machine, tmp_path):
    """The arrow of the number pad under X11: heard as Key.left, while the key that is asked for is up."""

    def keyboard(turn):
        if turn < 15:
            machine.on_key("Key.left", True)  # the keyboard repeats
        elif turn == 15:
            machine.on_key("Key.left", False)

    machine.each_turn = keyboard
    record(order(tmp_path), Switches())
    assert [(event.event, event.key) for event in read(tmp_path).key_events] == [
        ("keydown", "Key.left"),
        ("keyup", "Key.left"),
    ]


def test_a_keyup_that_was_not_heard_is_made_up_once_the_system_calls_the_key_up(machine, tmp_path):
    def keyboard(turn):
        if turn == 3:
            machine.on_key("x", True)
        machine.down = {"x"} if 3 <= turn < 10 else set()

    machine.each_turn = keyboard
    record(order(tmp_path), Switches())
    session = read(tmp_path)
    down, up = session.key_events
    assert (down.event, up.event) == ("keydown", "keyup") and up.t < session.times[-1] - 0.1


def test_an_encoder_that_stands_still_does_not_hold_the_recorder(machine, tmp_path, monkeypatch):
    may, tapes = threading.Event(), []

    class Standing(Tape):
        def frame(self, image_bgr, t):
            if self.frames == 3:
                tapes.append(self)
                may.wait(30)
            super().frame(image_bgr, t)

    monkeypatch.setattr(encoder, "STILL_S", 0.2)
    monkeypatch.setattr(recording, "Tape", Standing)
    start = time.monotonic()
    status = record(order(tmp_path), Switches())
    assert time.monotonic() - start < 10 and "stands still" in status.why_stopped
    assert json.loads((tmp_path / "a_session.json").read_text())["closed"] is False  # as after a kill
    may.set()
    next(thread for thread in threading.enumerate() if thread.name == "encoder").join(10)
    tapes[0].close({})


def test_a_screen_that_became_too_small_ends_the_recording_with_what_there_is(machine, tmp_path):
    def shrink(turn):
        if turn == 6:
            machine.blind = ValueError("no picture can be taken any more")

    machine.each_turn = shrink
    status = record(order(tmp_path), Switches())
    assert status.why_stopped == "the camera failed: no picture can be taken any more"
    assert read(tmp_path).closed is True


def test_the_error_of_the_screen_is_told_in_words(monkeypatch):
    class ScreenShotError(Exception):
        pass

    class MSS:
        monitors = ({"left": 0, "top": 0, "width": 640, "height": 480},)

        def grab(self, region):
            raise ScreenShotError("BadMatch")

        def close(self):
            pass

    monkeypatch.setitem(sys.modules, "mss", SimpleNamespace(MSS=MSS, ScreenShotError=ScreenShotError))
    monkeypatch.setattr(screen, "require_display", lambda: None)
    with Camera(REGION, SimpleNamespace(now=lambda: 0.0)) as camera:
        with pytest.raises(ValueError, match=r"\(BadMatch\): does the region 0,0,64x48 still lie on the screen"):
            camera.picture()


def run(folder, **changes):
    """A dry run of a second."""
    asked = {
        "region": REGION, "window": GAME, "fps": 50.0, "panic_key": "Key.esc", "countdown_s": 0, "seconds": 0.5,
        "dry": True, "log": None, "record": folder / "a", "metadata": {"player": "agent"}, "crf": 20,
    }  # fmt: skip
    return Run(**asked | changes)


class Willing:
    """An agent that wants its key at every moment."""

    def reset(self, lane):
        pass

    def logits(self, images):
        return {lane: np.ones(1) for lane in images}


def played(asked) -> tuple[list[str], int]:
    """What it said, and how many frames it decided."""
    said, decide = [], Decider(acting_of([0.0]), ("LEFT",), {"LEFT": "Key.left"}, np.random.default_rng(0))
    latencies = play(asked, Willing(), decide, threading.Event(), said.append)
    return said, len(latencies.decision)


def test_a_dry_run_is_marked_and_its_drops_are_saved(machine, tmp_path):
    _, frames = played(run(tmp_path))
    session = read(tmp_path)
    assert session.closed is True and frames > 5
    assert session.metadata["dry_run"] is True and session.metadata["dropped"] == 0
    assert session.metadata["repeats"] == session.repeats.sum()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("no codec")])
def test_a_run_says_at_once_that_it_is_no_longer_recorded_and_goes_on(machine, tmp_path, monkeypatch, error):
    class Failing(Tape):
        def frame(self, image_bgr, t):
            if self.frames < 3:
                super().frame(image_bgr, t)
            elif isinstance(error, OSError):
                self.failure = error
            else:
                raise error

    monkeypatch.setattr(playing, "Tape", Failing)
    said, frames = played(run(tmp_path))
    told = [line for line in said if "no longer recorded" in line]
    assert len(told) == 1 and str(error.args[-1]) in told[0]
    assert frames > 10 and len((tmp_path / "a_frames.jsonl").read_text().splitlines()) == 3
    assert said.index(told[0]) < len(said) - 1  # before the key was let go at the end


def test_a_run_that_never_played_keeps_no_session(machine, tmp_path):
    machine.front = OTHER
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    said = []
    decide = Decider(acting_of([0.0]), ("LEFT",), {"LEFT": "Key.left"}, np.random.default_rng(0))
    play(run(tmp_path), Willing(), decide, stop, said.append)
    assert list(tmp_path.iterdir()) == [] and "no session was kept" in said[-1]


@pytest.mark.parametrize("changes", [{"record": "here"}, {"log": "here"}])
def test_where_nothing_can_be_written_is_told_before_it_plays(machine, tmp_path, changes):
    (tmp_path / "file").write_text("no folder")
    here = {"record": tmp_path / "file/raw/a", "log": tmp_path / "file/log.csv"}
    with pytest.raises(ValueError, match="written"):
        played(run(tmp_path, **{name: here[name] for name in changes}))
    with pytest.raises(ValueError, match="no session can be written to"):
        record(order(tmp_path / "file/raw"), Switches())
