"""From a grabbed 720p picture to the keys, stage by stage: python -m tests.live.bench_play [MODEL] [FRAMES]

Real screen (DISPLAY), real trained files, real key presses into a window of its own. Prints a table in ms.
"""

import sys
import time
from pathlib import Path

import numpy as np

from stages.commands.models import load_brain
from stages.episodes.preprocess import preprocess
from stages.live.clock import SteadyClock
from stages.live.hands import Hands
from stages.live.keyboard import Fingers
from stages.live.latency import percentiles
from stages.live.player import Decider
from stages.live.screen import Camera, Region
from tests.live.windows import PlainWindow

KEYS = {"LEFT": "Key.left", "RIGHT": "Key.right", "SHOOT": "Key.ctrl", "DASH": "Key.shift"}
WARM_UP = 20


def measured(model: Path, frames: int) -> dict[str, list[float]]:
    """Stage -> ms a frame; "picture to keys" is what the player waits for, of which "preprocess" is a part."""
    acting, brain, actions = load_brain(model)
    decide = Decider(acting, actions, KEYS, "sampled", np.random.default_rng(0))
    took = {name: [] for name in ("capture", "preprocess", "picture to keys", "of that: keys")}
    with PlainWindow(0, 0, 1280, 720) as window, Camera(Region(0, 0, 1280, 720), SteadyClock()) as camera:
        window.take_focus()
        hands = Hands(Fingers(), KEYS.values())
        hands.allow()
        for _ in range(frames + WARM_UP):
            start = time.perf_counter()
            image, _ = camera.picture()
            grabbed = time.perf_counter()
            keys, _ = decide(brain.logits({0: image})[0])
            decided = time.perf_counter()
            hands.hold(keys)
            done = time.perf_counter()
            preprocess(image, width=128, height=72, color="gray")
            again = time.perf_counter() - done
            for name, seconds in zip(took, (grabbed - start, again, done - grabbed, done - decided), strict=True):
                took[name].append(seconds * 1000)
            time.sleep(0.02)
        hands.let_go()
    return {name: values[WARM_UP:] for name, values in took.items()}


def main() -> None:
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data/models")
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    for name, values in measured(model, frames).items():
        p = percentiles(values)
        print(f"{name:<16} p50 {p['p50']:6.2f} ms   p99 {p['p99']:6.2f} ms   max {p['max']:6.2f} ms")


if __name__ == "__main__":
    main()
