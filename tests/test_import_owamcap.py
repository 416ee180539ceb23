"""OWAMcap recordings, written by the mcap library, become sessions."""

import base64
import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from mcap.writer import Writer

from stages.recordings.importers.owamcap import key_of
from stages.recordings.video import read_frames
from tests.importing import imported

START_NS = 1_700_000_000_000_000_000


def video(path, pts_ms, *, codec="libx264", size=(48, 32), options=None):
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = options or {}
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i, pts in enumerate(pts_ms):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 30 * i, np.uint8), format="bgr24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def owamcap(path, *, pts_ms, screens, keys, newer):
    """A recording as open-world-agents' versions before and after media_ref write it."""
    video(path.with_suffix(".mkv"), pts_ms)
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("desktop/Any", "jsonschema", b"{}")
        channels = {t: writer.register_channel(t, "json", schema) for t in ("screen", "keyboard", "mouse")}

        def say(topic, ms, content):
            t = START_NS + ms * 1_000_000
            writer.add_message(channels[topic], t, json.dumps(content).encode(), t)

        for ms, pts in screens:
            name = path.with_suffix(".mkv").name
            pts_ns = None if pts is None else pts * 10**6
            place = {"media_ref": {"uri": name, "pts_ns": pts_ns}} if newer else {"path": name, "pts": pts_ns}
            say("screen", ms + 3, {"utc_ns": START_NS + ms * 1_000_000, **place})
        for ms, event, vk in keys:
            say("keyboard", ms, {"event_type": event, "vk": vk})
        say("mouse", 40, {"event_type": "move", "x": 1, "y": 2})
        writer.finish()
    return path


@pytest.mark.parametrize("newer", [False, True])
def test_owamcap_keeps_the_times_of_pictures_and_keys(tmp_path, newer):
    source = owamcap(
        tmp_path / "0.1.mcap", pts_ms=[20, 120, 220, 320], screens=[(0, 20), (100, 120), (300, 320), (400, 999)],
        keys=[(-50, "press", 65), (105, "press", 37), (210, "release", 37), (310, "press", 88), (320, "release", 88)],
        newer=newer,
    )  # fmt: skip
    [(found, lost)] = imported(source, tmp_path / "out")
    np.testing.assert_allclose(found.session.times - START_NS / 1e9, [0, 0.1, 0.3], atol=1e-5)
    np.testing.assert_array_equal(found.timeline.actions, [[0, 0], [1, 0], [0, 1]])
    shown = [frame.mean() for frame in read_frames(found.session.video)]
    np.testing.assert_allclose(shown, [0, 30, 90], atol=8)  # the picture at 220 ms has no message
    assert any("mouse: 1 messages" in words for words in lost)
    assert any("1 pictures" in words for words in lost) and any("1 screen messages" in words for words in lost)
    assert [event.key for event in found.session.key_events][:2] == ["a", "Key.left"]


def column(*kinds, **more):
    """A property of a message's schema; one that may be absent is null then."""
    one = {"type": kinds[0], **more}
    return one if len(kinds) == 1 else {"anyOf": [one, {"type": "null"}], "default": None}


PAIR = {"items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
TIME = {"timestamp": column("integer", "null")}
PLACE = {"x": column("integer"), "y": column("integer")}
BUTTONS = {"buttons": column("array", uniqueItems=True)}
OWA = {  # topic: its schema's name, what it needs, and what it may hold, as mcap-owa-support 0.4.2 writes them
    "window": ("WindowInfo", {"title": column("string"), "rect": column("array"), "hWnd": column("integer")}, {}),
    "keyboard/state": ("KeyboardState", BUTTONS, TIME),
    "mouse/state": ("MouseState", PLACE | BUTTONS, TIME),
    "screen": (
        "ScreenCaptured", {},
        {"utc_ns": column("integer", "null"), "original_shape": column("array", "null", **PAIR),
         "shape": column("array", "null", **PAIR), "path": column("string", "null"), "pts": column("integer", "null")},
    ),
    "keyboard": ("KeyboardEvent", {"event_type": column("string"), "vk": column("integer")}, TIME),
    "mouse": (
        "MouseEvent", {"event_type": column("string"), **PLACE},
        {"button": column("string", "null"), "pressed": column("boolean", "null"), "dx": column("integer", "null"),
         "dy": column("integer", "null"), **TIME},
    ),
}  # fmt: skip


def owa_recording(path, said):
    """A .mcap with the profile, topics, schemas and encodings of open-world-agents' own recorder.

    `said`: (topic, ms the event lies before its being logged, ms, content).
    """
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="owa", library="mcap-owa-support 0.4.2; mcap 1.3.0")
        channels = {}
        for topic, (name, needed, more) in OWA.items():
            shape = {"additionalProperties": False, "properties": needed | more, "title": name, "type": "object"}
            data = json.dumps(shape | ({"required": [*needed]} if needed else {}), separators=(",", ":")).encode()
            channels[topic] = writer.register_channel(
                topic, "json", writer.register_schema(f"desktop/{name}", "jsonschema", data)
            )
        for topic, late_ms, ms, content in said:
            published = START_NS + ms * 1_000_000
            data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
            writer.add_message(channels[topic], published + late_ms * 1_000_000, data, published)
        writer.finish()
    return path


