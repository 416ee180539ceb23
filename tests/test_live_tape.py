"""A session while it is recorded: its files, and the queue before the encoder."""

import json
import threading
import time

import numpy as np
import pytest

from stages.live.encoder import Encoder
from stages.live.tape import Tape
from stages.recordings.session import read_session
from stages.recordings.video import read_frames, readable_frames


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def tape(folder, name="a", **changes):
    return Tape(
        folder, name, **{"width": 64, "height": 48, "fps": 10, "crf": 20, "metadata": {"player": "human"}} | changes
    )


def test_a_tape_reads_back_as_the_session_that_was_recorded(tmp_path):
    writing = tape(tmp_path)
    writing.marker("fight_start", 0.9)
    for i in range(25):
        writing.frame(None if i == 3 else picture(10 * i), 1 + i / 10)
    writing.key("keydown", "'X'", 2.0)
    writing.key("keyup", "x", 1.9)  # two threads: the log keeps the order in which it was told
    writing.marker("fight_end", 4.0)
    writing.close({"dropped": 0})
    session = read_session(tmp_path, "a", on_bad_line="error", picture_fps=10)
    assert session.closed is True and session.fps == 10 and session.metadata["dropped"] == 0
    np.testing.assert_array_equal(np.flatnonzero(session.repeats), [3])
    assert [(e.event, e.key, e.t) for e in session.key_events] == [("keydown", "x", 2.0), ("keyup", "x", 2.0)]
    shown = [image.mean() for image in read_frames(session.video)]
    wanted = [10 * (2 if i == 3 else i) for i in range(25)]  # the repeat shows the picture before it
    np.testing.assert_allclose(shown, wanted, atol=3)


def test_what_a_killed_recorder_leaves_can_be_read(tmp_path):
    writing = tape(tmp_path, fps=10)
    for i in range(40):
        writing.frame(picture(5 * i), i / 10)
    frames, damage = readable_frames(tmp_path / "a.mp4")  # the tape is not closed, as after kill -9
    assert damage is None and frames >= 30
    assert len((tmp_path / "a_frames.jsonl").read_text().splitlines()) == 40
    assert json.loads((tmp_path / "a_session.json").read_text())["closed"] is False
    writing.close({})


@pytest.mark.parametrize("part", [".mp4", "_frames.jsonl", "_events.jsonl", "_session.json"])
def test_nothing_is_overwritten(tmp_path, part):
    (tmp_path / f"a{part}").write_text("precious")
    with pytest.raises(ValueError, match="never overwritten"):
        tape(tmp_path)
    assert (tmp_path / f"a{part}").read_text() == "precious"


@pytest.mark.parametrize("name", ["", "../a", "b/a", ".hidden"])
def test_a_name_that_is_no_file_name(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name"):
        tape(tmp_path, name)


def test_after_a_write_that_failed_nothing_more_is_written(tmp_path):
    writing = tape(tmp_path)
    writing.frame(picture(1), 1.0)

    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    whole, writing._frames = writing._frames, Full()
    writing.frame(picture(2), 1.1)
    writing._frames = whole
    writing.frame(picture(3), 1.2)
    writing.key("keydown", "x", 1.3)
    writing.close({})
    assert writing.failure.errno == 28
    assert len((tmp_path / "a_frames.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "a_session.json").read_text())["closed"] is False


class SlowDisk:
    """A log that takes 0.1 s a line; tests/live/test_faults.py records on it, too."""

    def __init__(self, file):
        self._file = file

    def write(self, text):
        time.sleep(0.1)
        self._file.write(text)

    def close(self):
        self._file.close()


def test_who_tells_of_a_key_does_not_wait_for_the_disk_and_none_is_lost(tmp_path):
    writing = tape(tmp_path)
    writing.frame(picture(0), 1.0)
    writing._events = SlowDisk(writing._events)
    start = time.monotonic()
    for i in range(10):
        writing.key("keydown" if i % 2 == 0 else "keyup", "x", 1 + i / 10)
    assert time.monotonic() - start < 0.1
    writing.close({})
    events = read_session(tmp_path, "a", on_bad_line="error", picture_fps=10).key_events
    assert [e.t for e in events] == pytest.approx([1 + i / 10 for i in range(10)])


def test_a_key_is_on_the_disk_at_once(tmp_path):
    writing = tape(tmp_path)
    writing.key("keydown", "x", 1.0)
    time.sleep(0.2)
    assert json.loads((tmp_path / "a_events.jsonl").read_text()) == {"event": "keydown", "key": "x", "t": 1.0}
    writing.close({})


class HeldTape:
    """An encoder that takes nothing until it may."""

    def __init__(self):
        self.may, self.rows = threading.Event(), []

    def frame(self, image, t):
        self.may.wait(5)
        self.rows.append((None if image is None else int(image[0, 0, 0]), t))


def test_the_queue_is_bounded_and_a_dropped_picture_becomes_a_repeat():
    held = HeldTape()
    with Encoder(held, pictures=3) as encoder:
        kept = [encoder.put(picture(i), i / 20) for i in range(20)]
        assert encoder.most_waiting == 3
        held.may.set()
    assert encoder.dropped == kept.count(False) >= 16
    assert [t for _, t in held.rows] == [i / 20 for i in range(20)]
    assert [value for value, _ in held.rows] == [i if k else None for i, k in enumerate(kept)]


def test_no_picture_waits_behind_a_second_of_others():
    """Small pictures would fill minutes of a queue that is bounded in bytes, and a kill loses what waits."""
    held = HeldTape()
    with Encoder(held, pictures=1000) as encoder:
        kept = [encoder.put(picture(0), i / 10) for i in range(40)]
        held.may.set()
    assert 10 <= sum(kept) <= 12 and encoder.dropped == 40 - sum(kept)
    assert len(held.rows) == 40


def test_an_encoder_that_fails_says_so_instead_of_hanging():
    class Broken:
        def frame(self, image, t):
            raise RuntimeError("no codec")

    with Encoder(Broken(), pictures=2) as encoder:
        encoder.put(picture(0), 0.0)
    assert "no codec" in str(encoder.error)
