"""Logs that other programs, clocks and accidents leave behind: read, refused in a line, or named."""

import json

import numpy as np
import pytest

from stages.recordings.verdict import BAD, GOOD, USABLE
from tests.sound_session import FPS, SECONDS, START, change_lines, examined, write_lines, write_session


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_session(folder)
    return folder, examined(folder).timeline.actions


@pytest.fixture
def folder(sound, tmp_path):
    for path in sound[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def whys(found):
    return " | ".join(found.verdict.reasons)


@pytest.mark.parametrize("presses", [4, 12, 30])
def test_a_key_log_that_ends_early_is_told(folder, presses):
    def early(rows):
        keys = [row for row in rows if "key" in row]
        return [rows[0], *keys[: 2 * presses], rows[-1]]

    change_lines(folder / "s_events.jsonl", early)
    found = examined(folder)
    assert found.verdict.word == BAD and "the key log is silent for" in whys(found)


def test_a_span_of_an_agent_beyond_the_last_frame_is_no_stretch(folder, sound):
    span = {"player": "agent", "start": START + 2 * SECONDS, "end": START + 3 * SECONDS}
    (folder / "s_session.json").write_text(json.dumps({"closed": True, "spans": [span]}))
    found = examined(folder)
    assert found.verdict.word == GOOD
    np.testing.assert_array_equal(found.timeline.actions, sound[1])


@pytest.mark.parametrize(("start", "end"), [(START * 1000, START * 1001), (START + 5, START), (float("nan"), START)])
def test_a_span_that_cannot_be_is_refused(folder, start, end):
    span = {"player": "agent", "start": start, "end": end}
    (folder / "s_session.json").write_text(json.dumps({"closed": True, "spans": [span]}))
    with pytest.raises(ValueError, match="s_session.json: spans must be a list"):
        examined(folder)


def test_a_skipped_line_of_the_frame_log_is_not_made_up_for_at_the_end(folder):
    log = folder / "s_frames.jsonl"
    log.write_text('{"fps": 10}\n' + log.read_text())
    with pytest.raises(ValueError, match="600 frames, but 601 lines"):
        examined(folder, on_bad_line="skip")


def test_numbers_of_frames_are_no_times(folder):
    change_lines(folder / "s_frames.jsonl", lambda rows: [{"t": i} for i in range(len(rows))])
    change_lines(folder / "s_events.jsonl", lambda rows: [row | {"t": int((row["t"] - START) * FPS)} for row in rows])
    found = examined(folder)
    assert found.verdict.word == BAD and "write seconds, not frame numbers" in whys(found)


@pytest.mark.parametrize("fps", [None, 5.0])
def test_a_clock_that_was_set_midway_is_told_and_fills_no_memory(folder, fps):
    def late(rows):
        return [row | {"t": row["t"] + 1e9 * (row["t"] > START + SECONDS / 2)} for row in rows]

    for log in ("s_frames.jsonl", "s_events.jsonl"):
        change_lines(folder / log, late)
    found = examined(folder, fps=fps)
    assert found.verdict.word == BAD and "was the clock set?" in whys(found)


def test_a_file_that_may_not_be_read_is_named(folder, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("stages.recordings.logs._text", forbidden)
    with pytest.raises(ValueError, match=r"s_frames\.jsonl cannot be opened: Permission denied"):
        examined(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_session_file_of_a_text_editor_is_read(folder, encoding):
    (folder / "s_session.json").write_bytes('{"game": "x"}'.encode(encoding))
    found = examined(folder)
    assert found.verdict.word == GOOD and found.session.closed is None  # no recorder of ours wrote it


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("größe".encode("latin-1"), "s_state.csv, line 1: this is no UTF-8"),
        (b",".join([b"a"] * 30_000), "s_state.csv, line 1: the column names"),
    ],
)
def test_a_state_table_that_cannot_be_read_is_named_in_a_line(folder, header, words):
    (folder / "s_state.csv").write_bytes(header + b"\n" + b"1\n" * FPS * SECONDS)
    with pytest.raises(ValueError, match=words) as told:
        examined(folder)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(("delay_s", "every_s"), [(1.0, 0.5), (0.5, 0.25), (0.2, 0.2)])
def test_the_slowest_repeats_of_a_keyboard_are_no_presses(folder, delay_s, every_s):
    """Keys that are held for three seconds each, in turn, with the repeats that such a keyboard logs."""
    rows = []
    for turn, down in enumerate(np.arange(1, SECONDS - 5, 4.0)):
        repeats = np.arange(down + delay_s, down + 3, every_s)
        key = "adf"[turn % 3]
        rows += [{"event": "keydown", "key": key, "t": START + float(t)} for t in (down, *repeats)]
        rows.append({"event": "keyup", "key": key, "t": START + float(down) + 3})
    write_lines(folder / "s_events.jsonl", rows)
    found = examined(folder)
    assert not found.report["key_repairs"] and found.report["key_repeats"].keys() == {"a", "d", "f"}
    assert sum(found.report["presses"].values()) == len(np.arange(1, SECONDS - 5, 4.0))
    assert found.timeline.actions.any(axis=1).mean() == pytest.approx(14 * 3 / SECONDS, abs=0.05)


def test_many_keys_that_stand_for_nothing_are_a_few_lines(folder):
    def chatted(rows):
        more = [
            {"event": event, "key": chr(0x4E00 + i) * (1 + 500 * (i == 7)), "t": START + 1 + i / 4 + late}
            for i in range(200) for event, late in (("keydown", 0.0), ("keyup", 0.1))
        ]  # fmt: skip
        return sorted(rows + more, key=lambda row: row["t"])

    change_lines(folder / "s_events.jsonl", chatted)
    found = examined(folder)
    assert found.verdict.word == USABLE and len(found.verdict.reasons) < 12
    assert "and 192 more like that" in whys(found) and max(map(len, found.verdict.reasons)) < 200
