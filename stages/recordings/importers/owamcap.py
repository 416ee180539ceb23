"""OWAMcap (open-world-agents): a .mcap with the messages of a desktop, and what shows its pictures.

Read by the mcap library alone; the messages are JSON. Screen messages name a picture: by its time in a video beside
the .mcap (`pts` or `media_ref.pts_ns`, ns; what was on the screen then is the last picture up to it), as a still, or
hold it themselves. They say when it was taken (`utc_ns`); keys are Windows virtual-key codes. See
https://github.com/open-world-agents/open-world-agents, docs/data/technical-reference/format-guide.md.
"""

import base64
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np

from stages.recordings.importers.imported import Episode, Imported, cut, folded, reading, session_name
from stages.recordings.importers.screens import last_up_to, pictures_at, pts_of
from stages.recordings.pictures import decoded_picture, read_picture

CARRIED = ("screen", "keyboard")
# https://learn.microsoft.com/windows/win32/inputdev/virtual-key-codes, as pynput calls the keys
KEYS = {
    8: "backspace", 9: "tab", 13: "enter", 16: "shift", 17: "ctrl", 18: "alt", 19: "pause", 20: "caps_lock",
    27: "esc", 32: "space", 33: "page_up", 34: "page_down", 35: "end", 36: "home", 37: "left", 38: "up",
    39: "right", 40: "down", 44: "print_screen", 45: "insert", 46: "delete", 91: "cmd", 92: "cmd_r",
    144: "num_lock", 145: "scroll_lock", 160: "shift", 161: "shift_r", 162: "ctrl", 163: "ctrl_r", 164: "alt",
    165: "alt_r", **{111 + n: f"f{n}" for n in range(1, 21)},
}  # fmt: skip
CHARACTERS = {
    186: ";",
    187: "=",
    188: ",",
    189: "-",
    190: ".",
    191: "/",
    192: "`",
    219: "[",
    220: "\\",
    221: "]",
    222: "'",
}
NOT_AS_IT_SHOULD = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, OSError, RecursionError)
AUTO_REPEAT_S = 1.1  # a key that is held is pressed anew by Windows, for the first time after a second at most


class Screen(NamedTuple):
    """A picture at `t` s: `at` ns of the video `media`, or, where `at` is None, the still `media` or what it holds."""

    t: float
    media: Path | bytes
    at: int | None


def key_of(vk: int) -> str:
    """The canonical name of a Windows virtual-key code."""
    if vk in KEYS:
        return f"Key.{KEYS[vk]}"
    if 48 <= vk <= 57 or 65 <= vk <= 90:
        return chr(vk).lower()
    return CHARACTERS.get(vk, f"<{vk}>")


def episodes_of_owamcap(source: Path) -> list[Episode]:
    """The recording in a .mcap file."""
    return [Episode(session_name(source.stem), partial(_imported, source))]


def _imported(source: Path) -> Imported:
    """ValueError when it is no OWAMcap or its video is missing."""
    messages, counts = _messages(source)
    if not messages["screen"]:
        raise ValueError(f"{source} holds no screen message; found the topics {cut(dict(counts))}")
    screens, lost = _with_pictures(sorted(messages["screen"], key=lambda screen: screen.t))
    if not screens:
        raise ValueError(f"{source}: no picture lies at a time that its screen messages name ({'; '.join(lost)})")
    times = np.array([screen.t for screen in screens])
    lost = [f"{topic}: {n} messages" for topic, n in sorted(counts.items()) if topic not in CARRIED] + lost
    fps = round(1 / max(float(np.median(np.diff(times))), 1e-3), 3) if len(times) > 1 else 1.0
    lost.append("exact pixels: the pictures are encoded anew as H.264")
    pressed, repeats = _without_repeats(messages["keyboard"])
    if repeats:
        lost.append(f"{repeats} presses of keys that were down already: the keyboard's own repeats")
    said = [screen.t for screen in messages["screen"]]
    kept = [  # those beyond all screen messages are the doctor's to judge: are the clocks apart?
        event
        for event in pressed
        if times[0] <= event[0] <= times[-1] + 1 / fps or not min(said) <= event[0] <= max(said)
    ]
    if len(kept) < len(pressed):
        lost.append(f"{len(pressed) - len(kept)} key events at times whose pictures are missing")
    return Imported(session_name(source.stem), times, _pictures(screens, source), kept, fps, str(source), lost=lost)


def _messages(source: Path) -> tuple[dict[str, list], Counter]:
    """{"screen": [Screen], "keyboard": [(t, event, key)]} with t in s, and how many of each topic."""
    found, counts = {"screen": [], "keyboard": []}, Counter()
    for topic, data, log_time in _raw(source):
        counts[topic] += 1
        if topic in CARRIED:
            found[topic].append(_read(f"{source}, {topic} message {counts[topic]}", source, topic, data, log_time))
    return found, counts


def _raw(source: Path) -> Iterator[tuple[str, bytes, int]]:
    """Topic, content and time in ns of every message."""
    try:
        from mcap.reader import make_reader
    except ImportError:
        raise ValueError("the mcap library is missing: pip install mcap, or make live") from None
    with reading(f"{source} as OWAMcap"), source.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            yield channel.topic, message.data, message.log_time


