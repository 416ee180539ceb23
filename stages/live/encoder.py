"""Between the capture and the tape: a bounded queue and the thread that empties it.

When the encoder falls behind, a picture that finds no room is dropped and counted; its slot then repeats the
picture before, so that the session stays in step with the clock.
"""

import threading
from collections import deque

import numpy as np

from stages.live.tape import Tape

MAX_REPEATS = 5000  # an encoder that has not taken this many slots is not slow, it stands still


class Encoder:
    """Writes frames to a tape in a thread of its own; a context manager that waits for the last one."""

    def __init__(self, tape: Tape, *, pictures: int):
        """`pictures` is how many may wait, the bound on memory."""
        self._tape, self._limit = tape, pictures
        self._queue: deque[tuple[np.ndarray | None, float]] = deque()
        self._waiting_pictures = 0
        self._ready = threading.Condition()
        self._ending = False
        self.dropped, self.most_waiting, self.error = 0, 0, None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    def put(self, image_bgr: np.ndarray | None, t: float) -> bool:
        """Hand over a frame (None: repeat the one before); False when its picture had to be dropped."""
        with self._ready:
            kept = image_bgr is None or self._waiting_pictures < self._limit
            if not kept:
                self.dropped, image_bgr = self.dropped + 1, None
            if len(self._queue) >= self._limit + MAX_REPEATS:
                self.error = self.error or ValueError("the encoder stands still: is the disk still there?")
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
        self._thread.join()

    def _run(self) -> None:
        while (item := self._taken()) is not None:
            try:
                self._tape.frame(*item)
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
