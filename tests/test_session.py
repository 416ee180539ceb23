"""The files of a session: written and read back."""

import json

import numpy as np
import pytest

from stages.recordings.session import read_session, session_stems
from stages.recordings.video import count_frames, read_frames
from stages.recordings.writer import SessionWriter

START = 1_700_000_000.0
SIZE = {"width": 64, "height": 48}


def picture(i: int) -> np.ndarray:
    """A smooth image [48, 64, 3] with a square that moves."""
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    image = np.stack([x * 3, y * 4, 200 - x], axis=2).astype(np.uint8)
    image[20:28, i : i + 8] = (30, 90, 220)
    return image


def write(directory, stem="one", frames=12, *, state=False, complete=True):
    metadata = {"game": "pong", "keys": {"FIRE": ["Key.space"]}, "recorder": "understudy test", "player": "me"}
    columns = ["x", "enemy_id"] if state else None
    writer = SessionWriter(directory, stem, **SIZE, fps=35 / 3, metadata=metadata, crf=20, state_columns=columns)
    writer.marker("fight_start", START - 0.01)
    for i in range(frames):
        row = {"x": i / 3, "enemy_id": i} if i % 2 else {"x": i / 3}
        writer.frame(picture(i), START + i * 3 / 35, repeat=i == 3, state=row if state else None)
    writer.key("keydown", "'F'", START + 0.1)
    writer.key("keyup", "f", START + 0.1234567)
    writer.marker("fight_end", START + 0.5)
    writer.episode_result(2.0, "won")
    writer.close(complete=complete)
    return directory


def read(directory, stem="one", on_bad_line="error"):
    return read_session(directory, stem, on_bad_line=on_bad_line, picture_fps=10.0)


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


def put_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def foreign(directory):
    """A session as another recorder leaves it: no session file."""
    write(directory)
    (directory / "one_session.json").unlink()
    return directory


# Writing and reading back


def test_a_session_comes_back_as_it_was_written(tmp_path):
    session = read(write(tmp_path, state=True))
    assert session.times.dtype == np.float64
    np.testing.assert_array_equal(session.times, [round(START + i * 3 / 35, 6) for i in range(12)])
    assert np.flatnonzero(session.repeats).tolist() == [3]
    assert [(e.event, e.key, e.t, e.line) for e in session.key_events] == [
        ("keydown", "f", START + 0.1, 2),
        ("keyup", "f", START + 0.123457, 3),
    ]
    assert [(m.type, m.t, m.line) for m in session.markers] == [
        ("fight_start", START - 0.01, 1),
        ("fight_end", START + 0.5, 4),
    ]
    assert session.closed is True
    assert session.metadata["game"] == "pong"
    assert session.fps == pytest.approx(35 / 3, abs=1e-5)
    assert session.episode_result(0) == (2.0, "won")
    assert session.episode_result(1) == (None, None)
    assert session.skipped_lines == 0


def test_the_files_hold_the_documented_lines(tmp_path):
    write(tmp_path)
    assert lines_of(tmp_path / "one_frames.jsonl")[2:4] == [
        '{"t": 1700000000.171429}',
        '{"t": 1700000000.257143, "repeat": true}',
    ]
    assert lines_of(tmp_path / "one_events.jsonl")[:2] == [
        '{"event": "marker", "type": "fight_start", "t": 1699999999.99}',
        '{"event": "keydown", "key": "f", "t": 1700000000.1}',
    ]
    metadata = json.loads((tmp_path / "one_session.json").read_text(encoding="utf-8"))
    assert metadata["closed"] is True
    assert metadata["episodes"] == [{"score": 2.0, "outcome": "won"}]


def test_the_state_has_a_row_a_frame_and_nan_where_absent(tmp_path):
    state = read(write(tmp_path, state=True)).state
    assert state.columns == ("x", "enemy_id")
    assert state.values.dtype == np.float32
    np.testing.assert_array_equal(state.values[:, 0], np.float32(np.arange(12) / 3))
    np.testing.assert_array_equal(state.values[:4, 1], [np.nan, 1, np.nan, 3])


def test_equal_input_gives_equal_bytes(tmp_path):
    first = write(tmp_path / "a", frames=40, state=True)
    for name in "bcdefgh":
        again = write(tmp_path / name, frames=40, state=True)
        for path in first.iterdir():
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_pictures_survive_the_video(tmp_path):
    frames = list(read_frames(write(tmp_path) / "one.mp4"))
    assert count_frames(tmp_path / "one.mp4") == len(frames) == 12
    assert frames[0].shape == (48, 64, 3)
    assert frames[0].dtype == np.uint8
    difference = np.stack(frames).astype(float) - np.stack([picture(i) for i in range(12)])
    assert np.abs(difference).mean() < 2.5
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 1


def test_a_session_without_a_frame_can_be_closed_but_not_read(tmp_path):
    write(tmp_path, frames=0)
    with pytest.raises(ValueError, match="one.mp4 is missing"):
        read(tmp_path)
    with pytest.raises(ValueError, match="one.mp4 is missing"):
        count_frames(tmp_path / "one.mp4")


