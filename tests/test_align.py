"""The stage align: timelines, the doctor's report, and what it refuses."""

import json

import numpy as np
import pytest

from stages.align import align
from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Reading
from stages.recordings.timeline import read_timeline
from stages.recordings.writer import SessionWriter

START = 1_700_000_000.0
KEYS = {"LEFT": ["Key.left"], "FIRE": ["f"], "MENU": ["Key.esc"]}
VOCABULARY = ActionVocabulary.from_params(["LEFT", "FIRE"], KEYS)


def record(directory, stem="one", *, log="start 0 +Key.left 0.2 -Key.left 0.5 end 0.9", times=None, complete=True):
    """A session of ten frames at 10 Hz; `log` is keys and markers in seconds from the first frame."""
    image = np.zeros((48, 64, 3), np.uint8)
    times = np.arange(10) / 10 if times is None else times
    writer = SessionWriter(directory, stem, width=64, height=48, fps=10, metadata={}, crf=30, state_columns=None)
    for i, t in enumerate(times):
        image[:, i] = 255
        writer.frame(image, START + t, repeat=i == 4)
    words = log.split()
    for what, t in zip(words[::2], map(float, words[1::2]), strict=True):
        if what in ("start", "end"):
            writer.marker(f"fight_{what}", START + t)
        else:
            writer.key("keydown" if what[0] == "+" else "keyup", what[1:], START + t)
    writer.close(complete=complete)
    return directory


def run(
    directory, *, rule="interval", delay_ms=0, on_bad_line="error", workers=1, vocabulary=VOCABULARY, skip=False, **more
):
    reading = Reading(rule, delay_ms, on_bad_line, picture_fps=10.0, **more)
    return align(directory, directory.parent / "timelines", vocabulary, reading, workers, skip=skip)


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


def report_of(raw, **options):
    return run(raw, **options)["sessions"]["one"]


def drop_lines(path, count):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-count]), encoding="utf-8", newline="\n")


def test_a_session_becomes_a_timeline(raw):
    run(record(raw))
    timeline = read_timeline(raw.parent / "timelines/one.csv")
    assert timeline.action_names == ("LEFT", "FIRE")
    assert timeline.actions[:, 0].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert timeline.episode.tolist() == [0] * 10
    assert np.flatnonzero(timeline.repeats).tolist() == [4]
    np.testing.assert_array_equal(timeline.times, np.round(START + np.arange(10) / 10, 6))


def test_the_report_is_written_and_a_clean_session_has_no_warning(raw):
    report = run(record(raw))
    assert json.loads((raw.parent / "timelines/alignment.json").read_text(encoding="utf-8")) == report
    session = report["sessions"]["one"]
    assert session["warnings"] == []
    assert (session["frames"], session["video_frames"], session["logged_frames"]) == (10, 10, 10)
    assert session["seconds"] == 1
    assert session["repeats"] == 1
    assert session["presses"] == {"LEFT": 1, "FIRE": 0}
    assert session["interval_ms"] == {"median": 100, "std": 0, "p99": 100}
    assert session["gaps"] == {"count": 0, "longest_s": 0, "list": []}


def test_a_linked_folder_and_linked_files_are_read_as_what_they_link_to(raw, tmp_path):
    record(raw)
    expected = report_of(raw)
    (tmp_path / "files").mkdir()
    for path in raw.iterdir():
        (tmp_path / "files" / path.name).symlink_to(path)
    (tmp_path / "folder").symlink_to(raw, target_is_directory=True)
    assert report_of(tmp_path / "files") == report_of(tmp_path / "folder") == expected


def test_processes_change_nothing(raw):
    for stem in ("one", "three", "two"):
        record(raw, stem)
    alone = run(raw)
    files = {path.name: path.read_bytes() for path in (raw.parent / "timelines").iterdir()}
    assert run(raw, workers=2) == alone
    assert {path.name: path.read_bytes() for path in (raw.parent / "timelines").iterdir()} == files
    assert list(alone["sessions"]) == ["one", "three", "two"]
    assert alone["totals"]["frames"] == 30
    assert alone["totals"]["presses"] == {"LEFT": 3, "FIRE": 0}


