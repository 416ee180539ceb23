"""The agent's hands: which keys it holds, and every way in which it lets go of them.

Only keys of the key map are pressed, only while `may_press`, and `let_go` may be called from any thread at any
time: by the guard that sees another window come to the front, by the panic key, by a signal, at the end.

Whether the game's window is in front is asked once more right before each press. No system joins the question and the
press in one step: a window that comes to the front between the two, some 0.1 ms under X11, gets that one keydown, and
its keyup as soon as the guard has seen it, within GUARD_S and a little.
"""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Protocol

from stages.live.desktop import open_desktop
from stages.recordings.keys import key_name

GUARD_S = 0.01  # how often the guard looks which window is in front


class Keyboard(Protocol):
    """What presses: real keys, or in a dry run none."""

    def press(self, key: str) -> None: ...
    def release(self, key: str) -> None: ...


class DryKeyboard:
    """Presses nothing and says what it would."""

    def __init__(self, say: Callable[[str], None] = print):
        self._say = say

    def press(self, key: str) -> None:
        self._say(f"would press   {key}")

    def release(self, key: str) -> None:
        self._say(f"would release {key}")


class Hands:
    """Holds a set of keys down."""

    def __init__(
        self,
        keyboard: Keyboard,
        allowed: Collection[str],
        told: Callable[[str, str], None] = lambda event, key: None,
    ):
        """`told("pressing" | "released", key)` hears of a key before it goes down and after it went up."""
        self._keyboard, self._allowed, self._told = keyboard, frozenset(map(key_name, allowed)), told
        self._held: list[str] = []
        self._lock = threading.RLock()
        self._may_press = False

    @property
    def may_press(self) -> bool:
        return self._may_press

    def allow(self) -> None:
        """From now on keys may be pressed."""
        self._may_press = True

    def hold(self, keys: Collection[str], in_front: Callable[[], bool] = lambda: True) -> bool:
        """Exactly `keys` are down afterwards; False, and none is, while nothing may be pressed, or when `in_front()`,
        asked right before each press, says no: then nothing is pressed until `allow`.

        ValueError, and nothing is pressed, for a key outside of the key map.
        """
        wanted = [key_name(key) for key in keys]
        foreign = sorted(set(wanted) - self._allowed)
        if foreign:
            raise ValueError(f"{foreign} is not among the keys of the game {sorted(self._allowed)}")
        with self._lock:
            if not self._may_press:
                self._release(self._held)
                return False
            self._release([key for key in self._held if key not in wanted])
            for key in wanted:
                if key not in self._held:
                    self._told("pressing", key)
                    self._held.append(key)  # before the press: a release too many does no harm
                    if not (self._may_press and in_front()):
                        self.let_go()
                        return False
                    self._keyboard.press(key)
            return True

    def let_go(self) -> None:
        """No key is down afterwards, and none goes down until `allow`."""
        self._may_press = False
        with self._lock:
            self._release(self._held)

    def _release(self, keys: Collection[str]) -> None:
        """Every one of `keys`, even when one cannot be released; its error is raised in the end."""
        errors = []
        for key in list(keys):
            try:
                self._keyboard.release(key)
            except Exception as error:
                errors.append(error)
                continue
            self._held.remove(key)
            self._told("released", key)
        if errors:
            raise errors[0]


class FrontGuard:
    """Watches in a thread of its own that the game's window stays in front, and lets go at once when it does not."""

    def __init__(self, window: int, let_go: Callable[[], None]):
        self.window, self._let_go = window, let_go
        self._desktop = open_desktop()
        self._ending = threading.Event()
        self.in_front, self.error = self._desktop.front() == window, None
        self._thread = threading.Thread(target=self._watch, name="front guard", daemon=True)

    def __enter__(self) -> "FrontGuard":
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._ending.set()
        self._thread.join()
        self._desktop.close()

    def _watch(self) -> None:
        while not self._ending.is_set():
            try:
                self.in_front = self._desktop.front() == self.window
                if not self.in_front:
                    self._let_go()
            except Exception as error:  # a guard that cannot see, or not let go, must not go on pretending that it can
                self.in_front, self.error = False, error
                with suppress(Exception):  # the first error is told
                    self._let_go()
                return
            time.sleep(GUARD_S)
