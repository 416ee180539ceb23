"""When a picture is due, the clock of a recording, and how long the agent takes."""

import math
import time

import pytest

from stages.live.clock import SteadyClock
from stages.live.latency import Latencies, histogram_lines, percentiles, summary_lines
from stages.live.slots import Slots


def test_slots_that_went_by_are_missed_and_the_present_one_is_due():
    slots = Slots(100.0, 10)
    assert slots.due() == 100.0 and slots.missed(100.02) == []
    slots.taken()
    assert slots.missed(100.09) == [] and slots.due() == pytest.approx(100.1)
    assert slots.missed(100.35) == pytest.approx([100.1, 100.2])  # 100.3 is still due
    assert slots.due() == pytest.approx(100.3)
    slots.taken()
    assert slots.missed(100.40) == []


@pytest.mark.parametrize("fps", [0, -1, 1000, math.nan])
def test_a_frame_rate_that_no_screen_has(fps):
    with pytest.raises(ValueError, match="fps is"):
        Slots(0.0, fps)


def test_a_clock_that_is_set_is_not_followed(monkeypatch):
    clock, true = SteadyClock(), time.time
    for step in (3600.0, -7200.0):
        monkeypatch.setattr(time, "time", lambda step=step: true() + step)
        assert clock.now() == pytest.approx(true(), abs=0.5)


def test_latencies_count_what_came_too_late():
    found = Latencies()
    for done in (1.05, 1.0999, 1.2):
        found.add(due=1.0, grabbing=1.0, grabbed=1.01, done=done, frame_s=0.1)
    assert found.late == 1
    assert found.capture == pytest.approx([10, 10, 10]) and found.decision == pytest.approx([40, 89.9, 190])
    assert percentiles([1, 2, 3])["p50"] == 2 and percentiles([1, 2, 3])["max"] == 3
    assert "3 frames decided, 1 later than the next picture was due" in "\n".join(summary_lines(found))
    assert sum(int(line.rsplit(" ", 1)[1]) for line in histogram_lines([0.5, 20, 1000])) == 3
    assert summary_lines(Latencies()) == ["not a single frame was decided"]