def test_gaps_and_jitter(raw):
    times = np.array([0, 0.1, 0.2, 0.35, 0.45, 0.65, 0.75, 0.85, 0.95, 1.05])  # 0.15 is not yet a gap, 0.2 is one
    session = report_of(record(raw, times=times, log="start 0.5 +f 0.5 end 2"))
    assert session["gaps"] == {
        "count": 1,
        "longest_s": 0.2,
        "list": [{"frame": 4, "t": START + 0.45, "seconds": 0.2, "episode": -1}],
    }
    assert session["interval_ms"]["std"] == pytest.approx(1000 * np.diff(times).std(), abs=2e-3)


def test_a_pause_between_two_episodes_is_no_gap(raw):
    times = np.array([0, 0.1, 0.2, 0.3, 5.3, 5.4, 5.7, 5.8, 5.9, 6.0])
    session = report_of(record(raw, times=times, log="start 0 +f 0.1 -f 0.2 end 0.4 start 5.2 end 7"))
    assert session["pauses"] == 1
    assert [(gap["frame"], gap["episode"]) for gap in session["gaps"]["list"]] == [(5, 1)]
    assert session["interval_ms"]["std"] == pytest.approx(1000 * np.std([0.1] * 7 + [0.3]), abs=2e-3)


@pytest.mark.parametrize(("rule", "kept"), [("interval", 2), ("state", 1)])
def test_taps_shorter_than_a_frame(raw, rule, kept):
    """One over a frame's time, one between two frames; a long press, and taps before and after the video."""
    log = "+f -1 -f -0.95 +f 0.19 -f 0.21 +f 0.33 -f 0.36 +Key.left 0.4 -Key.left 0.7 +f 1.5 -f 1.55"
    session = report_of(record(raw, log=log), rule=rule)
    assert (session["short_taps"], session["short_taps_kept"]) == (2, kept)


def test_keys_that_hang_or_were_down_before(raw):
    log = "-f 0 start 0.1 +f 0.2 -f 0.3 -f 0.35 +Key.left 0.4 end 0.5 +f 0.6"
    session = report_of(record(raw, log=log))
    assert session["keys_down_at_end"] == ["f"]
    [lost] = session["key_repairs"]  # held to the end of the episode, and not through the next one
    assert (lost["key"], lost["down"], lost["up"]) == ("Key.left", START + 0.4, START + 0.5)
    assert session["keyups_without_keydown"] == {"f": 2}
    assert "still down at the end: f" in session["warnings"]


def test_keys_that_are_not_learned_are_counted(raw):
    log = "+q 0.1 -q 0.2 +q 0.3 -q 0.4 +Key.esc 0.5 -Key.esc 0.6 +f 0.7 -f 0.8"
    session = report_of(record(raw, log=log))
    assert session["unmapped_keys"] == {"q": 2}
    assert session["known_keys_not_learned"] == {"Key.esc": 1}


def test_events_outside_episodes(raw):
    session = report_of(record(raw, log="+f 0.1 -f 0.2 start 0.3 +f 0.4 -f 0.5 end 0.6 +f 0.7"))
    assert (session["key_events"], session["key_events_outside_episodes"]) == (5, 3)
    assert session["frames_in_episodes"] == 4


def test_unclosed_episodes_and_ends_without_start(raw):
    session = report_of(record(raw, log="end 0 start 0.1 +f 0.2 start 0.4 end 0.5 end 0.6 start 0.7"))
    assert session["episodes"] == 3
    assert [(u["episode"], u["line"]) for u in session["unclosed_episodes"]] == [(0, 2), (2, 7)]
    assert [e["line"] for e in session["episode_ends_without_start"]] == [1, 6]
    assert "episode 2 has no fight_end: it runs to the next episode or the last frame" in session["warnings"]
    assert read_timeline(raw.parent / "timelines/one.csv").episode.tolist() == [-1, 0, 0, 0, 1, 1, -1, 2, 2, 2]


