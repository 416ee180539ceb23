"""Labels and episodes against hand-made truths and a brute-force oracle."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.recordings.actions import ActionVocabulary
from stages.recordings.session import KeyEvent, Marker
from stages.recordings.timeline import (
    Timeline,
    end_of,
    episode_ids,
    episode_spans,
    labels,
    median_interval,
    presses,
    read_timeline,
    write_timeline,
)

VOCABULARY = ActionVocabulary.from_params(["LEFT", "FIRE"], {"LEFT": ["a", "Key.left"], "FIRE": ["Key.space"]})
TIMES = np.arange(6) / 10  # frames at 0.0, 0.1, ... 0.5


def events(text: str) -> list[KeyEvent]:
    """`"+a 0.1 -a 0.2"`: a goes down at 0.1 and up at 0.2."""
    words = text.split()
    names = {"+": "keydown", "-": "keyup"}
    pairs = zip(words[::2], words[1::2], strict=True)
    return [KeyEvent(names[key[0]], key[1:], float(t), line) for line, (key, t) in enumerate(pairs, 1)]


def markers(text: str) -> list[Marker]:
    """`"start 0.1 end 0.2"`."""
    words = text.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return [Marker(f"fight_{kind}", float(t), line) for line, (kind, t) in enumerate(pairs, 1)]


def column(text: str, rule: str, delay_ms: float = 0, action: str = "LEFT", times=TIMES) -> str:
    """The labels of one action as a word like `"011000"`."""
    found = labels(times, events(text), VOCABULARY, rule=rule, delay_ms=delay_ms)
    assert found.dtype == np.uint8
    assert found.shape == (len(times), 2)
    return "".join(str(value) for value in found[:, VOCABULARY.index(action)])


# Labels


@pytest.mark.parametrize(
    ("log", "state", "interval"),
    [
        ("+a 0.1 -a 0.3", "011000", "011000"),  # down at 0.1 exactly, up at 0.3 exactly
        ("+a 0.11 -a 0.31", "001100", "011100"),
        ("+a 0.11 -a 0.19", "000000", "010000"),  # a tap within a frame
        ("+a 0.19 -a 0.21", "001000", "011000"),  # a tap over a border
        ("+a 0.2 -a 0.2", "000000", "001000"),  # shorter than the clock's tick
        ("+a 0.11 -a 0.12 +a 0.15 -a 0.16", "000000", "010000"),
        ("+a 0.35", "000011", "000111"),  # never released
        ("-a 0.2", "000000", "000000"),  # never pressed
        ("+a 0.1 +a 0.2 -a 0.3 -a 0.4", "011000", "011000"),  # the keyboard repeats
        ("+a -0.5 -a -0.2", "000000", "000000"),  # over before the first frame
        ("+a -0.5 -a 0.15", "110000", "110000"),  # held from before
        ("+a -0.5 -a 0.0", "000000", "000000"),
        ("+a 0.55 -a 0.58", "000000", "000001"),  # the last frame lasts the median interval
        ("+a 0.6 -a 0.7", "000000", "000000"),
        ("+a 0.1 +Key.left 0.2 -a 0.3 -Key.left 0.4", "011100", "011100"),  # two keys of one action
        ("+Key.space 0.1 -Key.space 0.3 +q 0.1 -q 0.4", "000000", "000000"),  # another action's key, an unknown one
        ("", "000000", "000000"),
    ],
)
def test_both_rules_by_hand(log, state, interval):
    assert column(log, "state") == state
    assert column(log, "interval") == interval


def test_actions_stand_in_their_own_columns():
    found = labels(TIMES, events("+a 0 +Key.space 0.1 -a 0.2"), VOCABULARY, rule="state", delay_ms=0)
    assert found.tolist() == [[1, 0], [1, 1], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_a_delay_moves_keys_earlier():
    assert column("+a 0.3 -a 0.5", "state", delay_ms=200) == "011000"
    assert column("+a 0.3 -a 0.5", "interval", delay_ms=200) == "011000"
    assert column("+a 0.35 -a 0.36", "interval", delay_ms=200) == "010000"


def test_a_delayed_key_meets_its_frame_exactly_at_clock_times_too():
    times = np.round(1_700_000_000 + np.round(np.arange(600) / 60, 6), 6)
    for i in range(20, 600):
        down, up = float(times[i]), float(times[i]) + 0.001
        word = column(f"+a {down!r} -a {up!r}", "state", delay_ms=200, times=times)
        assert word.index("1") == i - 12


def test_a_long_gap_keeps_its_tap_in_the_frame_before():
    times = np.array([0, 0.1, 3.0, 3.1])
    assert column("+a 1 -a 1.05", "interval", times=times) == "0100"
    assert column("+a 1 -a 1.05", "state", times=times) == "0000"


def test_frames_at_one_time_share_what_is_down_then():
    times = np.array([0, 0.1, 0.1, 0.2])
    assert column("+a 0.1 -a 0.15", "state", times=times) == "0110"
    assert column("+a 0.1 -a 0.15", "interval", times=times) == "0110"
    assert column("+a 0.12 -a 0.15", "interval", times=times) == "0010"


def test_one_frame_and_no_frame():
    assert column("+a 0 -a 1", "interval", times=np.array([0.5])) == "1"
    assert column("+a 0.5 -a 1", "interval", times=np.array([0.5])) == "1"
    assert column("+a 0.6 -a 1", "interval", times=np.array([0.5])) == "0"
    assert column("+a 0 -a 1", "interval", times=np.array([])) == ""


def test_an_unknown_rule_is_an_error():
    with pytest.raises(ValueError, match="labels.rule is 'frame', expected 'interval' or 'state'"):
        column("+a 0", "frame")


def test_presses_pair_keydown_and_keyup():
    found = presses(events("-a 0 +a 1 +a 2 -a 3 -a 4 +b 5 +a 6"))
    assert {key: spans.tolist() for key, spans in found.items()} == {"a": [[1, 3], [6, np.inf]], "b": [[5, np.inf]]}


# Properties. Times are whole ticks of a clock, so that keys meet frames often.

TICK = 1 / 64
frame_ticks = st.lists(st.integers(0, 60), min_size=1, max_size=12).map(sorted)
key_logs = st.lists(
    st.tuples(st.integers(-10, 80), st.sampled_from(["keydown", "keyup"]), st.sampled_from(["a", "Key.left"])),
    max_size=25,
).map(lambda log: sorted(log, key=lambda entry: entry[0]))


def logged(log) -> list[KeyEvent]:
    return [KeyEvent(event, key, tick * TICK, line) for line, (tick, event, key) in enumerate(log, 1)]


def down_at(log, key, tick) -> bool:
    """The state rule as the design words it: the last event with time <= t is a keydown."""
    last = [event for t, event, name in log if name == key and t <= tick]
    return bool(last) and last[-1] == "keydown"


@given(frame_ticks, key_logs)
def test_state_labels_equal_the_brute_force_oracle(ticks, log):
    expected = [int(any(down_at(log, key, tick) for key in ("a", "Key.left"))) for tick in ticks]
    found = labels(np.array(ticks) * TICK, logged(log), VOCABULARY, rule="state", delay_ms=0)
    assert found[:, 0].tolist() == expected


@given(frame_ticks, key_logs)
@example([0, 3, 3, 7], [(3, "keydown", "a"), (3, "keyup", "a")])
def test_interval_labels_equal_the_brute_force_oracle(ticks, log):
    """Active when the key is down at the frame's time or goes down within the frame."""
    times = np.array(ticks) * TICK
    borders = [*ticks, end_of(times) / TICK]

    def active(i, key):
        goes_down = any(
            name == key and event == "keydown" and borders[i] <= t < borders[i + 1] and not down_at(log[:n], key, t)
            for n, (t, event, name) in enumerate(log)
        )
        return down_at(log, key, borders[i]) or goes_down

    expected = [int(any(active(i, key) for key in ("a", "Key.left"))) for i in range(len(ticks))]
    found = labels(times, logged(log), VOCABULARY, rule="interval", delay_ms=0)
    assert found[:, 0].tolist() == expected


