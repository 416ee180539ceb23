"""`python -m tests.benchmarks.beside`: how much longer a step of each training takes beside a program that never rests.

The trainings of params.yaml on frames of the default size. Each takes turns in one process: alone, beside an endless
loop that keeps to one core, beside one that goes where the system puts it. Ratios, not absolute numbers: what else runs
on the machine runs in all turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from stages.episodes.store import EpisodeStore
from stages.episodes.windows import FrameBank
from stages.latent_actions.learning import LatentActionTask
from stages.latent_actions.transitions import transitions_of
from stages.learning.compute import Compute, prepare_compute
from stages.learning.losses import bce_loss, pixel_weights
from stages.learning.training import FitSettings, fit
from stages.models.autoencoder import Autoencoder
from stages.models.cloning import CloningTask, window_weights, windows_of
from stages.models.latent_action import LatentActionDesign, LatentActionModel
from stages.models.policies.pictures import set_background
from stages.models.policies.registry import arrays_read, made_policy, section_of
from stages.models.reconstruction import ReconstructionTask, background_of
from stages.params import Params, read_params
from stages.train_latent_action import statistics_of
from stages.train_policy import augmentation
from tests.benchmarks import page
from tests.benchmarks.material import make_material

MOST = 2.2  # times as long as alone, beside one program
LOOP = "while True: pass"
PINNED = f"import os; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, {{0}})\n{LOOP}"
NEIGHBOURS = {"alone": None, "pinned": PINNED, "free": LOOP}
ENDLESS = 10**7  # steps; the turns end it long before
FIRST_STEPS = 8  # not counted: they ask for memory, and the codes of the latent action model start in them


class Enough(Exception):
    """Ends a training when all turns are taken."""


class Turns:
    """A task of the project without validation; notes the seconds a step of each turn."""

    monitor, maximise = "loss", False

    def __init__(self, task, rounds: int, turn_s: float):
        self.model, self.loss, self._task, self._turn_s = task.model, task.loss, task, turn_s
        self.step_s: dict[str, list[float]] = {name: [] for name in NEIGHBOURS}
        self._coming = list(NEIGHBOURS) * rounds
        self._neighbour, self._started, self._steps = None, None, 0

    def order(self, number: int) -> np.ndarray:
        return self._task.order(number)

    def validate(self, model) -> dict[str, float]:
        return {"loss": 0.0}

    def after_step(self, step: int) -> None:
        if hasattr(self._task, "after_step"):
            self._task.after_step(step)
        if step < FIRST_STEPS:
            return
        now = time.perf_counter()
        if self._started is None:  # the step in which the neighbour came or went belongs to no turn
            self._started, self._steps = now, 0
            return
        self._steps += 1
        if now - self._started >= self._turn_s:
            self.step_s[self._coming.pop(0)].append((now - self._started) / self._steps)
            self.change_neighbour(NEIGHBOURS[self._coming[0]] if self._coming else None)
            self._started = None
            if not self._coming:
                raise Enough

    def change_neighbour(self, program: str | None) -> None:
        if self._neighbour is not None:
            self._neighbour.kill()
            self._neighbour.wait()
        self._neighbour = program and subprocess.Popen([sys.executable, "-c", program])


def autoencoder(folder: Path, params: Params, compute: Compute):
    store, own = EpisodeStore(folder / "episodes.zarr"), params.autoencoder
    train, val = (FrameBank(store, split, "frames", params.training.frames_in_ram_gb) for split in ("train", "val"))
    channels, height, width = train.shape
    model = Autoencoder(
        kind=own.kind, channels=own.channels, latent_dim=params.latent_dim,
        height=height, width=width, in_channels=channels,
    )  # fmt: skip
    model.set_background(*background_of(train))
    weigh = partial(pixel_weights, threshold=own.change_threshold, weight=own.change_weight)
    return ReconstructionTask(model, train, val, batch=own.batch_size, device=compute.device, seed=0, weigh=weigh), own


def policy(folder: Path, params: Params, compute: Compute):
    """The default kind: latents and the last frames, augmented."""
    own, latents = section_of(params), EpisodeStore(folder / "latents.zarr")
    pictures = EpisodeStore(folder / "episodes.zarr", pixels=own.pixels)
    params = params.model_copy(update={"actions": latents.action_names})
    shapes = {name: (latents if latents.has(name) else pictures).row_layout(name)[0] for name in arrays_read(params)}
    model = made_policy(params, shapes, latents.fps)
    train, val = (windows_of(model, split, params, (latents, pictures)) for split in ("train", "val"))
    background, spread = background_of(next(bank for bank in train.banks if bank.array == "frames"))
    set_background(model, background, spread)
    weights = window_weights(
        train, [], 1.0, by_class=False,
        change_weight=params.key_change_weight, change_frames=params.key_change_frames,
    )  # fmt: skip
    task = CloningTask(
        model, train, val, loss=bce_loss, weights=weights, device=compute.device, seed=0,
        augmented=augmentation(params, pictures, background, {}),
    )  # fmt: skip
    return task, own


def latent_action(folder: Path, params: Params, compute: Compute):
    store, own = EpisodeStore(folder / "episodes.zarr"), params.latent_action
    train, val = (
        transitions_of(store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=1.0)
        for split in ("train", "val")
    )
    channels, height, width = train.bank.shape
    model = LatentActionModel(
        LatentActionDesign.from_section(own, labels=0, height=height, width=width, in_channels=channels)
    )
    model.views.set_statistics(*statistics_of(train))
    task = LatentActionTask(model, train, val, own, compute, quantise_after=2)
    return task, own


TRAININGS = {"autoencoder": autoencoder, "policy": policy, "latent action": latent_action}


def measure(name: str, folder: Path, rounds: int, turn_s: float) -> dict[str, float]:
    """Median seconds a step of a training: alone and beside each kind of neighbour."""
    params = read_params()
    compute = prepare_compute("cpu", params.precision, params.threads, params.seed)
    task, section = TRAININGS[name](folder, params, compute)
    settings = FitSettings.from_sections(dict(section) | {"steps": ENDLESS, "evaluate_every": ENDLESS}, params.training)
    turns = Turns(task, rounds, turn_s)
    try:
        fit(turns, settings, compute, live=None, scratch=folder / f"beside-{os.getpid()}", name=name)
    except Enough:
        pass
    finally:
        turns.change_neighbour(None)
    return {kind: statistics.median(found) for kind, found in turns.step_s.items()}


def row(name: str, step_s: dict[str, float]) -> list[str]:
    """A row of the table: steps a second alone, how many times as long beside a neighbour, and whether that is met."""
    times = [step_s[kind] / step_s["alone"] for kind in NEIGHBOURS if kind != "alone"]
    met = "yes" if max(times) <= MOST else "**no**"
    return [name, f"{1 / step_s['alone']:.2f}", *(f"{value:.2f}" for value in times), f"{MOST:g}", met]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind")
    parser.add_argument("--turn-s", type=float, default=4.0, help="seconds a turn takes")
    parser.add_argument("--only", choices=TRAININGS, nargs="+", default=list(TRAININGS), help="these trainings alone")
    parser.add_argument("--material", type=Path, help="a folder of stores that were made before")
    parser.add_argument("--page", action="store_true", help="writes the table into the page of benchmarks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="understudy-benchmark-") as made:
        folder = options.material or Path(made)
        if not options.material:
            make_material(folder)
        rows = [row(name, measure(name, folder, options.rounds, options.turn_s)) for name in options.only]
    header = ["Training", "Steps a second", "Beside a loop on one core", "Beside a free loop", "At most", "Met"]
    table = page.table(header, rows)
    print("\n".join(table))
    if options.page:
        note = f"Times as long a step beside one endless loop, {read_params().threads} threads."
        page.write_part("Beside another program", [note, "", *table])


if __name__ == "__main__":
    main()
