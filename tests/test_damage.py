"""Damage to a sound session, at random: its labels stay as they were, or it is refused, or the repair is counted.

Each kind of damage has the size from which it can be told. What cannot be told, whatever its size, stands under "Not
told" in stages/recordings/README.md.
`make damage` tries ten times as many.
"""

import json
import os
import shutil
from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stages.recordings.verdict import BAD, GOOD, USABLE
from stages.recordings.video import read_frames
from tests.sound_session import FPS, SECONDS, START, change_lines, examined, write_session, write_video

EXAMPLES = int(os.environ.get("DAMAGE_EXAMPLES", "8"))  # of each of the KINDS
SAME, REFUSED, COUNTED = "labels as before", "refused", "counted"
Draw = Callable[[float, float], float]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_session(folder)
    return folder, examined(folder).timeline


@pytest.fixture
def folder(sound, tmp_path):
    """A copy of the sound session, to damage."""
    return shutil.copytree(sound[0], tmp_path / "session")


def events(folder):
    return folder / "s_events.jsonl"


def frames_log(folder):
    return folder / "s_frames.jsonl"


def keys_of(rows):
    return [i for i, row in enumerate(rows) if row["event"] != "marker"]


def retimed(change):
    """Changes the time of every key event."""

    def of(rows):
        return [row if row["event"] == "marker" else row | {"t": change(row["t"])} for row in rows]

    return of


def in_order(rows):
    return sorted(rows, key=lambda row: row["t"])


def pictures(folder):
    return np.stack(list(read_frames(folder / "s.mp4")))


# Each takes the folder, `draw(low, high)` and a generator; what it does is at least as large as said after its name.


def lost_keyups(folder, draw, rng):  # 1
    count = round(draw(1, 20))
    change_lines(events(folder), lambda rows: [
        row for i, row in enumerate(rows)
        if i not in rng.choice([i for i, each in enumerate(rows[:-40]) if each["event"] == "keyup"], count)
    ])  # fmt: skip


def lost_keydowns(folder, draw, rng):  # 1
    lost = round(draw(1, 20))
    change_lines(events(folder), lambda rows: [
        row for i, row in enumerate(rows)
        if i not in [i for i, each in enumerate(rows) if each["event"] == "keydown"][:lost]
    ])  # fmt: skip


def repeats(folder, draw, rng):  # any
    every = draw(0.02, 0.1)

    def change(rows):
        more, down = [], {}
        for row in rows:
            if row["event"] == "keydown":
                down[row["key"]] = row["t"]
            elif row["event"] == "keyup":
                more += [row | {"event": "keydown", "t": round(float(t), 4)}
                         for t in np.arange(down[row["key"]] + every, row["t"] - 0.01, every)]  # fmt: skip
        return in_order(rows + more)

    change_lines(events(folder), change)


def bounces(folder, draw, rng):  # gaps of up to 5 ms
    def change(rows):
        more = []
        for row in rows:
            if row["event"] == "keydown":
                t = row["t"] + 0.2
                more += [row | {"event": "keyup", "t": round(t, 4)}, row | {"t": round(t + draw(0, 0.004), 4)}]
        return in_order(rows + more)

    change_lines(events(folder), change)


def late_keys(folder, draw, rng):  # 1.2 s
    by = draw(1.2, 9)
    change_lines(events(folder), lambda rows: in_order(retimed(lambda t: round(t + by, 4))(rows)))


def early_keys(folder, draw, rng):  # 2 s: a game may answer within one
    by = draw(2, 9)
    change_lines(events(folder), lambda rows: in_order(retimed(lambda t: round(t - by, 4))(rows)))


def keys_of_another_clock(folder, draw, rng):  # the length of the recording
    by = draw(SECONDS, 1e9) * rng.choice([-1, 1])
    change_lines(events(folder), lambda rows: in_order(retimed(lambda t: round(t + by, 4))(rows)))


def keys_of_another_rate(folder, draw, rng):  # 3 %, and up to twice as fast or slow
    rate = draw(1.03, 1.95) ** rng.choice([-1, 1])
    change_lines(events(folder), lambda rows: in_order(retimed(lambda t: round(START + (t - START) * rate, 4))(rows)))


def another_unit(folder, draw, rng):  # a thousand
    factor = rng.choice([1e3, 1e6, 1e9])
    for path in (events(folder), frames_log(folder)):
        change_lines(path, lambda rows: [row | {"t": row["t"] * factor} for row in rows])


def whole_seconds(folder, draw, rng):
    for path in (events(folder), frames_log(folder)):
        change_lines(path, lambda rows: [row | {"t": int(row["t"])} for row in rows])


def silent_key_log(folder, draw, rng):  # 20 s, from when no key is down: else it looks like a key held for so long
    wanted, down = START + draw(5, SECONDS - 26), set()
    for row in map(json.loads, events(folder).read_text().splitlines()):
        if row["event"] == "keydown":
            down.add(row["key"])
        elif row["event"] == "keyup":
            down.discard(row["key"])
        start = row["t"] + 1e-3
        if start >= wanted and not down:
            break
    stop = start + draw(20, 25)
    change_lines(events(folder), lambda rows: [
        row for row in rows if row["event"] == "marker" or not start <= row["t"] <= stop
    ])  # fmt: skip


