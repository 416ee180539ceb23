"""Which keys are down and what of that is logged; no keyboard in here, so that every rule can be tested."""

import threading
from collections.abc import Callable, Collection

from stages.recordings.keys import key_name

Write = Callable[[str, str, float], None]  # ("keydown" | "keyup", key, t)


class KeyLog:
    """Turns what the keyboard reports into a key log in which every keydown has its keyup.

    A repeat of a key that is down is counted and dropped. Keys outside of `logged` (None: log all) are counted,
    never named. While the log is closed nothing is written: not before the start, not during a pause, not while
    another window is in front. Two threads use it: the keyboard's and the recorder's.
    """

    def __init__(self, logged: Collection[str] | None, write: Write):
        self._logged = None if logged is None else frozenset(map(key_name, logged))
        self._write = write
        self._held: set[str] = set()
        self._others: set[str] = set()
        self._open = False
        self._lock = threading.RLock()
        self.events, self.repeats, self.other_presses = 0, 0, 0

    @property
    def held(self) -> frozenset[str]:
        """The logged keys that are down."""
        with self._lock:
            return frozenset(self._held)

    def open(self, held: Collection[str], t: float) -> None:
        """Log from `t` on; keys that are down already get their keydown now."""
        with self._lock:
            self._open = True
            for key in sorted(held):
                self.down(key, t)

    def close(self, t: float) -> None:
        """Stop logging; every held key gets its keyup."""
        with self._lock:
            self._open = False
            for key in sorted(self._held):
                self._log("keyup", key, t)
            self._held.clear()
            self._others.clear()

    def down(self, raw: str, t: float) -> None:
        """A key went down at `t` s, or is reported again while it is down."""
        with self._lock:
            if self._open:
                self._down(key_name(raw), t)

    def up(self, raw: str, t: float) -> None:
        """A key went up at `t` s."""
        with self._lock:
            if self._open:
                self._up(key_name(raw), t)

    def reconcile(self, really_held: Collection[str], t: float) -> None:
        """Keyups that never came (the character changed while the key was down, a hook was late) are made up."""
        with self._lock:
            for key in sorted(self._held - set(really_held)):
                self._up(key, t)

    def _down(self, key: str, t: float) -> None:
        if not self._is_logged(key):
            self.other_presses += key not in self._others
            self._others.add(key)
        elif key in self._held:
            self.repeats += 1
        else:
            self._held.add(key)
            self._log("keydown", key, t)

    def _up(self, key: str, t: float) -> None:
        if key in self._held:
            self._held.discard(key)
            self._log("keyup", key, t)
        self._others.discard(key)

    def _is_logged(self, key: str) -> bool:
        return self._logged is None or key in self._logged

    def _log(self, event: str, key: str, t: float) -> None:
        self.events += 1
        self._write(event, key, t)
