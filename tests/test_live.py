"""The live parts that need no screen: slots, key log, tape, queue, hands, numbers. The rest is in tests/live."""

import json
import math
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from stages.live.calibration import BITS, CELL_PX, HEIGHT, WIDTH, number_in
from stages.live.clock import SteadyClock
from stages.live.desktop import require_made
from stages.live.encoder import Encoder
from stages.live.guardian import keys_left_down
from stages.live.guardian import main as release_left_down
from stages.live.hands import DryKeyboard, FrontGuard, Hands
from stages.live.keyboard import _listener_of
from stages.live.keylog import KeyLog
from stages.live.latency import Latencies, histogram_lines, percentiles, summary_lines
from stages.live.playing import GameWindow
from stages.live.recording import require_free_hot_keys
from stages.live.screen import even_region, parsed_region, require_display
from stages.live.slots import Slots
from stages.live.tape import Tape
from stages.recordings.session import read_frames, read_session
from stages.recordings.video import readable_frames


def test_slots_that_went_by_are_missed_and_the_present_one_is_due():
    slots = Slots(100.0, 10)
    assert slots.due() == 100.0 and slots.missed(100.02) == []
    slots.taken()
    assert slots.missed(100.09) == [] and slots.due() == pytest.approx(100.1)
    assert slots.missed(100.35) == pytest.approx([100.1, 100.2])  # 100.3 is still due
    assert slots.due() == pytest.approx(100.3)
    slots.taken()
    assert slots.missed(100.40) == []


@pytest.mark.parametrize("fps", [0, -1, 1000, math.nan])
def test_a_frame_rate_that_no_screen_has(fps):
    with pytest.raises(ValueError, match="fps is"):
        Slots(0.0, fps)


def key_log(logged=("x", "Key.left")):
    written = []
    return KeyLog(logged, lambda *row: written.append(row)), written


def test_a_storm_of_repeats_is_one_press():
    log, written = key_log()
    log.open([], 1.0)
    for i in range(100):
        log.down("x", 1 + i / 100)
    log.up("X", 3.0)  # Shift went down meanwhile
    assert written == [("keydown", "x", 1.0), ("keyup", "x", 3.0)]
    assert log.repeats == 99


def test_held_keys_get_their_keydown_at_the_start_and_their_keyup_at_the_end():
    log, written = key_log()
    log.down("x", 0.5)  # before the start nothing is heard
    log.open(["x"], 1.0)
    log.down("Key.left", 2.0)
    log.close(3.0)
    log.up("x", 4.0)
    down = [("keydown", "x", 1.0), ("keydown", "Key.left", 2.0)]
    assert written == [*down, ("keyup", "Key.left", 3.0), ("keyup", "x", 3.0)]


def test_other_keys_are_counted_and_never_named():
    log, written = key_log()
    log.open([], 0.0)
    for key in "secret":
        log.down(key, 1.0)
        log.down(key, 1.1)
        log.up(key, 1.2)
    assert written == [] and log.other_presses == 6
    everything, written = key_log(None)
    everything.open([], 0.0)
    everything.down("s", 1.0)
    assert written == [("keydown", "s", 1.0)]


def test_a_keyup_that_was_not_heard_is_made_up():
    log, written = key_log()
    log.open([], 0.0)
    log.down("x", 1.0)
    log.reconcile(["x"], 2.0)
    assert len(written) == 1
    log.reconcile([], 3.0)
    assert written[-1] == ("keyup", "x", 3.0) and not log.held
    log.up("x", 3.1)
    assert log.stray_keyups == 1 and len(written) == 2


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def tape(folder, name="a", **changes):
    return Tape(
        folder, name, **{"width": 64, "height": 48, "fps": 10, "crf": 20, "metadata": {"player": "human"}} | changes
    )


def test_a_tape_reads_back_as_the_session_that_was_recorded(tmp_path):
    writing = tape(tmp_path)
    writing.marker("fight_start", 0.9)
    for i in range(25):
        writing.frame(None if i == 3 else picture(10 * i), 1 + i / 10)
    writing.key("keydown", "'X'", 2.0)
    writing.key("keyup", "x", 1.9)  # two threads: the log keeps the order in which it was told
    writing.marker("fight_end", 4.0)
    writing.close({"dropped": 0})
    session = read_session(tmp_path, "a", on_bad_line="error", picture_fps=10)
    assert session.closed is True and session.fps == 10 and session.metadata["dropped"] == 0
    np.testing.assert_array_equal(np.flatnonzero(session.repeats), [3])
    assert [(e.event, e.key, e.t) for e in session.key_events] == [("keydown", "x", 2.0), ("keyup", "x", 2.0)]
    shown = [image.mean() for image in read_frames(session.video)]
    wanted = [10 * (2 if i == 3 else i) for i in range(25)]  # the repeat shows the picture before it
    np.testing.assert_allclose(shown, wanted, atol=3)