def test_owamcap_as_its_own_recorder_writes_it(tmp_path):
    """HEVC in matroska, to the ms; pictures only when the screen changed; keys without a time of their own."""
    hevc = {"codec": "libx265", "size": (64, 64), "options": {"x265-params": "log-level=none"}}  # none are smaller
    video(tmp_path / "0.4.2.mkv", [20, 33, 67, 100, 133, 167], **hevc)
    frames = [
        (1, 0, 20_000_000), (1, 300, 33_333_333), (1, 360, 66_666_666), (0, 400, 100_000_000), (0, 430, 166_666_666)
    ]  # fmt: skip
    screens = [
        ("screen", late, ms,
         {"utc_ns": START_NS + ms * 1_000_000, "original_shape": [64, 64], "shape": [64, 64], "path": "0.4.2.mkv",
          "pts": pts})
        for late, ms, pts in frames
    ]  # fmt: skip
    keys = [
        ("keyboard", 0, ms, {"event_type": event, "vk": vk})
        for ms, event, vk in [(-5, "press", 84), (310, "press", 37), (370, "release", 37), (405, "press", 88)]
    ]
    others = [
        ("window", 3, 0, {"title": "*test.txt - \uba54\ubaa8\uc7a5", "rect": [360, 307, 1278, 891], "hWnd": 1052976}),
        ("keyboard/state", 3, 0, {"buttons": [32]}),
        ("mouse/state", 3, 0, {"x": 725, "y": 737, "buttons": []}),
        ("mouse", 1, 50, {"event_type": "move", "x": 725, "y": 737}),
        ("mouse", 1, 51, {"event_type": "click", "x": 725, "y": 737, "button": "left", "pressed": True}),
    ]
    source = owa_recording(tmp_path / "0.4.2.mcap", [*others, *sorted(screens + keys, key=lambda said: said[2])])
    [(found, lost)] = imported(source, tmp_path / "out")
    assert found.session.stem == "0_4_2"  # stems have no dots
    np.testing.assert_allclose(found.session.times - START_NS / 1e9, [0, 0.3, 0.36, 0.4, 0.43], atol=1e-5)
    events = [(event.event, event.key, round(event.t - START_NS / 1e9, 3)) for event in found.session.key_events]
    left = [("keydown", "Key.left", 0.31), ("keyup", "Key.left", 0.37)]
    assert events == [("keydown", "t", -0.005), *left, ("keydown", "x", 0.405)]
    np.testing.assert_array_equal(found.timeline.actions, [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1]])
    shown = [frame.mean() for frame in read_frames(found.session.video)]
    np.testing.assert_allclose(shown, [0, 30, 60, 90, 150], atol=8)  # that at 133 ms has no message
    assert lost == [
        "keyboard/state: 1 messages",
        "mouse: 2 messages",
        "mouse/state: 1 messages",
        "window: 1 messages",
        "1 pictures of 0.4.2.mkv that no screen message speaks of",
        "exact pixels: the pictures are encoded anew as H.264",
    ]


