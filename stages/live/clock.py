"""The clock of a recording: UTC seconds that never jump, whatever happens to the machine's clock meanwhile; and the
countdown before it."""

import threading
import time
from collections.abc import Callable


class SteadyClock:
    """UTC seconds read off once, then counted by the processor's own counter."""

    def __init__(self):
        self._utc_minus_counter_s = time.time() - time.perf_counter()

    def now(self) -> float:
        """UTC seconds."""
        return self._utc_minus_counter_s + time.perf_counter()

    def sleep_until(self, t: float) -> None:
        """Returns at `t` UTC seconds; at once when that has passed."""
        time.sleep(max(t - self.now(), 0))


def counted_down(what: str, seconds: int, stop: threading.Event, say: Callable[[str], None]) -> bool:
    """Whether to go on after the seconds before `what` ("playing") begins."""
    for left in range(seconds, 0, -1):
        say(f"{what} in {left} ... (bring the game to the front)")
        if stop.wait(1):
            return False
    return True
