"""When a picture is due, and which slots were missed: pure arithmetic, no clock, no screen."""

import math


def require_fps(fps: float) -> None:
    """ValueError for a frame rate that no recording has."""
    if not 0.1 <= fps <= 240:
        raise ValueError(f"fps is {fps}, expected a number from 0.1 to 240")


class Slots:
    """Slot k is due at start + k / fps. A slot that nobody came for is missed and never filled later."""

    def __init__(self, start: float, fps: float):
        """`start` in s, `fps` in slots a second."""
        require_fps(fps)
        self._start, self._fps, self._next = start, fps, 0

    def due(self) -> float:
        """When the next slot is due, s."""
        return self._start + self._next / self._fps

    def missed(self, now: float) -> list[float]:
        """The times of the slots that have gone by whole before `now`; afterwards the one that `now` lies in is due."""
        current = math.floor((now - self._start) * self._fps + 1e-6)
        gone = [self._start + k / self._fps for k in range(self._next, current)]
        self._next = max(self._next, current)
        return gone

    def taken(self) -> None:
        """The slot that was due has its picture."""
        self._next += 1