def test_what_a_killed_recorder_leaves_can_be_read(tmp_path):
    writing = tape(tmp_path, fps=10)
    for i in range(40):
        writing.frame(picture(5 * i), i / 10)
    frames, damage = readable_frames(tmp_path / "a.mp4")  # the tape is not closed, as after kill -9
    assert damage is None and frames >= 30
    assert len((tmp_path / "a_frames.jsonl").read_text().splitlines()) == 40
    assert json.loads((tmp_path / "a_session.json").read_text())["closed"] is False
    writing.close({})


@pytest.mark.parametrize("part", [".mp4", "_frames.jsonl", "_events.jsonl", "_session.json"])
def test_nothing_is_overwritten(tmp_path, part):
    (tmp_path / f"a{part}").write_text("precious")
    with pytest.raises(ValueError, match="never overwritten"):
        tape(tmp_path)
    assert (tmp_path / f"a{part}").read_text() == "precious"


@pytest.mark.parametrize("name", ["", "../a", "b/a", ".hidden"])
def test_a_name_that_is_no_file_name(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name"):
        tape(tmp_path, name)


def test_after_a_write_that_failed_nothing_more_is_written(tmp_path):
    writing = tape(tmp_path)
    writing.frame(picture(1), 1.0)

    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    whole, writing._frames = writing._frames, Full()
    writing.frame(picture(2), 1.1)
    writing._frames = whole
    writing.frame(picture(3), 1.2)
    writing.key("keydown", "x", 1.3)
    writing.close({})
    assert writing.failure.errno == 28
    assert len((tmp_path / "a_frames.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "a_session.json").read_text())["closed"] is False


class HeldTape:
    """An encoder that takes nothing until it may."""

    def __init__(self):
        self.may, self.rows = threading.Event(), []

    def frame(self, image, t):
        self.may.wait(5)
        self.rows.append((None if image is None else int(image[0, 0, 0]), t))


def test_the_queue_is_bounded_and_a_dropped_picture_becomes_a_repeat():
    held = HeldTape()
    with Encoder(held, pictures=3) as encoder:
        kept = [encoder.put(picture(i), i / 20) for i in range(20)]
        assert encoder.most_waiting == 3
        held.may.set()
    assert encoder.dropped == kept.count(False) >= 16
    assert [t for _, t in held.rows] == [i / 20 for i in range(20)]
    assert [value for value, _ in held.rows] == [i if k else None for i, k in enumerate(kept)]


def test_no_picture_waits_behind_a_second_of_others():
    """Small pictures would fill minutes of a queue that is bounded in bytes, and a kill loses what waits."""
    held = HeldTape()
    with Encoder(held, pictures=1000) as encoder:
        kept = [encoder.put(picture(0), i / 10) for i in range(40)]
        held.may.set()
    assert 10 <= sum(kept) <= 12 and encoder.dropped == 40 - sum(kept)
    assert len(held.rows) == 40


def test_an_encoder_that_fails_says_so_instead_of_hanging():
    class Broken:
        def frame(self, image, t):
            raise RuntimeError("no codec")

    with Encoder(Broken(), pictures=2) as encoder:
        encoder.put(picture(0), 0.0)
    assert "no codec" in str(encoder.error)


class Pressed:
    def __init__(self):
        self.down, self.log = set(), []

    def press(self, key):
        self.down.add(key)
        self.log.append(f"+{key}")

    def release(self, key):
        self.down.discard(key)
        self.log.append(f"-{key}")


def test_hands_hold_exactly_what_is_wanted():
    keyboard, told = Pressed(), []
    hands = Hands(keyboard, ["x", "y", "Key.left"], lambda *row: told.append(row))
    assert not hands.hold(["x"]) and keyboard.log == []  # not allowed yet
    hands.allow()
    assert hands.hold(["x", "Key.left"]) and keyboard.down == {"x", "Key.left"}
    assert hands.hold(["x", "y"]) and keyboard.down == {"x", "y"}
    assert keyboard.log == ["+x", "+Key.left", "-Key.left", "+y"]
    assert told[:2] == [("pressing", "x"), ("pressing", "Key.left")] and told[2] == ("released", "Key.left")
    hands.let_go()
    assert not keyboard.down and not hands.hold(["x"]) and not keyboard.down


def test_hands_press_nothing_outside_of_the_key_map():
    keyboard = Pressed()
    hands = Hands(keyboard, ["x"])
    hands.allow()
    with pytest.raises(ValueError, match="not among the keys of the game"):
        hands.hold(["x", "Key.cmd"])
    assert keyboard.log == []


def test_a_dry_run_only_talks():
    said = []
    hands = Hands(DryKeyboard(said.append), ["x"])
    hands.allow()
    hands.hold(["x"])
    hands.hold([])
    assert said == ["would press   x", "would release x"]


def test_the_guardian_releases_what_was_left_down():
    assert keys_left_down(["+x\n", "+Key.left\n", "-x\n", "+y\n"]) == ["Key.left", "y"]
    assert keys_left_down([]) == []


def test_the_guardian_goes_on_when_a_key_cannot_be_released(monkeypatch):
    class Stuck(Pressed):
        def release(self, key):
            if key == "x":
                raise RuntimeError("no such key")
            super().release(key)

    keyboard = Stuck()
    monkeypatch.setattr("stages.live.keyboard.Fingers", lambda: keyboard)
    with pytest.raises(SystemExit, match="x could not be released: no such key"):
        release_left_down(["+x\n", "+y\n"])
    assert keyboard.log == ["-y"]


class Elsewhere:
    """A desktop with another window in front."""

    def front(self):
        return 8

    def close(self):
        pass


def test_a_guard_that_cannot_let_go_says_so(monkeypatch):
    monkeypatch.setattr("stages.live.hands.open_desktop", Elsewhere)

    def let_go():
        raise RuntimeError("the keyboard is gone")

    with FrontGuard(7, let_go) as guard:
        guard._thread.join(5)
        assert not guard._thread.is_alive() and "the keyboard is gone" in str(guard.error)
        window = GameWindow(7, Placed(), guard, SteadyClock(), threading.Event(), print)
        with pytest.raises(ValueError, match="the agent stops: the keyboard is gone"):
            window()


class Placed(Elsewhere):
    def region_of(self, window):
        return even_region(0, 0, 64, 48)

    def lacking(self, keys):
        return [key for key in keys if key == "Key.f20"]


def test_a_key_that_the_keyboard_does_not_have_is_told_before_it_is_pressed():
    require_made(Placed(), ["x", "Key.left"])
    with pytest.raises(ValueError, match="Key.f20.*cannot be pressed"):
        require_made(Placed(), ["x", "Key.f20"])


def test_a_key_pressed_with_shift_keeps_the_name_that_it_has_alone():
    class Listener:
        """As pynput's under X11, on a keyboard of one key."""

        def _event_to_key(self, display, event):
            return "!" if event.state & 1 else "1"

    heard = _listener_of("linux", Listener)()
    for state in (0, 1, 0x80, 0x81):
        assert heard._event_to_key(None, SimpleNamespace(state=state)) == "1"
    event = SimpleNamespace(state=0x11)
    heard._event_to_key(None, event)
    assert event.state == 0x10  # NumLock decides what the number pad's keys are called


def test_a_clock_that_is_set_is_not_followed(monkeypatch):
    clock, true = SteadyClock(), time.time
    for step in (3600.0, -7200.0):
        monkeypatch.setattr(time, "time", lambda step=step: true() + step)
        assert clock.now() == pytest.approx(true(), abs=0.5)


def test_latencies_count_what_came_too_late():
    found = Latencies()
    for done in (1.05, 1.0999, 1.2):
        found.add(due=1.0, grabbing=1.0, grabbed=1.01, done=done, frame_s=0.1)
    assert found.late == 1
    assert found.capture == pytest.approx([10, 10, 10]) and found.decision == pytest.approx([40, 89.9, 190])
    assert percentiles([1, 2, 3])["p50"] == 2 and percentiles([1, 2, 3])["max"] == 3
    assert "3 frames decided, 1 later than the next picture was due" in "\n".join(summary_lines(found))
    assert sum(int(line.rsplit(" ", 1)[1]) for line in histogram_lines([0.5, 20, 1000])) == 3
    assert summary_lines(Latencies()) == ["not a single frame was decided"]


def test_regions():
    region = parsed_region("10, 20, 101x81")
    assert (region.left, region.top, region.width, region.height) == (10, 20, 100, 80)
    assert region.middle == (60, 60)
    for bad in ("10,20", "1,2,3x", "a,b,cxd", "1.5,2,30x30"):
        with pytest.raises(ValueError, match="LEFT,TOP,WIDTHxHEIGHT"):
            parsed_region(bad)
    with pytest.raises(ValueError, match="too small"):
        even_region(0, 0, 15, 300)


@pytest.mark.parametrize(
    ("environment", "platform", "words"),
    [
        ({}, "linux", "no display"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "linux", "Wayland"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland"}, "linux", "Wayland"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11"}, "linux", None),
        ({}, "win32", None),
        ({}, "darwin", None),
    ],
)
def test_a_missing_display_is_told_with_what_to_do(environment, platform, words):
    if words is None:
        require_display(environment, platform)
        return
    with pytest.raises(ValueError, match=words):
        require_display(environment, platform)


def test_hot_keys_are_no_keys_of_the_game():
    require_free_hot_keys({"Key.f12": "stop"}, ["x", "Key.left"])
    with pytest.raises(ValueError, match="choose another hot key"):
        require_free_hot_keys({"'X'": "stop"}, ["x"])


@pytest.mark.parametrize("number", [0, 1, 2, 1000, 2**BITS - 1])
def test_the_calibration_reads_the_number_that_its_window_shows(number):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for i in range(BITS):
        image[:, i * CELL_PX : (i + 1) * CELL_PX] = 255 * (number >> (BITS - 1 - i) & 1)
    assert number_in(image) == number