def shorter_frame_log(folder, draw, rng):  # 3 lines, anywhere
    lost = rng.choice(FPS * SECONDS, round(draw(3, 300)), replace=False)
    change_lines(frames_log(folder), lambda rows: [row for i, row in enumerate(rows) if i not in lost])


def doubled_frame_lines(folder, draw, rng):  # 3 lines
    twice = rng.choice(FPS * SECONDS, round(draw(3, 100)), replace=False)
    change_lines(frames_log(folder), lambda rows: [row for i, r in enumerate(rows) for row in [r] * (1 + (i in twice))])


def shorter_video(folder, draw, rng):  # 3 frames
    write_video(folder / "s.mp4", pictures(folder)[: -round(draw(3, 300))])


def cut_video_file(folder, draw, rng):  # a byte
    data = (folder / "s.mp4").read_bytes()
    (folder / "s.mp4").write_bytes(data[: -round(draw(1, len(data) - 1))])


def black(folder, draw, rng):  # 2.5 s
    images, start = pictures(folder), round(draw(10, 400))
    images[start : start + round(draw(25, 190))] = 0
    write_video(folder / "s.mp4", images)


def frozen(folder, draw, rng):  # 4 s
    images, start = pictures(folder), round(draw(10, 400))
    stop = start + round(draw(40, 190))
    images[start:stop] = images[start]
    write_video(folder / "s.mp4", images)


