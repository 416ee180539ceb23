"""`make bench`: the project's speed against the usual scripts, taking turns on one core -> reports/benchmark.md.

Ratios, not absolute numbers: both sides run on the same core in the same minute.
"""

import argparse
import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.models.policies.recurrent import Recurrent
from stages.params import read_params
from tests.benchmarks import page, sizes
from tests.benchmarks.child import CPU_TIME, Child
from tests.benchmarks.material import STORE_FRAMES, VIDEO_FRAMES, make_material

EPOCH = STORE_FRAMES * 7 // 8  # windows of the train split


@dataclass(frozen=True)
class Work:
    """A task of a side and how much of it a round does."""

    side: str
    task: str
    amount: int


@dataclass(frozen=True)
class Comparison:
    what: str
    unit: str
    usual: Work
    ours: Work
    target: float | None


def comparisons(default_batch: int) -> list[Comparison]:
    """What is compared; the targets are the project's own."""
    usual_policy = Work("keras_side", "policy", 2048)
    network = f"{'-'.join(map(str, sizes.CHANNELS))}, latent {sizes.LATENT}, batch {sizes.BATCH}"
    return [
        Comparison(
            f"Autoencoder training step ({network}) against Keras/TensorFlow", "step",
            Work("keras_side", "autoencoder", 8), Work("our_side", "autoencoder", 8), 2.3,
        ),
        Comparison(
            f"GRU policy training, batch {sizes.BATCH} against Keras/TensorFlow at batch {sizes.BATCH}", "window",
            usual_policy, Work("our_side", "policy", 2048), 1.1,
        ),
        Comparison(
            f"GRU policy training, batch {default_batch} (our default) against Keras/TensorFlow at batch {sizes.BATCH}",
            "window", usual_policy, Work("our_side", "policy_default", 8192), 2.0,
        ),
        Comparison(
            "A 720p picture to probabilities, latents kept, against Keras predict over 10 frames", "frame",
            Work("keras_side", "play", 20), Work("our_side", "play", 200), 15.0,
        ),
        Comparison(
            "720p H.264 to small grey frames against the cv2.VideoCapture loop", "frame",
            Work("simple_side", "decode", VIDEO_FRAMES), Work("our_side", "decode", VIDEO_FRAMES), 1.15,
        ),
        Comparison(
            "Every window of 16 frames once, as a training reads them (loading included), against a frame a chunk",
            "window", Work("simple_side", "windows", 500), Work("our_side", "epoch", EPOCH), 5.0,
        ),
        Comparison(
            "One random window of 16 frames read from the store against a frame a chunk", "window",
            Work("simple_side", "windows", 500), Work("our_side", "windows", 500), None,
        ),
    ]  # fmt: skip


def measure(comparison: Comparison, sides: dict[str, Child], rounds: int) -> list[tuple[float, float]]:
    """(usual, ours) in seconds a unit, a pair a round, after one round that is not counted."""
    pairs = []
    for _ in range(rounds + 1):
        works = (comparison.usual, comparison.ours)
        pairs.append(tuple(sides[work.side].seconds(work.task, work.amount) / work.amount for work in works))
    return pairs[1:]


def row(comparison: Comparison, pairs: list[tuple[float, float]]) -> list[str]:
    """A row of the table: medians, the ratio and its range, the target and whether it is met."""
    ratios = sorted(usual / ours for usual, ours in pairs)
    usual_ms, ours_ms = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    ratio, target = statistics.median(ratios), comparison.target
    verdict = ["", ""] if target is None else [f"{target:g}", "yes" if ratio >= target else "**no**"]
    times = [f"{value:.3g} ms/{comparison.unit}" for value in (usual_ms, ours_ms)]
    return [comparison.what, *times, f"**{ratio:.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f})", *verdict]


def pixel_difference(video: Path) -> str:
    """How far our small frames are from the cv2 loop's, in words."""
    from stages.episodes.decode import read_small_frames
    from tests.benchmarks.simple_side import small_frames

    wanted = np.ones(VIDEO_FRAMES, bool)
    ours = read_small_frames(video, width=sizes.WIDTH, height=sizes.HEIGHT, color="gray", wanted=wanted)
    levels = np.abs(np.stack([a.astype(int) - b[0] for a, b in zip(small_frames(video), ours, strict=True)]))
    return (
        f"Decoded frames differ from the cv2 loop's by {levels.mean():.2f} grey levels on average and "
        f"{levels.max()} at most; {np.mean(levels <= 2):.4%} of the pixels are within 2 levels."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns that each side takes")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time: for a machine that is busy")
    options = parser.parse_args()
    if options.cpu_time:
        os.environ[CPU_TIME] = "1"
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="understudy-benchmark-")))
        print("making a 720p video and stores", flush=True)
        make_material(folder)
        names = ("keras_side", "simple_side", "our_side")
        sides = {name: stack.enter_context(Child(name, str(folder))) for name in names}
        for comparison in comparisons(read_params().section("recurrent", Recurrent.Section).batch_size):
            rows.append(row(comparison, measure(comparison, sides, options.rounds)))
            print("  ".join(rows[-1]), flush=True)
        pixels = pixel_difference(folder / "video.mp4")
    clock = "processor time" if options.cpu_time else "wall clock"
    lines = page.table(["What", "Usual", "Ours", "Usual / ours (range)", "Target", "Met"], rows)
    note = f"One thread, one core, taking turns, {options.rounds} rounds, {clock}; medians. {pixels}"
    page.write_part("Speed", [note, "", *lines])
    print(f"wrote {page.PAGE}")


if __name__ == "__main__":
    main()
