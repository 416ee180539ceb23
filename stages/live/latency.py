"""How long the agent takes, frame by frame, as numbers and as a histogram in letters."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

EDGES_MS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16.7, 25, 33, 50, 100, np.inf)


@dataclass
class Latencies:
    """In ms: `capture` of grabbing a picture, `decision` from the grabbed picture to the keys.

    `late` counts decisions that ended after the next picture was due, `missed` slots without a picture.
    """

    capture: list[float] = field(default_factory=list)
    decision: list[float] = field(default_factory=list)
    late: int = 0
    missed: int = 0

    def add(self, *, due: float, grabbing: float, grabbed: float, done: float, frame_s: float) -> None:
        """One frame; all moments in s."""
        self.capture.append((grabbed - grabbing) * 1000)
        self.decision.append((done - grabbed) * 1000)
        self.late += done > due + frame_s


def percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    """p50, p99 and max of some times in ms."""
    return dict(zip(("p50", "p99", "max"), np.percentile(values_ms, [50, 99, 100]).tolist(), strict=True))


def summary_lines(latencies: Latencies) -> list[str]:
    """What a person reads at the end of a run."""
    if not latencies.decision:
        return ["not a single frame was decided"]
    lines = []
    for name, values in (("capture", latencies.capture), ("picture to keys", latencies.decision)):
        lines.append(f"{name}: " + ", ".join(f"{p} {ms:.1f} ms" for p, ms in percentiles(values).items()))
    lines.append(
        f"{len(latencies.decision)} frames decided, {latencies.late} later than the next picture was due, "
        f"{latencies.missed} slots missed"
    )
    return [*lines, *histogram_lines(latencies.decision)]


def histogram_lines(values_ms: Sequence[float], width: int = 40) -> list[str]:
    """A bar for every range of ms that occurs."""
    counts, _ = np.histogram(values_ms, EDGES_MS)
    lines = []
    for low, high, count in zip(EDGES_MS, EDGES_MS[1:], counts.tolist(), strict=False):
        if count:
            upper = "" if np.isinf(high) else f"{high:g}"
            lines.append(f"  {low:>5g} - {upper:<5} ms {'#' * max(round(count / max(counts) * width), 1)} {count}")
    return lines
