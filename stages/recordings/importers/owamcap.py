"""OWAMcap (open-world-agents): a .mcap with the messages of a desktop, beside the .mkv with its pictures.

Read by the mcap library alone; the messages are JSON. Screen messages name the picture by its time in the video
(`pts` or `media_ref.pts_ns`, ns) and say when it was taken (`utc_ns`); keys are Windows virtual-key codes.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from stages.recordings.importers.imported import Imported
from stages.recordings.video import bgr, decoded

CARRIED = ("screen", "keyboard")
# https://learn.microsoft.com/windows/win32/inputdev/virtual-key-codes, as pynput calls the keys
KEYS = {
    8: "backspace", 9: "tab", 13: "enter", 16: "shift", 17: "ctrl", 18: "alt", 19: "pause", 20: "caps_lock",
    27: "esc", 32: "space", 33: "page_up", 34: "page_down", 35: "end", 36: "home", 37: "left", 38: "up",
    39: "right", 40: "down", 44: "print_screen", 45: "insert", 46: "delete", 91: "cmd", 92: "cmd_r",
    144: "num_lock", 145: "scroll_lock", 160: "shift", 161: "shift_r", 162: "ctrl", 163: "ctrl_r", 164: "alt",
    165: "alt_r", **{111 + n: f"f{n}" for n in range(1, 21)},
}  # fmt: skip
CHARACTERS = {**dict(enumerate(";=,-./`", start=186)), **dict(enumerate("[\\]'", start=219))}
TOLERANCE_NS = 1_500_000  # a matroska file keeps times to the millisecond


def key_of(vk: int) -> str:
    """The canonical name of a Windows virtual-key code."""
    if vk in KEYS:
        return f"Key.{KEYS[vk]}"
    if 48 <= vk <= 57 or 65 <= vk <= 90:
        return chr(vk).lower()
    return CHARACTERS.get(vk, f"<{vk}>")


def imported_owamcap(source: Path) -> list[Imported]:
    """The recording in a .mcap file; ValueError when it is none or its video is missing."""
    messages, counts = _messages(source)
    if not messages["screen"]:
        raise ValueError(f"{source} holds no screen message; found the topics {dict(counts)}")
    screens = sorted(messages["screen"])
    video = source.parent / screens[0][2]
    if not video.is_file():
        raise ValueError(f"{source} speaks of the video {video.name}, which is not beside it")
    times, wanted = _matched(video, screens)
    lost = [f"{topic}: {n} messages" for topic, n in sorted(counts.items()) if topic not in CARRIED]
    missing = len(screens) - len(times)
    if missing:
        lost.append(f"{missing} screen messages without a picture of their time in {video.name}")
    if unsaid := int((~wanted).sum()):
        lost.append(f"{unsaid} pictures of {video.name} that no screen message speaks of")
    fps = round(1 / float(np.median(np.diff(times))), 3) if len(times) > 1 else 1.0
    lost.append("exact pixels: the pictures are encoded anew as H.264")
    inside = [event for event in messages["keyboard"] if times[0] <= event[0] <= times[-1] + 1 / fps]
    if len(inside) < len(messages["keyboard"]):
        lost.append(f"{len(messages['keyboard']) - len(inside)} key events before the first or after the last picture")
    return [
        Imported(source.stem.replace(".", "_"), times, _pictures(video, wanted), inside, fps, str(source), lost=lost)
    ]


def _messages(source: Path) -> tuple[dict[str, list], Counter]:
    """{"screen": [(t, pts_ns, video)], "keyboard": [(t, event, key)]} with t in s, and how many of each topic."""
    try:
        from mcap.exceptions import McapError
        from mcap.reader import make_reader
    except ImportError:
        raise ValueError("the mcap library is missing: pip install mcap, or make live") from None
    found, counts = {"screen": [], "keyboard": []}, Counter()
    try:
        with source.open("rb") as file:
            for _, channel, message in make_reader(file).iter_messages():
                topic = channel.topic
                counts[topic] += 1
                if topic in CARRIED:
                    found[topic].append(_read(f"{source}, {topic} message {counts[topic]}", topic, message))
    except McapError as error:
        raise ValueError(f"{source} cannot be read as OWAMcap: {type(error).__name__} {error}") from None
    return found, counts


def _read(where: str, topic: str, message) -> tuple:
    """What a message says; ValueError that begins with `where` when it is not as OWAMcap writes it."""
    try:
        return _READ[topic](json.loads(message.data), message.log_time)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        found = message.data[:80].decode("utf-8", errors="replace")
        raise ValueError(f"{where} is not as OWAMcap has it ({error!r}); found {found!r}") from None


def _screen(content: Mapping, log_time: int) -> tuple[float, int, str]:
    reference = content.get("media_ref") or {}
    pts = reference.get("pts_ns", content.get("pts"))
    if pts is None:
        raise ValueError("neither pts nor media_ref.pts_ns says which picture of a video it is")
    name = reference.get("uri") or content.get("path") or ""
    return (content.get("utc_ns") or log_time) / 1e9, int(pts), Path(name).name


def _key(content: Mapping, log_time: int) -> tuple[float, str, str]:
    event = {"press": "keydown", "release": "keyup"}[content["event_type"]]
    return (content.get("timestamp") or log_time) / 1e9, event, key_of(int(content["vk"]))


_READ = {"screen": _screen, "keyboard": _key}


def _matched(video: Path, screens: list) -> tuple[np.ndarray, np.ndarray]:
    """When each wanted picture was taken, s, and which pictures of the video are wanted, bool [pictures]."""
    pts_ns = np.array([float(frame.pts * frame.time_base) * 1e9 for frame in decoded(video)])
    taken = np.full(len(pts_ns), np.nan)
    for t, wanted_ns, _ in screens:
        nearest = int(np.argmin(np.abs(pts_ns - wanted_ns)))
        if abs(pts_ns[nearest] - wanted_ns) <= TOLERANCE_NS:
            taken[nearest] = t
    wanted = np.isfinite(taken)
    if not wanted.any():
        raise ValueError(f"{video}: none of its pictures lies at a time that the screen messages name")
    times = taken[wanted]
    if (np.diff(times) < 0).any():
        raise ValueError(f"{video}: its pictures are in another order than the times of the screen messages")
    return times, wanted


def _pictures(video: Path, wanted: np.ndarray) -> Iterator[np.ndarray]:
    for keep, frame in zip(wanted, decoded(video), strict=True):
        if keep:
            yield bgr(frame)