def test_a_session_without_marker_is_one_episode_and_says_so(raw):
    report = run(record(raw, log="+f 0.1 -f 0.2"))
    assert report["sessions"]["one"]["no_marker"] is True
    assert report["sessions"]["one"]["episodes"] == 1
    assert report["totals"]["sessions_without_marker"] == 1
    assert "there is no marker fight_start: the whole session is one episode" in report["sessions"]["one"]["warnings"]


def test_wrong_clocks_are_suspected(raw):
    record(raw, times=np.arange(10) * 100)
    record(raw, "two", log="+f 5000 -f 5001")
    with pytest.raises(ValueError) as error:
        run(raw)
    assert "one: do not train on this: the median interval" in str(error.value)
    assert "two: do not train on this: no key event lies in the time of the video" in str(error.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_session_stops_align_or_is_left_out_and_named(raw, workers):
    record(raw)
    record(raw, "two", log="+f 5000 -f 5001")
    (record(raw, "worse") / "worse_frames.jsonl").write_text("[]")
    with pytest.raises(ValueError) as error:
        run(raw, workers=workers)
    first, second, todo = str(error.value).splitlines()
    assert (
        first == "two: do not train on this: no key event lies in the time of the video: do the two logs share a clock?"
    )
    assert "worse_frames.jsonl, line 1" in second and "align.on_bad_session: skip" in todo
    report = run(raw, workers=workers, skip=True)
    assert list(report["sessions"]) == ["one"] and list(report["left_out"]) == ["two", "worse"]
    assert [path.name for path in sorted((raw.parent / "timelines").iterdir())] == ["alignment.json", "one.csv"]
    (raw / "one_events.jsonl").write_text("[]")
    with pytest.raises(ValueError, match="one: do not train on this"):
        run(raw, skip=True)  # nothing would be left


def test_sessions_of_different_rates_are_refused_or_thinned(raw):
    for stem in ("one", "two"):
        record(raw, stem)
    record(raw, "fast", times=np.arange(10) / 30, log="+Key.left 0.1 -Key.left 0.2")
    with pytest.raises(ValueError, match="fast: .* it has 30 frames a second, most others 10: .* set align.fps: 10"):
        run(raw)
    run(raw, fps=10)
    fast = read_timeline(raw.parent / "timelines/fast.csv")
    assert fast.frames.tolist() == [0, 3, 6, 9] and fast.actions[:, 0].tolist() == [0, 1, 0, 0]
    assert read_timeline(raw.parent / "timelines/one.csv").frames.tolist() == list(range(10))


def test_what_an_agent_played_is_not_learned_unless_asked_for(raw):
    record(raw)
    path = raw / "one_session.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(said | {"player": "agent"}), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be learned from: played by: agent"):
        run(raw)
    assert run(raw, agents=True)["sessions"]["one"]["frames_left_out"] == 0
    spans = [{"player": "agent", "start": START + 0.6, "end": START + 0.8}]
    path.write_text(json.dumps(said | {"player": "human", "spans": spans}), encoding="utf-8")
    assert run(raw)["sessions"]["one"]["frames_left_out"] == 2
    assert read_timeline(raw.parent / "timelines/one.csv").episode.tolist() == [0] * 6 + [-1] * 2 + [0] * 2