@given(frame_ticks.filter(lambda ticks: ticks[-1] > ticks[0]), st.floats(0, 1), st.floats(0, 0.2))
def test_interval_labels_never_lose_a_tap(ticks, place, hold):
    times = np.round(1_700_000_000 + np.array(ticks) * TICK, 6)
    last = end_of(times)
    down = min(round(times[0] + place * (last - times[0]), 6), np.nextafter(last, 0))
    tap = [KeyEvent("keydown", "a", down, 1), KeyEvent("keyup", "a", round(down + hold, 6), 2)]
    found = labels(times, tap, VOCABULARY, rule="interval", delay_ms=0)[:, 0]
    frame = np.searchsorted(times, down, side="right") - 1
    assert found[frame] == 1
    assert not found[: np.searchsorted(times, times[frame])].any()


@given(frame_ticks, key_logs)
def test_interval_labels_hold_the_state_labels(ticks, log):
    times = np.array(ticks) * TICK
    state, interval = (labels(times, logged(log), VOCABULARY, rule=r, delay_ms=0) for r in ("state", "interval"))
    assert (interval >= state).all()


# Episodes


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", [0, 0, 0, 0, 0, 0]),  # no marker at all: one episode
        ("start 0.1 end 0.3", [-1, 0, 0, 0, -1, -1]),  # both borders belong to it
        ("start 0.11 end 0.29", [-1, -1, 0, -1, -1, -1]),
        ("start 0.0 end 0.1 start 0.3 end 0.4", [0, 0, -1, 1, 1, -1]),
        ("start 0.0 end 0.2 start 0.2 end 0.4", [0, 0, 1, 1, 1, -1]),
        ("start 0.2", [-1, -1, 0, 0, 0, 0]),  # not closed
        ("start 0.0 start 0.3 end 0.4", [0, 0, 0, 1, 1, -1]),
        ("end 0.2", [-1, -1, -1, -1, -1, -1]),  # not opened
        ("end 0.1 start 0.2 end 0.3 end 0.5", [-1, -1, 0, 0, -1, -1]),
        ("start 0.21 end 0.29 start 0.3 end 0.4", [-1, -1, -1, 1, 1, -1]),  # one between two frames keeps its number
    ],
)
def test_episodes_by_hand(log, expected):
    found = episode_ids(TIMES, markers(log))
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_episode_spans_in_order_of_their_start():
    assert episode_spans(markers("start 1 end 2 start 3 start 4"), 9).tolist() == [[1, 2], [3, 4], [4, 9]]
    assert episode_spans([], 9).shape == (0, 2)


