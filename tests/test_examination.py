"""The doctor for a person's own recordings: verdicts, supply, repairs, and 200 sessions damaged by chance."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.episodes.enough import enough_lines, splits_of, supplies
from stages.evaluation.figures import style
from stages.evaluation.figures.recording import session_figure
from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Reading, examined_session
from stages.recordings.repair import repaired
from stages.recordings.session import read_session
from stages.recordings.timeline import Timeline, presses
from stages.recordings.verdict import BAD, GOOD, USABLE, repaired_twins, require_no_twins, verdict_of
from stages.recordings.writer import SessionWriter

VOCABULARY = ActionVocabulary.from_params(["LEFT", "SHOOT"], {"LEFT": ["Key.left"], "SHOOT": ["x"]})
READING = Reading(rule="interval", delay_ms=0, on_bad_line="error", picture_fps=10)


def write(folder, stem="a", *, frames=30, events=(), closed=True, repeats=(), t0=1000.0, state=False):
    """A session of pictures of noise with the given events: (t, event, key or marker type)."""
    metadata = {"game": "", "keys": {}, "recorder": "test", "player": "human"}
    with SessionWriter(
        folder, stem, width=32, height=32, fps=10, metadata=metadata, crf=30, state_columns=["n"] if state else None
    ) as writer:
        for i in range(frames):
            row = {"n": i} if state else None
            image = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
            writer.frame(image, t0 + i / 10, repeat=i in repeats, state=row)
        for t, event, what in events:
            writer.marker(what, t0 + t) if event == "marker" else writer.key(event, what, t0 + t)
    if not closed:
        path = folder / f"{stem}_session.json"
        path.write_text(path.read_text().replace('"closed": true', '"closed": false'))


EPISODE = [(0.0, "marker", "fight_start"), (2.9, "marker", "fight_end")]
PLAYED = [
    EPISODE[0],
    (0.5, "keydown", "x"),
    (0.9, "keyup", "x"),
    (1.0, "keydown", "Key.left"),
    (2.0, "keyup", "Key.left"),
]


def examined(folder, stem="a"):
    return examined_session(folder, stem, VOCABULARY, READING)


def test_a_good_recording(tmp_path):
    write(tmp_path, events=[*PLAYED, EPISODE[1]])
    found = examined(tmp_path)
    assert found.verdict.word == GOOD and not found.verdict.reasons
    np.testing.assert_array_equal(np.flatnonzero(found.timeline.actions[:, 1]), [5, 6, 7, 8])
    assert (found.timeline.episode == 0).all()


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({"closed": False}, USABLE, "not ended cleanly"),
        ({"repeats": (5, 6)}, USABLE, "repeat the one before"),
        ({"repeats": range(5, 15)}, BAD, "too slow"),
        ({"events": PLAYED}, USABLE, "no fight_end"),
        ({"events": [*PLAYED[:2], EPISODE[1]]}, USABLE, "1 keyups were lost: x, down at 1000.50"),
        ({"events": EPISODE}, BAD, "no key of the game is ever pressed"),
        ({"events": [EPISODE[0], (1, "keydown", "q"), (1.2, "keyup", "q"), EPISODE[1]]}, BAD, "is the key map right"),
        ({"events": [(50.0, *row[1:]) for row in PLAYED]}, BAD, "nothing is learned"),
        ({"events": [(t + 60 if event != "marker" else t, event, what) for t, event, what in PLAYED]}, BAD, "a clock"),
    ],
)
def test_verdicts(tmp_path, changes, word, reason):
    write(tmp_path, **{"events": [*PLAYED, EPISODE[1]]} | changes)
    verdict = examined(tmp_path).verdict
    assert verdict.word == word
    assert any(reason in words for words in verdict.reasons), verdict.reasons


def test_a_log_of_other_events_alone_is_told_by_their_kind(tmp_path):
    write(tmp_path, events=EPISODE)
    path = tmp_path / "a_events.jsonl"
    path.write_text(path.read_text() + '{"event": "press", "key": "x", "t": 1001}\n')
    assert examined(tmp_path).verdict.reasons[0].endswith("holds only press: call its events keydown and keyup")


def test_repairs_stand_beside_the_old_session(tmp_path):
    write(tmp_path, events=[*PLAYED[:2], EPISODE[1], (3.5, "keydown", "Key.left")], closed=False)
    lines = (tmp_path / "a_frames.jsonl").read_text()
    (tmp_path / "a_frames.jsonl").write_text(lines + '{"t": 1003.0}\n')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    name, done = repaired(tmp_path, "a", READING, crf=20)
    assert name == "a-fixed" and {path: (tmp_path / path).read_bytes() for path in before} == before
    assert any("1 frames cut off" in words for words in done) and any("x, down since" in words for words in done)
    found = examined(tmp_path, name)
    assert found.session.closed is True and len(found.session.times) == 30
    assert not found.report["keys_down_at_end"] and not found.report["unclosed_episodes"]
    spans = presses(found.session.key_events)
    assert spans["x"].tolist() == [[1000.5, 1000.6]]  # longer than any press of this player that is whole
    assert repaired(tmp_path, name, READING, crf=20) == (None, [])


def test_a_damaged_video_is_cut_to_where_the_state_table_ends_too(tmp_path):
    write(tmp_path, events=[*PLAYED, EPISODE[1]], closed=False, state=True)
    table, video = tmp_path / "a_state.csv", tmp_path / "a.mp4"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:21]))
    video.write_bytes(video.read_bytes()[:-1])
    name, done = repaired(tmp_path, "a", READING, crf=20)
    session = examined(tmp_path, name).session
    assert "10 frames cut off at the end" in done
    assert len(session.times) == 20 and session.state.values[:, 0].tolist() == list(range(20))


def test_an_end_that_differs_by_many_frames_is_cut_only_when_asked_for(tmp_path):
    write(tmp_path, events=[*PLAYED, EPISODE[1]])
    log = tmp_path / "a_frames.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:25]))
    with pytest.raises(ValueError, match="a.mp4 is longer than its frame log.*--cut-end"):
        repaired(tmp_path, "a", READING, crf=20)
    name, done = repaired(tmp_path, "a", READING, crf=20, cut_end=True)
    assert done == ["5 frames cut off at the end"]
    found = examined(tmp_path, name)
    assert found.report["frames"] == found.report["video_frames"] == 25
    with pytest.raises(ValueError, match="longer than its frame log"):
        examined(tmp_path)  # the limit holds for everybody who did not ask


def test_a_repair_remembers_which_recording_it_is_of(tmp_path):
    write(tmp_path, events=PLAYED)
    first, _ = repaired(tmp_path, "a", READING, crf=20)
    log = tmp_path / f"{first}_frames.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:25]))
    second, _ = repaired(tmp_path, first, READING, crf=20, cut_end=True)
    session = read_session(tmp_path, second, on_bad_line="error", picture_fps=10)
    assert second == "a-fixed-fixed" and session.metadata["repaired_from"] == "a"


def test_two_sessions_of_one_recording_are_found():
    first, again = {"repaired_from": "a"}, {"repaired_from": "b"}
    assert repaired_twins({"a": {}, "a-fixed": first, "b": {}, "c-fixed": {"repaired_from": "c"}}) == {"a": "a-fixed"}
    assert repaired_twins({"b": {}, "b-fixed": again, "b-fixed-fixed": again}) == dict.fromkeys(
        ("b", "b-fixed"), "b-fixed-fixed"
    )
    require_no_twins({"a-fixed": first, "b": {}})
    with pytest.raises(ValueError, match="^a: a-fixed is the same recording, repaired: take one of the two out"):
        require_no_twins({"a": {}, "a-fixed": first})


def test_an_unclosed_episode_is_closed_and_results_are_kept(tmp_path):
    write(tmp_path, events=[*PLAYED, (2.5, "marker", "fight_start")])
    path = tmp_path / "a_session.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"episodes": [{"score": 3, "outcome": "won"}]}))
    name, done = repaired(tmp_path, "a", READING, crf=20)
    session = read_session(tmp_path, name, on_bad_line="error", picture_fps=10)
    assert done == ["2 episodes closed"]
    assert [(m.type, m.t) for m in session.markers] == [
        ("fight_start", 1000.0), ("fight_end", 1002.5), ("fight_start", 1002.5), ("fight_end", 1003.0),
    ]  # fmt: skip
    assert session.episode_result(0) == (3, "won") and session.episode_result(1) == (None, None)


def timeline(name: str, pressed: dict[int, int], frames=600) -> Timeline:
    """`pressed`: column -> how many presses of three frames."""
    actions = np.zeros((frames, 3), np.uint8)
    for column, count in pressed.items():
        for k in range(count):
            actions[10 * k : 10 * k + 3, column] = 1
    return Timeline(
        name,
        np.arange(frames),
        np.arange(frames) / 10,
        np.zeros(frames, bool),
        np.zeros(frames, np.int64),
        actions,
        ("A", "B", "C"),
    )


def test_what_is_missing_is_counted_in_minutes():
    lines = {name: timeline(name, {0: 30, 1: 5}) for name in ("s1", "s2", "s3", "s4")}
    splits = splits_of(lines, unit="session", val=["s2"], test=["s3"], seed=0)
    often, seldom, never = supplies(lines, splits, min_presses=20, reflex_hold_s=0.4)
    assert often.presses == {"all": 120, "train": 60, "val": 30, "test": 30} and often.minutes_missing == 0
    assert seldom.presses["test"] == 5
    assert seldom.minutes_missing == pytest.approx(15 / (5 / 4))  # 20 presses in 4 minutes, a quarter of them in test
    assert seldom.recall_pm == pytest.approx(0.98 / np.sqrt(5))
    assert never.kind == "never" and np.isinf(never.minutes_missing)
    words = "\n".join(enough_lines([often, seldom, never], min_presses=20))
    assert "record more of B" in words and "12 more minutes" in words and "C is never pressed" in words
    assert "record more of A" not in words
    assert "enough of every action" in "\n".join(enough_lines([often], min_presses=20))


def test_a_picture_of_a_session(tmp_path):
    write(tmp_path, events=[*PLAYED, EPISODE[1]], repeats=(4,))
    session = examined(tmp_path).session
    figure = session_figure(
        "a", session.times, session.repeats, presses(session.key_events), [(1000.0, 1002.9)], "good"
    )
    top, lanes = figure.axes
    assert [label.get_text() for label in lanes.get_yticklabels()] == ["x", "Key.left"]
    assert len(top.lines[0].get_xdata()) == 29 and len(top.lines[1].get_xdata()) == 1
    assert style.save(figure, tmp_path / "a.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write(folder, events=[*PLAYED, EPISODE[1]])
    return folder


PARTS = (".mp4", "_frames.jsonl", "_events.jsonl", "_session.json")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_damaged_sessions_are_told_truthfully_or_refused_by_name(sound, tmp_path_factory, data):
    """A file is cut, loses bytes, gets wrong ones, or is taken away: never a crash, never silence."""
    folder = tmp_path_factory.mktemp("damaged")
    part = data.draw(st.sampled_from(PARTS))
    for each in PARTS:
        shutil.copy(sound / f"a{each}", folder)
    content = (folder / f"a{part}").read_bytes()
    damage = data.draw(st.sampled_from(["cut", "hole", "noise", "gone", "twice"]))
    at = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(1, max(len(content) // 3, 1)))
    changed = {
        "cut": content[:at],
        "hole": content[:at] + content[at + length :],
        "noise": content[:at] + data.draw(st.binary(min_size=1, max_size=20)) + content[at + 20 :],
        "gone": None,
        "twice": content[:at] + content[at : at + length] + content[at:],
    }[damage]
    if changed is None:
        (folder / f"a{part}").unlink()
    else:
        (folder / f"a{part}").write_bytes(changed)
    try:
        found = examined(folder)
    except ValueError as error:
        assert any(f"{folder / 'a'}{part}" in str(error) for part in PARTS), error
        return
    finally:
        shutil.rmtree(folder)
    report, count = found.report, len(found.session.times)
    assert count == report["frames"] <= min(report["video_frames"], report["logged_frames"])
    assert len(found.timeline.actions) == len(found.timeline.episode) == count
    if count < 30:
        assert report["tail_frames_cut"] or report["video_frames"] == count
    verdict_of(report)