def _read(where: str, source: Path, topic: str, data: bytes, log_time: int) -> Screen | tuple[float, str, str]:
    """What a message says; ValueError that begins with `where` when it is not as OWAMcap writes it."""
    try:
        content = json.loads(data)
        return _screen(content, log_time, source) if topic == "screen" else _key(content, log_time)
    except FileNotFoundError as error:
        raise ValueError(f"{where} speaks of {error}") from None
    except NOT_AS_IT_SHOULD as error:
        found = cut(data[:80].decode("utf-8", errors="replace"))
        raise ValueError(f"{where} is not as OWAMcap has it ({cut(repr(error))}); found {found!r}") from None


def _screen(content: Mapping, log_time: int, source: Path) -> Screen:
    reference = content.get("media_ref") or {}
    pts = reference.get("pts_ns", content.get("pts"))
    uri = reference.get("uri") or reference.get("path") or content.get("path") or ""
    t = (content.get("utc_ns") or log_time) / 1e9
    at = None if pts is None else int(pts)
    if not math.isfinite(t) or abs(at or 0) >= 2**63:
        raise ValueError("its times are no nanoseconds")
    if "data" in reference:  # of versions before uri
        return Screen(t, base64.b64decode(reference["data"], validate=True), None)
    if uri[:5].lower() == "data:":
        kind, _, data = uri[5:].partition(",")
        if not kind.startswith("image/"):
            raise ValueError(f"{kind.partition(';')[0]} inside of a message is not read; give it as a file")
        coded = kind.endswith(";base64")
        return Screen(t, base64.b64decode(unquote(data), validate=True) if coded else unquote_to_bytes(data), None)
    still = Path(uri).suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".webp")
    if pts is None and not still:
        raise ValueError("neither pts nor media_ref.pts_ns says which picture of a video it is")
    return Screen(t, _beside(uri, source), None if still else at)


def _beside(uri: str, source: Path) -> Path:
    """The file that a reference means: where it says, seen from the .mcap, or by its name beside it.

    Nothing is fetched. FileNotFoundError with what was looked for.
    """
    if not uri:
        found = [source.with_suffix(suffix) for suffix in (".mkv", ".mp4") if source.with_suffix(suffix).is_file()]
        if not found:
            raise FileNotFoundError(f"no video by name, and {source.stem}.mkv is not beside it; put the video there")
        return found[0]
    is_url = "://" in uri or uri[:5].lower() == "file:"
    path = PureWindowsPath(unquote(urlsplit(uri).path or urlsplit(uri).netloc) if is_url else uri)  # either slash
    for place in (source.parent / path.as_posix(), source.parent / path.name, source.parent / unquote(path.name)):
        if place.is_file():
            return place
    for place in source.parent.iterdir():  # Windows knows no capitals, macOS splits ö
        if folded(place.name) == folded(path.name):
            return place
    raise FileNotFoundError(f"{cut(uri)}, but {path.name} is not beside it; put it into {source.parent}")


def _key(content: Mapping, log_time: int) -> tuple[float, str, str]:
    event = {"press": "keydown", "release": "keyup"}[content["event_type"]]
    return (content.get("timestamp") or log_time) / 1e9, event, key_of(int(content["vk"]))


def _without_repeats(events: list) -> tuple[list, int]:
    """Key events without the presses that a keyboard makes of a key that is held, and how many those are."""
    kept, last = [], {}
    for t, event, key in sorted(events):
        before, was = last.get(key, (-np.inf, "keyup"))
        if not (event == was == "keydown" and t - before <= AUTO_REPEAT_S):
            kept.append((t, event, key))
        last[key] = t, event
    return kept, len(events) - len(kept)


def _with_pictures(screens: list[Screen]) -> tuple[list[Screen], list[str]]:
    """The messages whose picture is there, and in words what is not carried over."""
    lost, kept, shown = [], [], {}
    for media, group in groupby(screens, key=lambda screen: None if screen.at is None else screen.media):
        group = list(group)
        if media is None:
            kept += group
            continue
        if media not in shown:
            shown[media] = pts_of(media), set()
        pts_s, used = shown[media]
        index = last_up_to(pts_s, np.array([screen.at / 1e9 for screen in group]))
        if (np.diff(index[index >= 0]) < 0).any():
            raise ValueError(f"{media}: its pictures are in another order than the times of the screen messages")
        used |= set(index[index >= 0].tolist())
        kept += [screen for screen, i in zip(group, index, strict=True) if i >= 0]
    if len(kept) < len(screens):
        lost.append(f"{len(screens) - len(kept)} screen messages without a picture at their time")
    for media, (pts_s, used) in shown.items():
        if len(used) < len(pts_s):
            lost.append(f"{len(pts_s) - len(used)} pictures of {media.name} that no screen message speaks of")
    twice = sum(screen.at is not None for screen in kept) - sum(len(used) for _, used in shown.values())
    if twice:
        lost.append(f"what changed between two pictures: {twice} screen messages show the picture of one before")
    return kept, lost


def _pictures(screens: list[Screen], source: Path) -> Iterator[np.ndarray]:
    for media, group in groupby(screens, key=lambda screen: None if screen.at is None else screen.media):
        if media is not None:
            yield from pictures_at(media, np.array([screen.at / 1e9 for screen in group]))
            continue
        for screen in group:
            held = isinstance(screen.media, bytes)
            yield (
                decoded_picture(screen.media, f"{source}: the picture at {screen.t} s")
                if held
                else read_picture(screen.media)
            )
