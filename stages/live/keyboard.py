"""The real keyboard, by pynput: listening to it, and pressing its keys. Nothing else here touches pynput."""

import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing

from stages.live.clock import SteadyClock
from stages.live.screen import INSTALL, require_display
from stages.recordings.keys import key_name, number_of

# What others call the parts of a gamepad, a joystick or a mouse: Button.left, Axis.x, pad_a, MOUSE_X, DPAD_UP.
NO_KEYS = re.compile(
    r"(mouse|button|wheel|scroll|axis|(game|joy|d)?pad|joy(stick)?|controller|(left|right)?stick|trigger|hat|xbox)"
    r"([\W\d_]|$)",
    re.IGNORECASE,
)
OnKey = Callable[[str, bool, float], None]  # (canonical name, down?, t)


def pynput_keyboard():
    """pynput's keyboard module; ValueError with what to do when it or the desktop is missing."""
    require_display()
    try:
        from pynput import keyboard
    except ImportError as error:
        if getattr(error, "name", "") in ("pynput", "Xlib", "six"):
            raise ValueError(f"{error.name} is missing; {INSTALL}") from None
        raise ValueError(f"the keyboard cannot be reached: {error}") from None
    return keyboard


def require_hearing(platform: str = sys.platform) -> None:
    """ValueError where the X server does not tell one program of the keys of another: pynput would wait for ever."""
    if not platform.startswith("linux"):
        return
    from Xlib import display

    with closing(display.Display()) as server:
        if not server.has_extension("RECORD"):
            raise ValueError(
                "the X server of this display lacks its extension RECORD, without which no key can be heard: remove a "
                '"-extension RECORD" from how it is started, or load the module "record" in xorg.conf, or use another '
                "display"
            )


def require_known(keys) -> None:
    """ValueError for a key name that this keyboard does not have."""
    for key in keys:
        pynput_key(key)


def pynput_key(name: str):
    """pynput's key of a canonical name (`Key.space`, `f`, `Numpad.5`); ValueError for an unknown one."""
    keyboard = pynput_keyboard()
    name = key_name(name)
    if name.startswith("Key.") and hasattr(keyboard.Key, name.removeprefix("Key.")):
        return getattr(keyboard.Key, name.removeprefix("Key."))
    if (number := number_of(name, sys.platform)) is not None:
        return keyboard.KeyCode.from_vk(number)
    if len(name) == 1:
        code = _virtual_key(name)
        return keyboard.KeyCode.from_char(name) if code is None else keyboard.KeyCode.from_vk(code)
    if NO_KEYS.match(name):
        raise ValueError(
            f"{name!r} is of a mouse or a gamepad: of those nothing is recorded or pressed here, only keys; "
            f"take it out of `keys` (and its action out of `actions`), or give that action a key, in the game too"
        )
    raise ValueError(f"{name!r} is no key here; expected a character like f, or {_some(keyboard)}")


def key_code(name: str) -> int | None:
    """The system's number of a key; None where pynput does not tell. ValueError as `pynput_key`."""
    found = pynput_key(name)
    return getattr(found, "value", found).vk


def _virtual_key(character: str) -> int | None:
    """The number of the key that makes a character; None where there is no simple answer (macOS).

    Given a bare character, pynput sends the letter and not the key: X clients get a message that claims to be an
    event, Windows programs get text. A game that asks for keys sees neither.
    """
    if sys.platform.startswith("linux"):
        return ord(character) if ord(character) < 256 else 0x1000000 + ord(character)  # the keysym
    if sys.platform == "win32":
        import ctypes

        return ctypes.windll.user32.VkKeyScanW(ctypes.c_wchar(character)) & 0xFF
    return None


def _some(keyboard) -> str:
    return ", ".join(f"Key.{key.name}" for key in list(keyboard.Key)[:60])


READY_S = 5.0  # a listener that is not ready by then never will be
LEVELS = 0x81  # in the state of an X event: Shift, and Mod5, which is AltGr


def _listener_of(platform: str, listener: type) -> type:
    """pynput's listener; that of X11 made to name a key by what it gives alone, not Shift and 1 the key !."""
    if not platform.startswith("linux"):
        return listener

    class Listener(listener):
        def _event_to_key(self, display, event):
            event.state &= ~LEVELS
            return super()._event_to_key(display, event)

    return Listener


class Ears:
    """Hears every key of the keyboard, in a thread of its own; `on_key` must be quick. A context manager."""

    def __init__(self, on_key: OnKey, clock: SteadyClock):
        self._on_key, self._clock = on_key, clock
        self._listener = _listener_of(sys.platform, pynput_keyboard().Listener)(
            on_press=lambda key: self._heard(key, True), on_release=lambda key: self._heard(key, False)
        )

    def __enter__(self) -> "Ears":
        require_hearing()
        self._listener.start()
        self._wait_for_the_listener()
        if sys.platform == "darwin" and not self._listener.IS_TRUSTED:
            self._listener.stop()
            raise ValueError(
                "macOS does not let this program see keys: System Settings > Privacy & Security > Accessibility and "
                "Input Monitoring, allow the terminal that you start this from, and start it again"
            )
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._listener.stop()

    @property
    def alive(self) -> bool:
        """Whether it still hears; a callback that raises ends pynput's listener."""
        return self._listener.is_alive()

    def _wait_for_the_listener(self) -> None:
        """pynput's own wait does not end when its thread has died, or stands still, before it was ready."""
        ready = threading.Thread(target=self._listener.wait, name="wait for the keyboard", daemon=True)
        ready.start()
        end = time.monotonic() + READY_S
        while ready.is_alive() and self._listener.is_alive() and time.monotonic() < end:
            ready.join(0.02)
        if ready.is_alive():
            raise ValueError("the keyboard could not be heard: its listener was never ready; does the display answer?")

    def _heard(self, key, down: bool) -> None:
        t = self._clock.now()
        if key is not None:  # a key that the system itself cannot name
            self._on_key(key_name(str(key)), down, t)


class Fingers:
    """Presses and releases real keys, by their canonical names."""

    def __init__(self):
        self._controller = pynput_keyboard().Controller()

    def press(self, key: str) -> None:
        self._controller.press(pynput_key(key))

    def release(self, key: str) -> None:
        self._controller.release(pynput_key(key))
