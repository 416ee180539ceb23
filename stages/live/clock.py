"""The clock of a recording: UTC seconds that never jump, whatever happens to the machine's clock meanwhile."""

import time


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