def test_the_median_interval():
    assert median_interval(np.array([0, 1, 2, 9])) == 1
    assert median_interval(np.array([3.0])) == 0
    assert end_of(np.array([0, 1, 2])) == 3


# The file


def timeline() -> Timeline:
    times = np.round(1_763_800_000.123457 + np.arange(5) / 30, 6)
    return Timeline(
        session="one",
        frames=np.array([0, 1, 2, 5, 6]),
        times=times,
        repeats=np.array([False, True, False, False, True]),
        episode=np.array([-1, 0, 0, 1, -1]),
        actions=np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 0]], np.uint8),
        action_names=("LEFT", "FIRE"),
    )


def test_a_timeline_comes_back_exactly(tmp_path):
    write_timeline(tmp_path / "one.csv", timeline())
    found, written = read_timeline(tmp_path / "one.csv"), timeline()
    assert (found.session, found.action_names) == ("one", ("LEFT", "FIRE"))
    for name in ("times", "repeats", "episode", "actions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
        assert getattr(found, name).dtype == getattr(written, name).dtype


def test_the_file_reads_as_a_table(tmp_path):
    write_timeline(tmp_path / "one.csv", timeline())
    assert (
        (tmp_path / "one.csv")
        .read_bytes()
        .startswith(b"frame,t,episode,repeat,LEFT,FIRE\n0,1763800000.123457,-1,0,0,1\n1,1763800000.156790,0,1,1,1\n")
    )


def test_what_is_no_timeline_is_an_error(tmp_path):
    path = tmp_path / "one.csv"
    with pytest.raises(ValueError, match="one.csv is missing; run the stage align"):
        read_timeline(path)
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="one.csv, line 1: expected frame,t,episode,repeat,..., found 'a,b'"):
        read_timeline(path)
    path.write_text("frame,t,episode,repeat,LEFT\n0,1.0,0,0\n0,1.0,0,0,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="one.csv is no timeline"):
        read_timeline(path)
