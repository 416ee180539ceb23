"""What is heard and logged of keys, and what they are called."""

import threading
import time
from types import SimpleNamespace

import pytest

from stages.live import keyboard
from stages.live.clock import SteadyClock
from stages.live.keyboard import _listener_of
from stages.live.keylog import KeyLog
from stages.live.recording import require_free_hot_keys


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
    assert len(written) == 2


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


@pytest.mark.parametrize("lives", [True, False])
def test_a_keyboard_that_is_never_heard_is_told(monkeypatch, lives):
    class Deaf:
        """A listener of pynput that died, or stands still, before it was ready."""

        def __init__(self, on_press, on_release):
            self.ready = threading.Event()

        def start(self):
            pass

        def wait(self):
            self.ready.wait(2)

        def is_alive(self):
            return lives

    monkeypatch.setattr(keyboard, "pynput_keyboard", lambda: SimpleNamespace(Listener=Deaf))
    monkeypatch.setattr(keyboard, "require_hearing", lambda: None)
    monkeypatch.setattr(keyboard, "READY_S", 0.2)
    start = time.monotonic()
    with pytest.raises(ValueError, match="keyboard could not be heard"), keyboard.Ears(print, SteadyClock()):
        pass
    assert time.monotonic() - start < 1


def test_hot_keys_are_no_keys_of_the_game():
    require_free_hot_keys({"Key.f12": "stop"}, ["x", "Key.left"])
    with pytest.raises(ValueError, match="choose another hot key"):
        require_free_hot_keys({"'X'": "stop"}, ["x"])


@pytest.mark.parametrize(
    "name", ["Button.left", "Axis.x", "mouse_x", "MOUSE", "Wheel.up", "DPAD_UP", "pad_a", "Joy1", "LeftStick.x"]
)
def test_a_mouse_and_a_gamepad_are_told_not_to_be_recorded(monkeypatch, name):
    monkeypatch.setattr(keyboard, "pynput_keyboard", lambda: SimpleNamespace(Key=[]))
    with pytest.raises(ValueError, match="of a mouse or a gamepad: of those nothing is recorded or pressed"):
        keyboard.pynput_key(name)


@pytest.mark.parametrize("name", ["Key.leftt", "hatch", "left", "padding"])
def test_other_unknown_keys_are_called_so(monkeypatch, name):
    monkeypatch.setattr(keyboard, "pynput_keyboard", lambda: SimpleNamespace(Key=[]))
    with pytest.raises(ValueError, match="is no key here"):
        keyboard.pynput_key(name)