def test_a_episode_without_result_is_unknown(tmp_path):
    with SessionWriter(tmp_path, "one", **SIZE, fps=10, metadata={}, crf=20, state_columns=None) as writer:
        writer.marker("fight_start", 1)
        writer.marker("fight_start", 2)
        writer.episode_result(None, "lost")
        writer.frame(picture(0), 1)
    assert [read(tmp_path).episode_result(i) for i in (0, 1)] == [(None, None), (None, "lost")]


def test_a_recording_that_broke_off_is_marked_and_its_video_readable(tmp_path):
    with pytest.raises(RuntimeError, match="the game crashed"):
        with SessionWriter(tmp_path, "one", **SIZE, fps=10, metadata={}, crf=20, state_columns=None) as writer:
            writer.frame(picture(0), 1)
            writer.key("keydown", "a", 1)
            raise RuntimeError("the game crashed")
    assert read(tmp_path).closed is False
    assert count_frames(tmp_path / "one.mp4") == 1


def test_the_writer_refuses_what_would_spoil_a_recording(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="one.mp4 exists already"):
        write(tmp_path)
    options = {"fps": 10, "metadata": {}, "crf": 20}
    with pytest.raises(ValueError, match="63x48 .* must be even"):
        SessionWriter(tmp_path, "odd", width=63, height=48, **options, state_columns=None)
    assert not list(tmp_path.glob("odd*"))
    with pytest.raises(ValueError, match="the writer itself fills in"):
        SessionWriter(tmp_path, "own", **SIZE, fps=10, metadata={"closed": True}, crf=20, state_columns=None)
    with SessionWriter(tmp_path, "two", **SIZE, **options, state_columns=["x"]) as writer:
        with pytest.raises(ValueError, match=r"frame 0 is uint8 \[64, 48, 3\], expected uint8 \[48, 64, 3\]"):
            writer.frame(picture(0).transpose(1, 0, 2), 1.0)
        with pytest.raises(ValueError, match="frame 0 is float64"):
            writer.frame(picture(0) / 255, 1.0)
        with pytest.raises(ValueError, match=r"no such state columns: \['y'\]"):
            writer.frame(picture(0), 1.0, state={"y": 1})
        writer.frame(picture(0), 2.0)
        with pytest.raises(ValueError, match="time 1.5 after 2.0"):
            writer.frame(picture(0), 1.5)
        with pytest.raises(ValueError, match="time nan"):
            writer.key("keydown", "a", float("nan"))
        with pytest.raises(ValueError, match="'press' is no key event"):
            writer.key("press", "a", 1.0)
        with pytest.raises(ValueError, match="'pause' is no marker"):
            writer.marker("pause", 1.0)
        with pytest.raises(ValueError, match="follows its fight_start"):
            writer.episode_result(1, None)
    assert len(lines_of(tmp_path / "two_frames.jsonl")) == count_frames(tmp_path / "two.mp4") == 1


def test_a_state_needs_columns(tmp_path):
    with SessionWriter(tmp_path, "one", **SIZE, fps=10, metadata={}, crf=20, state_columns=None) as writer:
        with pytest.raises(ValueError, match="without state_columns"):
            writer.frame(picture(0), 1.0, state={"x": 1})


# Finding and reading what others wrote


def test_sessions_are_found_by_their_files_and_sorted(tmp_path):
    for stem in ("b", "a"):
        write(tmp_path, stem)
    (tmp_path / "._a.mp4").write_bytes(b"a file manager's own")
    assert session_stems(tmp_path) == ["a", "b"]


def test_no_session_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no session; a session is <name>.mp4, <name>_frames.jsonl, <name>_events"):
        session_stems(tmp_path)
    with pytest.raises(ValueError, match="there is no directory .*nowhere"):
        session_stems(tmp_path / "nowhere")


def test_a_session_of_another_recorder_needs_no_session_file(tmp_path):
    session = read(foreign(tmp_path))
    assert session.closed is None
    assert session.metadata == {}
    assert session.fps == pytest.approx(35 / 3, abs=1e-3)
    assert session.episode_result(0) == (None, None)


def test_byte_order_mark_line_ends_and_quoted_keys_of_other_recorders_are_accepted(tmp_path):
    foreign(tmp_path)
    path = tmp_path / "one_events.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"event": "keydown", "key": "\'f\'", "t": 1}\r\n\r\n')
    assert [(e.key, e.t) for e in read(tmp_path).key_events] == [("f", 1.0)]


def test_the_frame_rate_needs_two_frames(tmp_path):
    foreign(tmp_path)
    put_lines(tmp_path / "one_frames.jsonl", ['{"t": 1}'])
    with pytest.raises(ValueError, match="one.mp4: the frame times tell no frame rate"):
        _ = read(tmp_path).fps


def test_a_session_is_cut_to_its_first_frames(tmp_path):
    session = read(write(tmp_path, state=True)).cut_to(5)
    assert len(session.times) == len(session.repeats) == len(session.state.values) == 5
    assert len(session.key_events) == 2
