"""Between the capture and the tape: a bounded queue and the thread that empties it.

When the encoder falls behind, a picture that finds no room is dropped and counted; its slot then repeats the
picture before, so that the session stays in step with the clock. There is room for no more than a second: what waits
is lost when the recorder is killed.
"""

import threading
from collections import deque

import numpy as np

from stages.live.tape import Tape

MAX_REPEATS = 5000  # an encoder that has not taken this many slots is not slow, it stands still
MAX_WAIT_S = 1.0
STILL_S = 10.0  # an encoder that takes nothing for so long at the end is not waited for
STANDS_STILL = "the encoder stands still: is the disk still there?"


class Encoder:
    """Writes frames to a tape in a thread of its own; a context manager that waits for the last one."""

    def __init__(self, tape: Tape, *, pictures: int):
        """`pictures` is how many may wait, the bound on memory; none waits once a slot has for MAX_WAIT_S."""
        self._tape, self._limit = tape, pictures
        self._queue: deque[tuple[np.ndarray | None, float]] = deque()
        self._waiting_pictures, self._written = 0, 0
        self._ready = threading.Condition()
        self._ending = False
        self.dropped, self.most_waiting, self.error = 0, 0, None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread still has the tape in its hands; after the end only one that stands still has."""
        return self._thread.is_alive()

    @property
    def trouble(self) -> str | None:
        """Why nothing more is written, in words."""
        if self._tape.failure is not None:
            return f"the disk did not take more ({self._tape.failure.strerror})"
        return None if self.error is None else f"the encoder failed: {self.error}"

    def put(self, image_bgr: np.ndarray | None, t: float) -> bool:
        """Hand over a frame (None: repeat the one before); False when its picture had to be dropped."""
        with self._ready:
            kept = image_bgr is None or self._has_room(t)
            if not kept:
                self.dropped, image_bgr = self.dropped + 1, None
            if len(self._queue) >= self._limit + MAX_REPEATS:
                self.error = self.error or ValueError(STANDS_STILL)
                return False
            self._waiting_pictures += image_bgr is not None
            self.most_waiting = max(self.most_waiting, self._waiting_pictures)
            self._queue.append((image_bgr, t))
            self._ready.notify()
        return kept

    def __enter__(self) -> "Encoder":
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        with self._ready:
            self._ending = True
            self._ready.notify()
        self._wait_for_the_last()

    def _has_room(self, t: float) -> bool:
        waited_s = t - self._queue[0][1] if self._queue else 0.0
        return self._waiting_pictures < self._limit and waited_s < MAX_WAIT_S

    def _wait_for_the_last(self) -> None:
        """As long as it goes on writing."""
        before = -1
        while self._thread.is_alive() and self._written > before:
            before = self._written
            self._thread.join(STILL_S)
        if self._thread.is_alive():
            self.error = self.error or ValueError(STANDS_STILL)

    def _run(self) -> None:
        while (item := self._taken()) is not None:
            try:
                self._tape.frame(*item)
                self._written += 1
            except Exception as error:  # whatever it is, the recording must end with a word, not hang
                self.error = self.error or error
                return

    def _taken(self) -> tuple[np.ndarray | None, float] | None:
        with self._ready:
            while not self._queue and not self._ending:
                self._ready.wait()
            if not self._queue:
                return None
            image, t = self._queue.popleft()
            self._waiting_pictures -= image is not None
            return image, t