def test_skipped_lines_are_reported(raw):
    path = record(raw) / "one_events.jsonl"
    path.write_text("oops\n" + path.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    with pytest.raises(ValueError, match="one_events.jsonl, line 1: this is not JSON"):
        run(raw)
    session = report_of(raw, on_bad_line="skip")
    assert session["skipped_lines"] == 1
    assert "1 lines could not be read and are skipped" in session["warnings"]


# Video against frame log


def test_a_log_shorter_or_longer_than_the_video_is_an_error(raw):
    path = record(raw) / "one_frames.jsonl"
    drop_lines(path, 1)
    with pytest.raises(
        ValueError, match="one.mp4 is longer than its frame log: 10 frames, but 9 lines in .*one_frames"
    ):
        run(raw)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(f'{{"t": {START + 1 + i}}}\n' for i in range(4))
    with pytest.raises(ValueError, match="one.mp4 is shorter than its frame log: 10 frames, but 13 lines in"):
        run(raw)


@pytest.mark.parametrize("part", ["frames.jsonl", "state.csv"])
def test_the_tail_of_a_crashed_session_is_cut_and_reported(raw, part):
    record(raw, complete=False)
    rows = ["x", *map(str, range(10))]
    (raw / "one_state.csv").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8", newline="\n")
    drop_lines(raw / f"one_{part}", 4)
    session = report_of(raw)
    assert (session["frames"], session["tail_frames_cut"]) == (6, 4)
    assert any("the last 4 frames are cut off" in warning for warning in session["warnings"])
    assert len(read_timeline(raw.parent / "timelines/one.csv").times) == 6


def test_a_foreign_session_may_differ_by_two_frames(raw):
    record(raw)
    (raw / "one_session.json").unlink()
    drop_lines(raw / "one_frames.jsonl", 2)
    assert report_of(raw)["tail_frames_cut"] == 2
    drop_lines(raw / "one_frames.jsonl", 1)
    with pytest.raises(ValueError, match="one.mp4 is longer than its frame log: 10 frames, but 7 lines"):
        run(raw)


def test_a_truncated_video_is_an_error_even_after_a_crash_when_nothing_can_be_read(raw):
    path = record(raw, complete=False) / "one.mp4"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="one.mp4 is damaged or cut short after 0 readable frames"):
        run(raw)
    path.write_bytes(b"no video")
    (raw / "one_session.json").unlink()
    with pytest.raises(ValueError, match="one.mp4 is damaged or cut short after 0 readable frames"):
        run(raw)


# Nothing to learn, and earlier results


def test_no_frame_in_any_episode_is_an_error(raw):
    with pytest.raises(ValueError, match="no frame lies in an episode"):
        run(record(raw, log="+f 0.6 -f 0.7 start 5 end 7"))


def test_a_key_map_that_meets_no_key_is_an_error_that_names_the_keys_pressed(raw):
    record(raw, log="+w 0.1 -w 0.2 +Key.esc 0.3 -Key.esc 0.4")
    with pytest.raises(ValueError, match=r"no key of the game is ever pressed; pressed are \{'w': 1, 'Key.esc': 1\}"):
        run(raw)


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_input_leaves_earlier_timelines_as_they_were(raw, workers):
    run(record(raw))
    timelines = raw.parent / "timelines"
    before = {path.name: path.read_bytes() for path in timelines.iterdir()}
    record(raw, "two")
    (raw / "two_frames.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match="two_frames.jsonl is empty"):
        run(raw, workers=workers)
    assert {path.name: path.read_bytes() for path in timelines.iterdir()} == before
    assert sorted(path.name for path in raw.parent.iterdir()) == ["raw", "timelines"]


def test_a_session_and_its_repaired_one_are_not_learned_from_together(raw):
    record(raw)
    record(raw, "one-fixed")
    said = json.loads((raw / "one-fixed_session.json").read_text(encoding="utf-8"))
    (raw / "one-fixed_session.json").write_text(json.dumps(said | {"repaired_from": "one"}), encoding="utf-8")
    with pytest.raises(ValueError, match="^one: one-fixed is the same recording, repaired"):
        run(raw)


def test_timelines_of_sessions_that_are_gone_go(raw):
    record(raw, "two")
    run(record(raw))
    for path in raw.glob("two*"):
        path.unlink()
    run(raw)
    assert sorted(path.name for path in (raw.parent / "timelines").iterdir()) == ["alignment.json", "one.csv"]
