"""The files of a session: written, read back, and every way in which they can be bad."""

import json

import cv2
import numpy as np
import pytest

from stages.recordings.session import SessionWriter, count_frames, read_frames, read_session, session_stems
from stages.recordings.video import readable_frames

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
    writer.fight_result(2.0, "won")
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
    assert session.fight_result(0) == (2.0, "won")
    assert session.fight_result(1) == (None, None)
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
    assert metadata["fights"] == [{"score": 2.0, "outcome": "won"}]


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
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 2


def test_frames_read_as_opencv_reads_them(tmp_path):
    capture = cv2.VideoCapture(str(write(tmp_path) / "one.mp4"))
    for frame in read_frames(tmp_path / "one.mp4"):
        assert np.abs(frame.astype(int) - capture.read()[1]).max() <= 2
    assert not capture.read()[0]


def test_a_session_without_a_frame_can_be_closed_but_not_read(tmp_path):
    write(tmp_path, frames=0)
    with pytest.raises(ValueError, match="one.mp4 is missing"):
        read(tmp_path)
    with pytest.raises(ValueError, match="one.mp4 is missing"):
        count_frames(tmp_path / "one.mp4")


def test_a_fight_without_result_is_unknown(tmp_path):
    with SessionWriter(tmp_path, "one", **SIZE, fps=10, metadata={}, crf=20, state_columns=None) as writer:
        writer.marker("fight_start", 1)
        writer.marker("fight_start", 2)
        writer.fight_result(None, "lost")
        writer.frame(picture(0), 1)
    assert [read(tmp_path).fight_result(i) for i in (0, 1)] == [(None, None), (None, "lost")]


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
            writer.fight_result(1, None)
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
    assert session.fight_result(0) == (None, None)


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


# Bad input


@pytest.mark.parametrize("suffix", [".mp4", "_frames.jsonl", "_events.jsonl"])
def test_a_missing_or_empty_file_is_named(tmp_path, suffix):
    path = write(tmp_path) / f"one{suffix}"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"one{suffix} is empty"):
        read(tmp_path)
    path.unlink()
    assert session_stems(tmp_path) == ["one"]
    with pytest.raises(ValueError, match=f"one{suffix} is missing"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"event": "keydown", "key"', "this is not JSON; found"),
        ("", "this is not JSON"),
        ("[1, 2]", "expected a JSON object, not a list"),
        ('{"event": "mousemove", "t": 1}', "unknown event 'mousemove', expected one of"),
        ('{"event": "keydown", "t": 1}', "key is None"),
        ('{"event": "keydown", "key": "a"}', "t is missing, expected seconds"),
        ('{"event": "keydown", "key": "a", "t": NaN}', "t is nan, expected seconds"),
        ('{"event": "keydown", "key": "a", "t": Infinity}', "t is inf"),
        ('{"event": "keydown", "key": "a", "t": "now"}', "t is now"),
        ('{"event": "keydown", "key": "a", "t": true}', "t is True"),
        ('{"event": "marker", "type": "pause", "t": 1}', "marker of type 'pause'"),
    ],
)
def test_a_bad_event_line_is_an_error_or_skipped_and_counted(tmp_path, line, message):
    path = write(tmp_path) / "one_events.jsonl"
    lines = lines_of(path)
    put_lines(path, [lines[0], line, *lines[1:]])
    with pytest.raises(ValueError, match=f"one_events.jsonl, line 2: {message}.*align.on_bad_line: skip"):
        read(tmp_path)
    session = read(tmp_path, on_bad_line="skip")
    assert session.skipped_lines == 1
    assert [event.line for event in session.key_events] == [3, 4]


def test_bytes_that_are_no_text_are_a_bad_line(tmp_path):
    path = write(tmp_path) / "one_events.jsonl"
    path.write_bytes(path.read_bytes() + b'{"event": "keydown", "key": "\xe9", "t": 1800000000}\n')
    with pytest.raises(ValueError, match="line 5: this is not JSON"):
        read(tmp_path)


@pytest.mark.parametrize("bad", [[5], [4, 5], [0], [11], [0, 11]])
def test_a_skipped_frame_line_still_stands_for_its_frame(tmp_path, bad):
    path = write(tmp_path) / "one_frames.jsonl"
    lines = lines_of(path)
    put_lines(path, ['{"t": NaN}' if i in bad else line for i, line in enumerate(lines)])
    with pytest.raises(ValueError, match=f"one_frames.jsonl, line {bad[0] + 1}: t is nan"):
        read(tmp_path)
    session = read(tmp_path, on_bad_line="skip")
    assert session.skipped_lines == len(bad)
    np.testing.assert_allclose(session.times, START + np.arange(12) * 3 / 35, atol=2e-6, rtol=0)


def test_a_file_of_bad_lines_only_is_an_error_either_way(tmp_path):
    put_lines(write(tmp_path) / "one_frames.jsonl", ["?", "?"])
    with pytest.raises(ValueError, match="one_frames.jsonl holds no line that can be read"):
        read(tmp_path, on_bad_line="skip")


def test_a_repeat_that_is_no_truth_value_is_a_bad_line(tmp_path):
    put_lines(write(tmp_path) / "one_frames.jsonl", ['{"t": 1, "repeat": 1}'])
    with pytest.raises(ValueError, match="line 1: repeat is 1, expected true or false"):
        read(tmp_path)


