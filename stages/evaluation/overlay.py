"""Videos in which the keys stand beside the game: who pressed what, when, and how sure the model was.

A picture of the overlay is uint8 [H, W, 3] in OpenCV's channel order (blue, green, red): the game picture at the
upper left, one row an action at the upper right, the whole episode as strips below with a playhead.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from stages.evaluation.onsets import holds
from stages.recordings.video import VideoWriter

PICTURE_WIDTH, PICTURE_HEIGHT = 640, 360  # the box that the game picture is fitted into, px
PANEL_WIDTH = 256
LABEL_WIDTH = 76
STRIP_HEIGHT = 11  # of one player's lane in the timeline
CRF = 30  # H.264 quality, lower is better; 30 is about 35 kB a second, small enough to stand inside a page

BACKGROUND = (30, 27, 24)
TRACK = (62, 57, 52)
TEXT = (235, 232, 228)
FAINT = (150, 145, 140)
HUMAN = (233, 180, 86)
MODEL = (40, 150, 240)


def draw_overlay(
    frame_bgr: np.ndarray,
    action_names: Sequence[str],
    human: np.ndarray | None,
    probabilities: np.ndarray,
    pressed: np.ndarray,
    playhead: int,
) -> np.ndarray:
    """One picture of the overlay, uint8 [H, W, 3], with even sides.

    `frame_bgr` is the game picture [h, w, 3]; `human` (None where nobody played), `probabilities` and `pressed` [T, A]
    are those of the whole episode, `playhead` the frame's place in it.
    """
    actions = len(action_names)
    for name, keys in {"human": human, "probabilities": probabilities, "pressed": pressed}.items():
        if keys is not None and np.shape(keys) != (len(pressed), actions):
            raise ValueError(
                f"{name} has shape {np.shape(keys)}, expected {(len(pressed), actions)}: one value a frame for each of "
                f"{action_names}"
            )
    picture = _fitted(frame_bgr)
    lanes = [(pressed, MODEL)] if human is None else [(human, HUMAN), (pressed, MODEL)]
    strips = 16 + actions * (len(lanes) * STRIP_HEIGHT + 8)
    height = picture.shape[0] + strips
    image = np.full((height + height % 2, picture.shape[1] + PANEL_WIDTH, 3), BACKGROUND, np.uint8)
    image[: picture.shape[0], : picture.shape[1]] = picture
    panel = image[: picture.shape[0], picture.shape[1] :]
    now = None if human is None else human[playhead]
    _draw_panel(panel, action_names, now, probabilities[playhead], pressed[playhead])
    _draw_timeline(image[picture.shape[0] :], action_names, lanes, playhead)
    return image


def overlay_frames(
    frames_bgr: Iterable[np.ndarray],
    action_names: Sequence[str],
    human: np.ndarray | None,
    probabilities: np.ndarray,
    pressed: np.ndarray,
) -> Iterator[np.ndarray]:
    """The overlay of every frame of an episode; `human` [T, A] or None, `probabilities` and `pressed` [T, A]."""
    for i, frame in zip(range(len(pressed)), frames_bgr, strict=False):
        yield draw_overlay(frame, action_names, human, probabilities, pressed, i)


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Write BGR pictures uint8 [H, W, 3] of one even size as an H.264 mp4 that browsers play; returns their number.

    One encoder thread and no time of creation: equal pictures give equal bytes. ValueError when there is no picture
    or a size that 4:2:0 video cannot hold.
    """
    path = Path(path)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: no frame to write a video of")
    height, width = first.shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        container = {"movflags": "+faststart"}
        writer = VideoWriter(partial, width=width, height=height, fps=fps, crf=CRF, container=container)
        with closing(writer):
            for image in chain([first], frames):
                writer.write(image)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return writer.frames


def _fitted(frame_bgr: np.ndarray) -> np.ndarray:
    height, width = frame_bgr.shape[:2]
    scale = min(PICTURE_WIDTH / width, PICTURE_HEIGHT / height)
    size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    if size == (width, height):
        return frame_bgr
    return cv2.resize(frame_bgr, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _write(image: np.ndarray, words: str, x: int, y: int, color=TEXT, size: float = 0.45) -> None:
    cv2.putText(image, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)


def _short(name: str, letters: int = 8) -> str:
    return name if len(name) <= letters else name[: letters - 1] + "."


def _draw_panel(panel, action_names, human, probabilities, pressed) -> None:
    """One row an action: name, the person's key, the model's key, its probability as a bar."""
    human_x, model_x = (84, 128) if human is not None else (128, 96)
    bar_x, bar_right = model_x + 28, PANEL_WIDTH - 44
    if human is not None:
        _write(panel, "player", human_x - 14, 22, HUMAN, 0.4)
    _write(panel, "model", model_x - 12, 22, MODEL, 0.4)
    _write(panel, "how sure", bar_x, 22, FAINT, 0.4)
    row = max(10, min(44, (panel.shape[0] - 36) // max(len(action_names), 1)))
    box = min(10, row // 2 - 1)
    for i, name in enumerate(action_names):
        middle = 36 + i * row + row // 2
        _write(panel, _short(name), 12, middle + 5)
        if human is not None:
            _box(panel, human_x + 4, middle, box, HUMAN, bool(human[i]))
        _box(panel, model_x + 4, middle, box, MODEL, bool(pressed[i]))
        right = bar_x + round((bar_right - bar_x) * float(np.clip(probabilities[i], 0, 1)))
        cv2.rectangle(panel, (bar_x, middle - 6), (bar_right, middle + 6), TRACK, -1)
        if right > bar_x:
            cv2.rectangle(panel, (bar_x, middle - 6), (right, middle + 6), MODEL, -1)
        _write(panel, f"{float(probabilities[i]):.2f}", bar_right + 8, middle + 4, FAINT, 0.38)


def _box(image, x: int, y: int, half: int, color, filled: bool) -> None:
    corners = (x - half, y - half), (x + half, y + half)
    cv2.rectangle(image, *corners, color if filled else TRACK, -1 if filled else 1)


def _draw_timeline(area, action_names, lanes, playhead: int) -> None:
    """The whole episode: for each action a lane for each of `lanes` (keys [T, A], colour), a line at `playhead`."""
    frames = len(lanes[0][0])
    width = area.shape[1] - LABEL_WIDTH - 14
    y = 10
    for i, name in enumerate(action_names):
        block = len(lanes) * STRIP_HEIGHT
        _write(area, _short(name), 12, y + block // 2 + 4, FAINT, 0.4)
        for keys, color in lanes:
            cv2.rectangle(area, (LABEL_WIDTH, y), (LABEL_WIDTH + width, y + STRIP_HEIGHT - 2), TRACK, -1)
            for start, stop in holds(keys[:, i]):
                left = LABEL_WIDTH + start * width // frames
                right = max(left, LABEL_WIDTH + stop * width // frames - 1)
                cv2.rectangle(area, (left, y), (right, y + STRIP_HEIGHT - 2), color, -1)
            y += STRIP_HEIGHT
        y += 8
    x = LABEL_WIDTH + (2 * playhead + 1) * width // (2 * frames)
    cv2.line(area, (x, 4), (x, y - 2), TEXT, 1)
