"""Presses out of key logs that lost keyups."""

import numpy as np
import pytest

from stages.recordings.pairing import paired
from stages.recordings.session import KeyEvent
from stages.recordings.timeline import presses


def log(text: str) -> list[KeyEvent]:
    """`+a 1.5 -a 2`: a key, + goes down, - goes up, and when."""
    words = text.split()
    events = [
        KeyEvent("keydown" if key[0] == "+" else "keyup", key[1:], float(t), line)
        for line, (key, t) in enumerate(zip(words[::2], words[1::2], strict=True), start=1)
    ]
    return sorted(events, key=lambda event: event.t)


WHOLE = "+a 1 -a 1.2 +a 2 -a 2.4 +a 3 -a 3.3 "  # the median hold is .3


@pytest.mark.parametrize(
    ("text", "spans", "repairs", "repeats", "stray"),
    [
        ("+f 1 -f 2", [[1, 2]], 0, 0, 0),
        ("+f 1 -f 41", [[1, 41]], 0, 0, 0),  # a keyup that is there is believed, however late
        ("+f 1 +f 1.5 +f 1.53 -f 2", [[1, 2]], 0, 2, 0),  # the keyboard's repeats
        ("+f 1 -f 1.5 +f 1.5 -f 1.53 +f 1.53 -f 2", [[1, 2]], 0, 2, 0),  # as X11 tells them
        ("+f 1 -f 1.05 +f 1.05 -f 1.1", [[1, 1.05], [1.05, 1.1]], 0, 0, 0),  # a program presses that quickly
        ("+f 1 +f 30 -f 30.1", [[1, 1.1], [30, 30.1]], 1, 0, 0),  # its own median hold
        (WHOLE + "+f 5 +f 30", [[5, 5.3], [30, 30.3]], 2, 0, 0),  # that of all keys
        ("+f 1 +f 1.5 +f 1.6 +f 30 -f 30.1", [[1, 1.71], [30, 30.1]], 1, 2, 0),  # after its last repeat
        ("+f 1 +f 1.5 -f 1.7", [[1, 1.2], [1.5, 1.7]], 1, 0, 0),  # a log without the keyboard's repeats
        ("-f 1 +f 2 -f 2.5 -f 3", [[2, 2.5]], 0, 0, 2),
        (WHOLE + "+f 58.5", [[58.5, float("inf")]], 0, 0, 0),  # to the end of the recording
        (WHOLE + "+f 39", [[39, 40]], 1, 0, 0),  # to the end of its episode
        (WHOLE + "+f 10", [[10, 10.3]], 1, 0, 0),  # nobody here holds a key for 30 s
    ],
)
def test_every_press_ends_when_it_can_have_ended(text, spans, repairs, repeats, stray):
    found = paired(log(text), [40.0, 60.0])
    np.testing.assert_allclose(presses(found.events)["f"], spans, atol=1e-5)
    assert (len(found.repairs), found.repeats.get("f", 0), found.stray_keyups.get("f", 0)) == (repairs, repeats, stray)
    assert paired(found.events, [40.0, 60.0]).events == found.events


def test_a_repair_says_what_it_did():
    [repair] = paired(log("+f 1 +f 30 -f 30.1"), [60.0]).repairs
    assert (repair.key, repair.down, repair.up, repair.until) == ("f", 1, 1.1, 30)