def half_rate(folder, draw, rng):  # all of it
    images, period = pictures(folder), round(draw(2, 4))
    write_video(folder / "s.mp4", images[np.arange(len(images)) // period * period])


def two_tracks(folder, draw, rng):
    images = pictures(folder)[:20]
    with av.open(str(folder / "s.mp4"), "w") as box:
        tracks = [box.add_stream("libx264", rate=FPS) for _ in range(2)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = images.shape[2], images.shape[1], "yuv420p"
        for image in images:
            for track in tracks:
                box.mux(track.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        for track in tracks:
            box.mux(track.encode(None))


def another_container(folder, draw, rng):
    mp4, other = folder / "s.mp4", folder / f"s{rng.choice(['.mkv', '.MP4', '.mov'])}"
    mp4.rename(folder / "before")
    with av.open(str(folder / "before")) as box, av.open(str(other), "w") as out:
        track = out.add_stream_from_template(box.streams.video[0])
        for packet in box.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                out.mux(packet)


def another_encoding(folder, draw, rng):
    path = rng.choice([events(folder), frames_log(folder)])
    text = path.read_text("utf-8")
    path.write_text(text, encoding=rng.choice(["utf-16", "utf-8-sig"]))


def blank_lines(folder, draw, rng):
    for path in (events(folder), frames_log(folder)):
        change_lines(path, lambda rows: [row for each in rows for row in [each, *[""] * (rng.random() < 0.1)]])


def unreadable_lines(folder, draw, rng):  # 1
    path = rng.choice([events(folder), frames_log(folder)])
    at = round(draw(0, 50))
    change_lines(path, lambda rows: [*rows[:at], rng.choice(['{"t": NaN}', "oops", "[" * 9999]), *rows[at:]])


def other_names(folder, draw, rng):
    def name(key):
        return str(rng.choice([key, f"'{key}'", key.upper(), chr(ord(key) - 96)]))

    change_lines(
        events(folder), lambda rows: [row | {"key": name(row["key"])} if "key" in row else row for row in rows]
    )


def lines_out_of_order(folder, draw, rng):  # two, of different times
    def change(rows):
        at = keys_of(rows)[round(draw(2, 50))]
        rows[at - 1], rows[at] = rows[at], rows[at - 1]
        return rows

    change_lines(events(folder), change)


def no_markers(folder, draw, rng):
    change_lines(events(folder), lambda rows: rows[: -round(draw(1, 1))])


def other_events(folder, draw, rng):
    more = [{"event": "move", "x": i, "t": START + i} for i in range(round(draw(1, 500)))]
    change_lines(events(folder), lambda rows: rows + more)


KINDS = {
    lost_keyups: COUNTED, lost_keydowns: COUNTED, repeats: SAME, bounces: SAME, late_keys: REFUSED,
    early_keys: REFUSED, keys_of_another_clock: REFUSED, keys_of_another_rate: REFUSED, another_unit: REFUSED,
    whole_seconds: REFUSED, silent_key_log: COUNTED, shorter_frame_log: REFUSED, doubled_frame_lines: REFUSED,
    shorter_video: REFUSED, cut_video_file: REFUSED, black: COUNTED, frozen: COUNTED, half_rate: REFUSED,
    two_tracks: REFUSED, another_container: SAME, another_encoding: SAME, blank_lines: SAME,
    unreadable_lines: REFUSED, other_names: SAME, lines_out_of_order: REFUSED, no_markers: COUNTED, other_events: SAME,
}  # fmt: skip


def outcome(folder, before) -> str:
    try:
        found = examined(folder)
    except ValueError as error:
        assert "s" in str(error) and str(error).count("\n") < 4 and len(str(error)) < 700
        return REFUSED
    if found.verdict.word == BAD:
        return REFUSED
    report = found.report
    counted = report["key_repairs"] or report["left_out"] or report["keyups_without_keydown"]
    if counted or report["unclosed_episodes"] or report["no_marker"]:
        return COUNTED
    same = np.array_equal(found.timeline.actions, before.actions)
    assert same and np.array_equal(found.timeline.episode, before.episode), "other labels, and not a word"
    return SAME


@pytest.mark.parametrize("damage", KINDS, ids=lambda kind: kind.__name__)
def test_damage_is_told(damage, sound, tmp_path):
    folder, before = sound

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(st.data(), st.integers(0, 2**32 - 1))
    def tried(data, seed):
        shutil.rmtree(tmp_path)
        shutil.copytree(folder, tmp_path)
        damage(tmp_path, lambda low, high: data.draw(st.floats(low, high)), np.random.default_rng(seed))
        told = outcome(tmp_path, before)
        may_not_matter = damage in (lost_keyups, lost_keydowns)
        assert told == KINDS[damage] or (told == SAME and may_not_matter)

    tried()


def test_it_is_sound_to_begin_with(sound):
    folder, before = sound
    assert outcome(folder, before) == SAME and examined(folder).verdict.word == "good"


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_recorder_that_fills_missed_slots_with_a_copy_is_usable(folder, share):
    images = pictures(folder)
    for slot in np.flatnonzero(np.random.default_rng(0).random(len(images)) < share):
        images[slot] = images[slot - 1]
    write_video(folder / "s.mp4", images)
    verdict = examined(folder).verdict
    assert verdict.word == (USABLE if share > 0.05 else GOOD)  # of few copies the encoder makes pictures of their own


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: round((t - START) * 2) / 2 + START + 0.013, "all key events lie 0.5 s or a multiple apart"),
        (lambda t: np.ceil((t - START) / 1.7) * 1.7 + START, "presses begin and end at one moment"),
        (lambda t: (t - START) / 60, "the median interval between frames is 1.6"),
    ],
    ids=["half seconds", "written all together", "minutes"],
)
def test_times_that_nobody_measured_are_refused(folder, change, words):
    change_lines(events(folder), lambda rows: [row | {"t": round(float(change(row["t"])), 6)} for row in rows])
    if "frames" in words:
        change_lines(frames_log(folder), lambda rows: [{"t": round(change(row["t"]), 6)} for row in rows])
    verdict = examined(folder).verdict
    assert verdict.word == BAD and any(words in reason for reason in verdict.reasons)


def test_keys_told_once_a_frame_may_go_down_and_up_at_one_moment(folder):
    down: dict[str, float] = {}

    def told(row):
        if row["event"] == "keydown":
            down[row["key"]] = START + np.floor((row["t"] - START) * FPS) / FPS
        return row | {"t": round(down[row["key"]], 4)} if "key" in row else row

    change_lines(events(folder), lambda rows: in_order([told(row) for row in rows]))
    assert examined(folder).verdict.word == GOOD


def test_a_log_without_keyups_is_refused(folder):
    change_lines(events(folder), lambda rows: [row for row in rows if row["event"] != "keyup"])
    verdict = examined(folder).verdict
    assert verdict.word == BAD and "presses have no keyup" in verdict.reasons[0]


def test_a_small_thing_on_black_is_a_picture(folder):
    images = np.zeros_like(pictures(folder))
    for i, image in enumerate(images):
        image[10:14, 9 + i % 4 : 12 + i % 4] = 255
    write_video(folder / "s.mp4", images)
    assert not any("of one colour" in reason for reason in examined(folder).verdict.reasons)


def still_game(folder, answered):
    """A game that stands still but for every seventh keydown; its picture changes after these, or anywhere else."""
    rows = [row for row in map(json.loads, events(folder).read_text().splitlines()) if row["event"] == "keydown"]
    moments = np.array([row["t"] for row in rows])[::7] - START + 0.1
    if not answered:
        moments = np.arange(2, SECONDS, 4.3)
    pages = np.random.default_rng(0).integers(0, 255, (len(moments) + 1, 32, 32, 3), np.uint8)
    write_video(folder / "s.mp4", pages[np.searchsorted(moments, np.arange(FPS * SECONDS) / FPS)])


@pytest.mark.parametrize("answered", [True, False])
def test_a_game_that_stands_still_until_a_key_is_pressed_is_learned(folder, answered):
    change_lines(events(folder), lambda rows: [row for row in rows if row.get("key") != "d"])
    still_game(folder, answered)
    assert (examined(folder).verdict.word == BAD) != answered
