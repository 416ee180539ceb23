"""From a grabbed 720p picture to the keys, stage by stage: python -m tests.live.bench_play [AGENT] [FRAMES] [--page]

A real screen (DISPLAY, or without one an Xvfb of its own), real trained files, real key presses into a window of its
own. Prints a table in ms; with --page, as the last part of `make bench`, it is a part of reports/benchmark.md, and what
cannot be measured here is told and no error.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np

from stages.commands.agent import load_agent
from stages.episodes.preprocess import preprocess
from stages.live.clock import SteadyClock
from stages.live.deciding import Decider
from stages.live.desktop import open_desktop
from stages.live.hands import Hands
from stages.live.keyboard import Fingers
from stages.live.latency import percentiles
from stages.live.screen import Camera, Region
from tests.live.xvfb import x_server

KEYS = {"LEFT": "Key.left", "RIGHT": "Key.right", "SHOOT": "Key.ctrl", "DASH": "Key.shift"}
WARM_UP = 20


def measured(folder: Path, frames: int) -> dict[str, list[float]]:
    """Stage -> ms a frame; "picture to keys" is what the player waits for, of which "preprocess" is a part."""
    agent = load_agent(folder)
    decide = Decider(agent.about.acting.by("sampled"), agent.about.actions, KEYS, np.random.default_rng(0))
    took = {name: [] for name in ("capture", "preprocess", "picture to keys", "of that: keys")}
    with ExitStack() as parts:
        desktop = parts.enter_context(closing(open_desktop()))
        from tests.live.windows import PlainWindow  # needs Xlib, of which open_desktop tells when it is missing

        window = parts.enter_context(PlainWindow(0, 0, 1280, 720, "play latency"))
        camera = parts.enter_context(Camera(Region(0, 0, 1280, 720), SteadyClock()))
        window.take_focus()
        hands, game = Hands(Fingers(), KEYS.values()), desktop.window_titled("play latency")
        parts.callback(hands.let_go)
        hands.allow()
        for _ in range(frames + WARM_UP):
            start = time.perf_counter()
            image, _ = camera.picture()
            grabbed = time.perf_counter()
            keys, _ = decide(agent.logits({0: image})[0])
            decided = time.perf_counter()
            if not hands.hold(keys, lambda: desktop.front() == game):
                raise ValueError("another window came to the front of the one that is played in")
            done = time.perf_counter()
            preprocess(image, **agent.about.picture)
            again = time.perf_counter() - done
            for name, seconds in zip(took, (grabbed - start, again, done - grabbed, done - decided), strict=True):
                took[name].append(seconds * 1000)
            time.sleep(0.02)
    return {name: values[WARM_UP:] for name, values in took.items()}


@contextmanager
def screen() -> Iterator[str]:
    """What it is measured on, in words. ValueError when there is neither a display nor an Xvfb."""
    if os.environ.get("DISPLAY"):
        yield "the display of this machine"
        return
    with tempfile.TemporaryDirectory() as folder, x_server(Path(folder) / "log") as name:
        os.environ["DISPLAY"] = name
        try:
            yield "Xvfb, without a monitor"
        finally:
            del os.environ["DISPLAY"]


def rows_of(took: dict[str, list[float]]) -> list[list[str]]:
    """Stage, p50, p99 and max in ms, a row a stage."""
    return [[name, *(f"{value:.2f}" for value in percentiles(values).values())] for name, values in took.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("agent", type=Path, nargs="?", default=Path("data/agent"))
    parser.add_argument("frames", type=int, nargs="?", default=500)
    parser.add_argument("--page", action="store_true", help="write it into reports/benchmark.md")
    options = parser.parse_args()
    try:
        with screen() as where:
            rows = rows_of(measured(options.agent, options.frames))
    except ValueError as error:
        if not options.page:
            raise SystemExit(f"error: {error}") from None
        print(f"the latency of play is not measured: {error}")
        return
    for name, *values in rows:
        p50, p99, most = values
        print(f"{name:<16} p50 {p50:>6} ms   p99 {p99:>6} ms   max {most:>6} ms")
    if options.page:
        from tests.benchmarks import page  # psutil, of which the live parts know nothing

        note = f"The trained agent on a 720p window, {options.frames} pictures 20 ms apart, on {where}."
        page.write_part("Play latency", [note, "", *page.table(["Stage", "p50, ms", "p99, ms", "Most, ms"], rows)])
        print(f"wrote {page.PAGE}")


if __name__ == "__main__":
    main()
