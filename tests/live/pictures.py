"""The README's pictures of recording and playing: python -m tests.live.pictures [AGENT]

On an Xvfb of its own: the bundled Doom in a window and the recorder's little window over its corner, while the bundled
player has the keyboard; then the trained agent playing in that window, as `understudy play --record --log` kept it.
Writes reports/recording_window.jpg and reports/playing_window.jpg.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from Xlib import X, display
from Xlib.ext import xtest

from stages.evaluation.overlay import draw_overlay
from stages.live.clock import SteadyClock
from stages.live.screen import Camera, Region, even_region
from stages.live.window import TITLE
from stages.live.x11 import X11Desktop
from stages.recordings.video import read_frames
from tests.live.conftest import PLAYED, ROOT, close, finished, understudy, wait_until
from tests.live.doom_window import KEYS
from tests.live.xvfb import x_server

RECORDING, PLAYING = ROOT / "reports/recording_window.jpg", ROOT / "reports/playing_window.jpg"
MOST_BYTES, QUALITY = 200_000, 85
GAME = "VIZDOOM"
RECORD_S, PLAY_S, MARGIN_PX = 6.0, 12.0, 20
OVERLAP_PX = (100, 40)  # of the little window and the game's lower right corner
RECORD_AT = (50, 50)  # of the button in the little window, px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("agent", type=Path, nargs="?", default=ROOT / "data/agent")
    agent = parser.parse_args().agent.resolve()
    with tempfile.TemporaryDirectory() as name, x_server(Path(name) / "log") as screen:
        os.environ["DISPLAY"] = screen
        folder = Path(name)
        with game(folder, script=True), closing(X11Desktop()) as desktop:
            write_picture(RECORDING, recording_picture(folder, desktop))
        with game(folder, script=False):
            write_picture(PLAYING, playing_picture(folder, agent))


@contextmanager
def game(folder: Path, *, script: bool) -> Iterator[None]:
    """The bundled Doom in a window, for a minute."""
    command = [sys.executable, "-m", "tests.live.doom_window", "60", str(folder / "scores.json"), "7"]
    process = subprocess.Popen(
        [*command, *(["script"] if script else [])], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        if process.stdout.readline() != "ready\n":
            raise ValueError("the game's window did not open")
        yield
    finally:
        close(process)
        process.stdout.close()


def recording_picture(folder: Path, desktop: X11Desktop) -> np.ndarray:
    """uint8 BGR [H, W, 3]: the game and the recorder's window a few seconds after Record was clicked."""
    recorder = understudy("record", "--window", GAME, "--out", folder / "raw", "--name", "first-session", *PLAYED)
    try:
        wait_until(lambda: TITLE in titles(desktop))
        played, little = desktop.window_titled(GAME), desktop.window_titled(TITLE)
        time.sleep(0.5)  # it has its size
        at = desktop.region_of(played)
        move(little, at.left + at.width - OVERLAP_PX[0], at.top + at.height - OVERLAP_PX[1])
        give_focus(little)  # the game lets go of the pointer
        time.sleep(0.5)
        click_record(desktop.region_of(little))
        give_focus(played)
        wait_until(lambda: desktop.front() == played)
        time.sleep(0.5)  # the game comes to the top
        move(little, at.left + at.width - OVERLAP_PX[0], at.top + at.height - OVERLAP_PX[1])
        wait_until(lambda: (folder / "raw/first-session_frames.jsonl").is_file())
        time.sleep(RECORD_S)
        with Camera(around([at, desktop.region_of(little)]), SteadyClock()) as camera:
            image = camera.picture()[0].copy()
    finally:
        recorder.terminate()
    finished(recorder)
    return image


def playing_picture(folder: Path, agent: Path) -> np.ndarray:
    """uint8 BGR [H, W, 3]: what the agent saw at the moment it held most keys, and what it was about to press."""
    log = folder / "play.csv"
    kept = ["--record", folder / "agent/run", "--log", log, "--seconds", PLAY_S, "--countdown", 1]
    finished(understudy("play", agent, "--window", GAME, *kept, *PLAYED))
    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    actions = [name for name in rows[0] if name not in ("t", "keys")]
    pressed = np.array([[KEYS[name] in row["keys"].split() for name in actions] for row in rows], np.uint8)
    likely = np.array([[float(row[name]) for name in actions] for row in rows])
    moment = int(np.argmax(pressed[len(rows) // 2 :].sum(axis=1))) + len(rows) // 2
    frame = next(islice(read_frames(folder / "agent/run.mp4"), moment, None))
    return draw_overlay(frame, actions, None, likely, pressed, moment)


def titles(desktop: X11Desktop) -> str:
    try:
        return desktop.title_of(desktop.window_titled(TITLE))
    except ValueError:
        return ""


def move(window: int, left: int, top: int) -> None:
    with closing(display.Display()) as server:
        server.create_resource_object("window", window).configure(x=left, y=top, stack_mode=X.Above)
        server.sync()


def give_focus(window: int) -> None:
    """What a click on the window would do, without a shot in the game."""
    with closing(display.Display()) as server:
        server.create_resource_object("window", window).set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        server.sync()


def click_record(little: Region) -> None:
    """Record is the first button of the row under the name."""
    with closing(display.Display()) as server:
        server.screen().root.warp_pointer(little.left + RECORD_AT[0], little.top + RECORD_AT[1])
        for event in (X.ButtonPress, X.ButtonRelease):
            server.sync()
            time.sleep(0.2)
            xtest.fake_input(server, event, 1)
        server.sync()
        time.sleep(0.2)


def around(regions: list[Region]) -> Region:
    """The smallest region that holds them, with a margin where the screen has one."""
    left, top = (max(min(getattr(r, side) for r in regions) - MARGIN_PX, 0) for side in ("left", "top"))
    right = max(r.left + r.width for r in regions) + MARGIN_PX
    bottom = max(r.top + r.height for r in regions) + MARGIN_PX
    return even_region(left, top, min(right, 1280) - left, min(bottom, 800) - top)


def write_picture(path: Path, image: np.ndarray) -> None:
    """ValueError when it is too large for a README."""
    _, jpg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if len(jpg) > MOST_BYTES:
        raise ValueError(f"{path} would have {len(jpg)} bytes, more than {MOST_BYTES}")
    path.write_bytes(jpg.tobytes())
    print(f"wrote {path}, {len(jpg) // 1000} KB")


if __name__ == "__main__":
    main()
