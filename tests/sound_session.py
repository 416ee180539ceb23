"""A sound session of a minute, for tests that damage it: pictures that light up while a key is down, and a key log."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Examined, Reading, examined_session
from stages.recordings.video import VideoWriter

FPS, SECONDS, SIZE, START = 10, 60, 32, 1_700_000_000.0
KEYS = {"LEFT": ["a"], "RIGHT": ["d"], "FIRE": ["f"]}
VOCABULARY = ActionVocabulary.from_params(list(KEYS), KEYS)
READING = Reading(rule="interval", delay_ms=0, on_bad_line="error", picture_fps=10)


def pressed(seed: int) -> list[dict]:
    """Key events in order: about a press a second of each key, each held for .25 to .45 s."""
    rng, rows = np.random.default_rng(seed), []
    for names in KEYS.values():
        for t in np.cumsum(rng.uniform(0.7, 1.5, 2 * SECONDS)):
            if t < SECONDS - 1:
                up = t + rng.uniform(0.25, 0.45)
                rows += [{"event": e, "key": names[0], "t": round(START + float(at), 4)}
                         for e, at in (("keydown", t), ("keyup", up))]  # fmt: skip
    return sorted(rows, key=lambda row: row["t"])


def pictures(events: list[dict]) -> np.ndarray:
    """uint8 [T, H, W, 3]: a third of the picture for each key, which moves while it is down, and some noise."""
    held = np.zeros((FPS * SECONDS, len(KEYS)), bool)
    down: dict[str, float] = {}
    names = [own[0] for own in KEYS.values()]
    for row in events:
        if row["event"] == "keydown":
            down[row["key"]] = row["t"]
        else:
            first, last = (int((t - START) * FPS) for t in (down[row["key"]], row["t"]))
            held[first : last + 1, names.index(row["key"])] = True
    rng = np.random.default_rng(0)
    texture = rng.integers(40, 200, (SIZE, SIZE, 3), np.uint8)
    images = texture + rng.integers(0, 40, (FPS * SECONDS, SIZE, SIZE, 3), np.uint8)
    for column in range(len(KEYS)):
        part = slice(column * SIZE // 3, (column + 1) * SIZE // 3)
        for i in np.flatnonzero(held[:, column]):
            images[i, :, part] = np.roll(texture, 3 * i, axis=0)[:, part]
    return images


def write_video(path: Path, frames: np.ndarray) -> None:
    writer = VideoWriter(path, width=frames.shape[2], height=frames.shape[1], fps=FPS, crf=20)
    for image in frames:
        writer.write(image)
    writer.close()


def write_lines(path: Path, rows: list) -> None:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")


def write_session(folder: Path, seed: int = 0) -> list[dict]:
    """Session `s` as a plain recorder writes it, without a session file; returns its key events."""
    events = pressed(seed)
    end = START + SECONDS - 0.5
    marks = [{"event": "marker", "type": "fight_start", "t": START}, {"event": "marker", "type": "fight_end", "t": end}]
    write_video(folder / "s.mp4", pictures(events))
    write_lines(folder / "s_frames.jsonl", [{"t": round(START + i / FPS, 4)} for i in range(FPS * SECONDS)])
    write_lines(folder / "s_events.jsonl", [marks[0], *events, marks[1]])
    return events


def change_lines(path: Path, change: Callable[[list], list]) -> None:
    """Writes what `change` makes of the rows of a log: rows, or lines as they are to stand there."""
    write_lines(path, change([json.loads(line) for line in path.read_text("utf-8").splitlines()]))


def examined(folder: Path, **reading) -> Examined:
    return examined_session(folder, "s", VOCABULARY, Reading(**{**vars(READING), **reading}))
