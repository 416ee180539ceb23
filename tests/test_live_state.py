"""What a program of the player's tells of the game, while it is recorded or played."""

import json
import math
import shlex
import sys
import time

import numpy as np
import pytest

from stages.live.clock import SteadyClock
from stages.live.state import StateSource
from stages.live.tape import Tape
from stages.recordings.session import read_session

STILL = "import time; time.sleep(60)"


def program(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -uc {shlex.quote(code)}"


def waited(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_the_last_line_before_a_moment_counts_unless_it_is_old():
    clock = SteadyClock()
    now = clock.now()
    lines = [{"t": now - 0.9, "health": 87, "boss_x": None}, {"boss_x": 2.5, "t": now, "health": 86}]
    code = "".join(f"print({json.dumps(json.dumps(line))});" for line in lines) + STILL
    with StateSource(program(code), clock) as source:
        assert source.columns == ("health", "boss_x") and source.trouble is None
        waited(lambda: source.at(now)["health"] == 86)
        assert source.at(now)["boss_x"] == 2.5
        first = source.at(now - 0.1)
        assert first["health"] == 87 and math.isnan(first["boss_x"])
        assert all(map(math.isnan, source.at(now + 1.1).values()))
        assert all(map(math.isnan, source.at(now - 1).values()))
        with pytest.raises(
            ValueError, match=r"the agent reads \['mana'\]; --state-from .* tells \['health', 'boss_x'\]"
        ):
            source.require(["health", "mana"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('health 87')", "line 1: no JSON: 'health 87'"),
        ("print('[87]')", "no object such as"),
        ("print('{}')", "not one number"),
        ("""print('{"a": true}')""", "'a' is no number"),
        ("""print('{"a,b": 1}')""", "the name 'a,b' cannot head a column"),
        ("""print('{"a": 1, "t": 5}')""", "s from this machine's clock, expected UTC seconds"),
        ("pass", "ended with exit code 0"),
        ("raise SystemExit(3)", "ended with exit code 3"),
    ],
)
def test_nonsense_from_the_start_is_refused(code, words):
    with pytest.raises(ValueError, match="--state-from") as refused:
        StateSource(program(code), SteadyClock())
    assert words in str(refused.value) and len(str(refused.value)) < 300


def test_a_program_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="--state-from 'no-such-program -x' cannot be started: No such file"):
        StateSource("no-such-program -x", SteadyClock())


def test_later_nonsense_is_told_as_trouble():
    code = """import time; print('{"a": 1}'); time.sleep(0.5); print('{"b": 1}'); """ + STILL
    with StateSource(program(code), SteadyClock()) as source:
        waited(lambda: source.trouble)
        assert "line 2: 'b' is new; the first line has to name all columns" in source.trouble


def test_a_tape_writes_a_row_a_frame_and_it_is_read_as_the_sessions_state(tmp_path):
    clock = SteadyClock()
    code = """print('{"health": 87.5, "boss_x": null}'); """ + STILL
    with StateSource(program(code), clock) as source:
        waited(lambda: source.at(clock.now())["health"] == 87.5)
        tape = Tape(tmp_path, "s", width=16, height=16, fps=10, crf=20, metadata={"game": "g"}, state=source)
        start = clock.now()
        for i in range(3):
            tape.frame(np.zeros((16, 16, 3), np.uint8) if i != 1 else None, start + i / 10)
        tape.frame(None, start + 5)
        tape.close({})
    state = read_session(tmp_path, "s", on_bad_line="error", picture_fps=10).state
    assert state.columns == ("health", "boss_x")
    assert state.values[:3, 0].tolist() == [87.5] * 3 and np.isnan(state.values[3]).all()
    assert np.isnan(state.values[:, 1]).all()