def test_owamcap_that_does_not_fit_is_refused(tmp_path):
    source = owamcap(tmp_path / "a.mcap", pts_ms=[0, 100], screens=[(0, 0), (100, 100)], keys=[], newer=True)
    unplaced = owamcap(tmp_path / "c.mcap", pts_ms=[0], screens=[(0, 0), (100, None)], keys=[], newer=False)
    with pytest.raises(ValueError, match="c.mcap, screen message 2 .*which picture of a video"):
        imported(unplaced, tmp_path / "out")
    keyless = owamcap(tmp_path / "d.mcap", pts_ms=[0], screens=[(0, 0)], keys=[(0, "press", None)], newer=True)
    with pytest.raises(ValueError, match="d.mcap, keyboard message 1 is not as OWAMcap has it"):
        imported(keyless, tmp_path / "out")
    (tmp_path / "a.mkv").unlink()
    with pytest.raises(ValueError, match="screen message 1 speaks of a.mkv, but a.mkv is not beside it"):
        imported(source, tmp_path / "out")
    (tmp_path / "b.mcap").write_bytes(b"no mcap at all")
    with pytest.raises(ValueError, match="b.mcap as OWAMcap cannot be read"):
        imported(tmp_path / "b.mcap", tmp_path / "out")


@pytest.mark.parametrize(
    ("vk", "name"),
    [(65, "a"), (57, "9"), (32, "Key.space"), (162, "Key.ctrl"), (112, "Key.f1"), (188, ","), (255, "<255>")],
)
def test_keys_of_windows_have_the_names_that_the_recorder_gives_them(vk, name):
    assert key_of(vk) == name


