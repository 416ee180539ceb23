"""Every way in which the files of a session can be bad: named, or cut and counted."""

import cv2
import numpy as np
import pytest

from stages.recordings.session import session_stems
from stages.recordings.video import VideoWriter, count_frames, read_frames, readable_frames
from tests.test_session import START, foreign, lines_of, put_lines, read, write


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
        ("[1, 2]", "expected a JSON object, not a list"),
        ('{"event": 7, "t": 1}', "event is '7', expected one of"),
        ('{"event": "keydown", "t": 1}', "key is 'None'"),
        ('{"event": "keydown", "key": "\\ud83d", "t": 1}', "key is"),
        ('{"event": "keydown", "key": "a", "key": "b", "t": 1}', "a name stands twice in it"),
        ("[" * 100_000, "this is not JSON"),
        ('{"event": "keydown", "key": "a", "t": 1700000000000}', r"t is 1.7e\+12, no UTC seconds"),
        ('{"event": "keydown", "key": "a"}', "t is missing, expected seconds"),
        ('{"event": "keydown", "key": "a", "t": NaN}', "t is 'nan', expected seconds"),
        ('{"event": "keydown", "key": "a", "t": Infinity}', "t is 'inf'"),
        ('{"event": "keydown", "key": "a", "t": 1' + "0" * 400 + "}", "t is 'inf'"),
        ('{"event": "keydown", "key": "a", "t": 1' + "0" * 5000 + "}", "t is 'inf'"),
        ('{"event": "keydown", "key": "a", "t": "now"}', "t is 'now'"),
        ('{"event": "keydown", "key": "a", "t": true}', "t is 'True'"),
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
    with pytest.raises(ValueError, match=f"one_frames.jsonl, line {bad[0] + 1}: t is 'nan'"):
        read(tmp_path)
    session = read(tmp_path, on_bad_line="skip")
    assert session.skipped_lines == len(bad)
    np.testing.assert_allclose(session.times, START + np.arange(12) * 3 / 35, atol=2e-6, rtol=0)


def test_a_blank_line_of_the_frame_log_is_no_frame_and_the_other_lines_keep_their_numbers(tmp_path):
    path = write(tmp_path) / "one_frames.jsonl"
    lines = lines_of(path)
    put_lines(path, [*lines[:5], "", *lines[5:-1], "?", lines[-1]])
    with pytest.raises(ValueError, match=f"line {len(lines) + 1}: this is not JSON"):
        read(tmp_path)
    put_lines(path, [*lines[:5], "", *lines[5:]])
    np.testing.assert_allclose(read(tmp_path).times, START + np.arange(12) * 3 / 35, atol=2e-6, rtol=0)


def test_other_events_are_counted_by_kind(tmp_path):
    path = write(tmp_path) / "one_events.jsonl"
    lines = lines_of(path)
    others = ['{"event": "move", "x": 1}', '{"event": "click", "t": 0}', '{"event": "move"}']
    put_lines(path, [lines[0], *others, *lines[1:]])
    session = read(tmp_path)
    assert session.other_events == {"move": 2, "click": 1} and not session.skipped_lines


@pytest.mark.parametrize(("down", "up"), [("KeyDown", "KeyUp"), ("key_down", "key-up")])
def test_key_events_are_read_however_their_kind_is_written(tmp_path, down, up):
    path = write(tmp_path) / "one_events.jsonl"
    before = read(tmp_path).key_events
    put_lines(path, [line.replace("keydown", down).replace("keyup", up) for line in lines_of(path)])
    assert before and read(tmp_path).key_events == before


@pytest.mark.parametrize("text", ["1800000000.5", "2027-01-15T08:00:00.5Z"])
def test_times_in_quotes_and_with_a_time_zone_are_certain(tmp_path, text):
    path = write(tmp_path) / "one_events.jsonl"
    put_lines(path, [*lines_of(path), f'{{"event": "keydown", "key": "a", "t": "{text}"}}'])
    assert read(tmp_path).key_events[-1].t == 1800000000.5


def test_a_log_in_utf_16_is_read(tmp_path):
    path = write(tmp_path) / "one_events.jsonl"
    before, text = read(tmp_path), path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-16")
    assert read(tmp_path).key_events == before.key_events


@pytest.mark.parametrize("suffix", [".mkv", ".MP4", ".mov"])
def test_any_container_is_the_video(tmp_path, suffix):
    video = write(tmp_path) / "one.mp4"
    video.rename(video.with_suffix(suffix))
    assert session_stems(tmp_path) == ["one"] and read(tmp_path).video.suffix == suffix
    (tmp_path / "one.webm").write_bytes(b"?")
    with pytest.raises(ValueError, match="are both the video of one; take one of them away"):
        read(tmp_path).video  # noqa: B018


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
        ('{"episodes": 3}', "episodes must be a list"),
        ('{"episodes": [{"score": "high"}]}', "the score 'high' of an episode"),
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


def test_a_picture_that_the_decoder_makes_up_is_damage(tmp_path):
    """Bytes in the middle are wrong: every frame is given, but one is guessed and those after it build on the guess."""
    noise = np.random.default_rng(0).integers(0, 255, (180, 500, 3), np.uint8)
    wall, path, found = cv2.GaussianBlur(noise, (0, 0), 0.8), tmp_path / "one.mp4", []
    writer = VideoWriter(path, width=320, height=180, fps=10, crf=20)
    for frame in range(20):
        writer.write(wall[:, 7 * frame : 7 * frame + 320])
    writer.close()
    whole = path.read_bytes()
    assert readable_frames(path) == (20, None)
    for at in range(len(whole) // 4, 3 * len(whole) // 4, len(whole) // 12):
        path.write_bytes(whole[:at] + bytes(255 - byte for byte in whole[at : at + 20]) + whole[at + 20 :])
        found.append(readable_frames(path))
    assert any(0 < count < 20 and "one.mp4 is damaged" in damage for count, damage in found)


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