@pytest.mark.parametrize("part", ["frames", "events"])
@pytest.mark.parametrize("on_bad_line", ["error", "skip"])
def test_times_that_run_backwards_are_an_error(tmp_path, part, on_bad_line):
    path = write(tmp_path) / f"one_{part}.jsonl"
    lines = lines_of(path)
    put_lines(path, [lines[0], lines[2], lines[1], *lines[3:]])
    with pytest.raises(ValueError, match=f"one_{part}.jsonl, line 3: time runs backwards, from 1700.* in line 2 to 17"):
        read(tmp_path, on_bad_line=on_bad_line)


def test_equal_times_are_accepted(tmp_path):
    path = foreign(tmp_path) / "one_frames.jsonl"
    put_lines(path, ['{"t": 1}', '{"t": 1, "repeat": true}', '{"t": 2}'])
    assert read(tmp_path).times.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a JSON object"),
        ("{", "this is not JSON"),
        ('{"fps": 0}', "fps is 0"),
        ('{"fps": "30"}', "fps is '30'"),
        ('{"fights": 3}', "fights must be a list"),
        ('{"fights": [{"score": "high"}]}', "the score 'high' of a fight"),
    ],
)
def test_a_bad_session_file_is_an_error(tmp_path, text, message):
    (write(tmp_path) / "one_session.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"one_session.json: {message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "holds 11 rows, the frame log 12 frames"),
        (lambda lines: [*lines[:3], "1,two", *lines[4:]], "line 4: expected 2 numbers, found '1,two'"),
        (lambda lines: [*lines[:3], "1", *lines[4:]], "line 4: expected 2 numbers, found '1'"),
        (lambda lines: ["x,x", *lines[1:]], "line 1: the column names"),
        (lambda lines: ["x,", *lines[1:]], "line 1: the column names"),
    ],
)
def test_a_bad_state_table_is_an_error(tmp_path, change, message):
    path = write(tmp_path, state=True) / "one_state.csv"
    put_lines(path, change(lines_of(path)))
    with pytest.raises(ValueError, match=f"one_state.csv.*{message}"):
        read(tmp_path)


def test_an_empty_state_table_is_an_error(tmp_path):
    (write(tmp_path) / "one_state.csv").write_bytes(b"")
    with pytest.raises(ValueError, match="one_state.csv is empty"):
        read(tmp_path)


def test_half_written_last_lines_of_a_crashed_session_are_cut_and_counted(tmp_path):
    write(tmp_path, state=True, complete=False)
    for part in ("frames.jsonl", "events.jsonl", "state.csv"):
        path = tmp_path / f"one_{part}"
        path.write_bytes(path.read_bytes()[:-4])
    session = read(tmp_path)
    assert session.closed is False
    assert (len(session.times), len(session.state.values), len(session.markers)) == (11, 11, 1)
    assert session.skipped_lines == 2


def test_the_same_half_line_of_a_closed_session_is_an_error(tmp_path):
    path = write(tmp_path) / "one_events.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="one_events.jsonl, line 4: this is not JSON"):
        read(tmp_path)


def test_a_truncated_video_is_an_error(tmp_path):
    path = write(tmp_path) / "one.mp4"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=r"one.mp4 is damaged or cut short after \d+ readable frames"):
        count_frames(path)
    with pytest.raises(ValueError, match="one.mp4 is damaged or cut short"):
        list(read_frames(path))
    count, damage = readable_frames(path)
    assert count <= 12
    assert "one.mp4" in damage


def test_a_video_that_ends_between_two_frames_is_noticed(tmp_path):
    """With the index in front (as other recorders write it) every frame that is left decodes without a complaint."""
    whole = (write(tmp_path) / "one.mp4").read_bytes()
    path = tmp_path / "front.mp4"
    path.write_bytes(index_in_front(whole))
    assert readable_frames(path) == (12, None)
    path.write_bytes(path.read_bytes()[:-200])
    count, damage = readable_frames(path)
    assert 0 < count < 12
    assert "are missing at its end" in damage
    with pytest.raises(ValueError, match=f"front.mp4 is damaged or cut short after {count} readable frames"):
        count_frames(path)


def index_in_front(mp4: bytes) -> bytes:
    """The same mp4 with its index (moov) before the pictures (mdat), as `-movflags faststart` writes it."""
    boxes, start = {}, 0
    while start < len(mp4):
        length = int.from_bytes(mp4[start : start + 4], "big")
        boxes[mp4[start + 4 : start + 8]] = mp4[start : start + length]
        start += length
    moov, at = bytearray(boxes[b"moov"]), boxes[b"moov"].index(b"stco") + 8
    for i in range(int.from_bytes(moov[at : at + 4], "big")):
        place = slice(at + 4 + 4 * i, at + 8 + 4 * i)
        moov[place] = (int.from_bytes(moov[place], "big") + len(moov)).to_bytes(4, "big")
    return boxes[b"ftyp"] + bytes(moov) + b"".join(boxes[name] for name in (b"free", b"mdat"))


def test_what_is_no_video_is_an_error(tmp_path):
    path = tmp_path / "one.mp4"
    path.write_text("hello" * 100, encoding="utf-8")
    with pytest.raises(ValueError, match="one.mp4 is damaged or cut short after 0 readable frames"):
        count_frames(path)