def spoken_of(path, references):
    """A recording whose screen messages, 100 ms apart, refer to their pictures so; the left key goes down and up."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("desktop/Any", "jsonschema", b"{}")
        channels = {t: writer.register_channel(t, "json", schema) for t in ("screen", "keyboard")}
        for i, reference in enumerate(references):
            t = START_NS + i * 100_000_000
            data = json.dumps({"utc_ns": t, "media_ref": reference}).encode()
            writer.add_message(channels["screen"], t, data, t)
        for i, (t, event) in enumerate([(0.11, "press"), (0.14, "press"), (0.17, "press"), (0.21, "release")]):
            t = START_NS + int(t * 1e9)
            data = json.dumps({"event_type": event, "vk": 37}).encode()
            writer.add_message(channels["keyboard"], t, data, t, i)
        writer.finish()
    return path


@pytest.mark.parametrize(
    "uri", ["file:///C:/rec/my%20game.mkv", "C:\\rec\\my game.mkv", "rec/my game.mkv", "/home/me/my game.mkv", ""]
)
def test_a_video_is_found_beside_the_recording_whatever_place_is_named(tmp_path, uri):
    video(tmp_path / ("one.mkv" if not uri else "my game.mkv"), [0, 100, 200])
    source = spoken_of(tmp_path / "one.mcap", [{"uri": uri, "pts_ns": i * 100_000_000} for i in range(3)])
    [(found, lost)] = imported(source, tmp_path / "out")
    np.testing.assert_allclose([frame.mean() for frame in read_frames(found.session.video)], [0, 30, 60], atol=8)
    assert [event.event for event in found.session.key_events] == ["keydown", "keyup"]
    assert "2 presses of keys that were down already: the keyboard's own repeats" in lost


def test_a_video_is_found_whose_letters_another_system_writes_in_two_parts(tmp_path):
    video(tmp_path / "Schl\u00f6sser.mkv", [0, 100, 200])
    source = spoken_of(tmp_path / "one.mcap", [{"uri": "schlo\u0308sser.mkv", "pts_ns": i * 10**8} for i in range(3)])
    assert len(imported(source, tmp_path / "out")[0][0].session.times) == 3


def test_key_events_beyond_all_pictures_stay_for_the_doctor_who_sees_clocks_that_are_apart(tmp_path):
    keys = [(-900 + 100 * i, event, 37) for i, event in enumerate(["press", "release"] * 5)]
    source = owamcap(tmp_path / "a.mcap", pts_ms=[0, 100], screens=[(0, 0), (100, 100)], keys=keys, newer=True)
    [(found, _)] = imported(source, tmp_path / "out")
    assert len(found.session.key_events) == 10
    assert "only 10% of the key events lie in the time of the video" in str(found.verdict)


def test_key_events_at_screen_messages_whose_pictures_are_missing_are_left_out(tmp_path):
    screens = [(100 * i, 100 * i) for i in range(6)]
    keys = [(50, "press", 37), (120, "release", 37), (410, "press", 37), (450, "release", 37)]
    source = owamcap(tmp_path / "a.mcap", pts_ms=[0, 100, 200], screens=screens, keys=keys, newer=True)
    [(found, lost)] = imported(source, tmp_path / "out")
    assert len(found.session.key_events) == 2
    assert "2 key events at times whose pictures are missing" in lost


def test_the_picture_at_a_time_between_two_is_the_one_before(tmp_path):
    video(tmp_path / "a.mkv", [0, 100, 200])
    source = spoken_of(
        tmp_path / "a.mcap", [{"uri": "a.mkv", "pts_ns": ms * 10**6} for ms in (0, 50, 99, 108, 199, 299)]
    )
    [(found, lost)] = imported(source, tmp_path / "out")
    shown = [frame.mean() for frame in read_frames(found.session.video)]
    np.testing.assert_allclose(shown, [0, 0, 30, 30, 60, 60], atol=8)  # 99 and 199: as a matroska file rounds
    assert any("3 screen messages show the picture of one before" in words for words in lost)


def test_several_videos_stills_and_pictures_inside_of_messages(tmp_path):
    video(tmp_path / "a.mkv", [0, 100])
    video(tmp_path / "b.mkv", [0, 100])
    (tmp_path / "pics").mkdir()
    cv2.imwrite(str(tmp_path / "pics/0.png"), np.full((32, 48, 3), 200, np.uint8))
    inside = base64.b64encode((tmp_path / "pics/0.png").read_bytes()).decode()
    references = [
        {"uri": "a.mkv", "pts_ns": 0}, {"uri": "b.mkv", "pts_ns": 100_000_000}, {"uri": "a.mkv", "pts_ns": 100_000_000},
        {"uri": "pics/0.png"}, {"uri": f"data:image/png;base64,{inside}"}, {"format": "png", "data": inside},
    ]  # fmt: skip
    [(found, lost)] = imported(spoken_of(tmp_path / "one.mcap", references), tmp_path / "out")
    shown = [frame.mean() for frame in read_frames(found.session.video)]
    np.testing.assert_allclose(shown, [0, 30, 30, 200, 200, 200], atol=8)
    assert "1 pictures of b.mkv that no screen message speaks of" in lost


def test_a_folder_of_recordings_is_read_as_all_of_them(tmp_path):
    video(tmp_path / "a.mkv", [0, 100])
    for name in ("one", "two"):
        spoken_of(tmp_path / f"{name}.mcap", [{"uri": "A.MKV", "pts_ns": i * 100_000_000} for i in range(2)])
    (tmp_path / "two.mcap").rename(tmp_path / "two.MCAP")
    (tmp_path / "three.mcap").write_bytes(b"")
    found = imported(tmp_path, tmp_path / "out", "--skip-bad")
    assert [one.session.stem for one, _ in found] == ["one", "two"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ({"uri": "", "pts_ns": 0}, "speaks of no video by name, and one.mkv is not beside it"),
        ({"uri": "https://example.com/a.mkv?x=1", "pts_ns": 0}, "a.mkv is not beside it; put it into"),
        ({"uri": "data:video/mp4;base64,AAAA", "pts_ns": 0}, "video/mp4 inside of a message is not read"),
        ({"uri": "data:image/png;base64,AAAA"}, "the picture at 1700000000.0 s cannot be read as a picture"),
        ({"uri": "pics/0.png"}, "speaks of pics/0.png, but 0.png is not beside it"),
        ({"uri": "x" * 5000, "pts_ns": 0}, "screen message 1"),
        ({"uri": "cut.mkv", "pts_ns": 0}, "cut.mkv cannot be read"),
    ],
)
def test_references_that_lead_nowhere_are_refused_in_a_line(tmp_path, reference, words):
    (tmp_path / "cut.mkv").write_bytes(b"\x1a\x45\xdf\xa3")
    with pytest.raises(ValueError, match=words) as raised:
        imported(spoken_of(tmp_path / "one.mcap", [reference]), tmp_path / "out")
    assert len(str(raised.value)) < 600 and "\n" not in str(raised.value)


def test_a_recording_that_was_cut_short_is_refused_in_a_line(tmp_path):
    source = owamcap(tmp_path / "a.mcap", pts_ms=[0, 100], screens=[(0, 0), (100, 100)], keys=[], newer=True)
    whole = source.read_bytes()
    for size in (0, 8, len(whole) // 2, len(whole) - 10):
        source.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="a.mcap as OWAMcap cannot be read") as raised:
            imported(source, tmp_path / "out")
        assert "\n" not in str(raised.value)
