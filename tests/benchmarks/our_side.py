"""Our side of the comparisons: the project's own stages, models and stores on one thread, as they are."""

import shutil
import sys
from functools import partial
from pathlib import Path

from tests.benchmarks.child import keep_to_one_core, now, serve

keep_to_one_core()

import cv2  # noqa: E402  (after the process is pinned: these libraries count the cores when they start)
import numpy as np  # noqa: E402
import torch  # noqa: E402

from stages.episodes.decode import read_small_frames  # noqa: E402
from stages.episodes.store import EpisodeStore  # noqa: E402
from stages.episodes.windows import FrameBank, window_indices  # noqa: E402
from stages.learning.compute import Compute, prepare_compute  # noqa: E402
from stages.learning.losses import focal_loss, pixel_weights  # noqa: E402
from stages.learning.training import FitSettings, fit  # noqa: E402
from stages.models.acting import Acting  # noqa: E402
from stages.models.agent import About, Agent  # noqa: E402
from stages.models.autoencoder import Autoencoder  # noqa: E402
from stages.models.cloning import CloningTask, Windows, window_weights  # noqa: E402
from stages.models.policies.recurrent import Recurrent  # noqa: E402
from stages.models.reconstruction import ReconstructionTask, background_of  # noqa: E402
from stages.params import Params, read_params  # noqa: E402
from tests.benchmarks import sizes  # noqa: E402

cv2.setNumThreads(1)


class Timed:
    """A task of the project cut to so many steps; notes when each step ends. Validation is left out."""

    monitor, maximise = "loss", False

    def __init__(self, task, batch: int, steps: int):
        self.model, self.loss = task.model, task.loss
        self._order = np.resize(task.order(0), batch * (steps + 1))
        self.ends: list[float] = []

    def order(self, number: int) -> np.ndarray:
        return self._order

    def after_step(self, step: int) -> None:
        self.ends.append(now())

    def validate(self, model) -> dict[str, float]:
        return {"loss": 0.0}


def fit_seconds(task, section, params: Params, compute: Compute, scratch: Path, batch: int, steps: int) -> float:
    """Seconds of `steps` steps of the fit loop, after a first one that is not counted."""
    asked = {"steps": steps + 1, "evaluate_every": steps + 1, "batch_size": batch}
    settings = FitSettings.from_sections(dict(section) | asked, params.training)
    timed = Timed(task, batch, steps)
    shutil.rmtree(scratch, ignore_errors=True)
    fit(timed, settings, compute, live=None, scratch=scratch, name="benchmark")
    return timed.ends[-1] - timed.ends[0]


def reconstruction(folder: Path, params: Params, compute: Compute) -> ReconstructionTask:
    """The autoencoder's training, in the sizes of the comparison."""
    store = EpisodeStore(folder / "episodes.zarr")
    train, val = (FrameBank(store, split, "frames", params.training.frames_in_ram_gb) for split in ("train", "val"))
    model = Autoencoder(
        kind="dense", channels=sizes.CHANNELS, latent_dim=sizes.LATENT,
        height=sizes.HEIGHT, width=sizes.WIDTH, in_channels=1,
    )  # fmt: skip
    model.set_background(*background_of(train))
    own = params.autoencoder
    weigh = partial(pixel_weights, threshold=own.change_threshold, weight=own.change_weight)
    return ReconstructionTask(model, train, val, batch=sizes.BATCH, device=compute.device, seed=0, weigh=weigh)


def recurrent(latent: int) -> Recurrent:
    """The policy, in the sizes of the comparison, on latents [latent]."""
    return Recurrent(
        shapes={"latents": [latent]}, window=sizes.WINDOW, actions=sizes.ACTIONS, hidden=sizes.HIDDEN, cell="gru",
        dropout=sizes.DROPOUT,
    )  # fmt: skip


def cloning(folder: Path, params: Params, compute: Compute) -> CloningTask:
    """The policy's training, in the sizes of the comparison."""
    store = EpisodeStore(folder / "latents.zarr")
    train, val = (
        Windows(store, split, store.action_names, Recurrent.reads, sizes.WINDOW, 1.0) for split in ("train", "val")
    )
    policy = recurrent(sizes.POLICY_LATENT)
    loss = partial(focal_loss, gamma=params.focal.gamma, alpha=params.focal.alpha)
    weights = window_weights(train, [0], params.rare_factor, by_class=False, change_weight=1.0, change_frames=0)
    return CloningTask(policy, train, val, loss=loss, weights=weights, device=compute.device, seed=0)


def decode_seconds(path: Path, wanted: np.ndarray) -> float:
    start = now()
    for _ in read_small_frames(path, width=sizes.WIDTH, height=sizes.HEIGHT, color="gray", wanted=wanted):
        pass
    return now() - start


def epoch_seconds(store: EpisodeStore) -> float:
    """Seconds for every window of 16 frames once, in random batches, as a training reads them: loading included,
    and nothing held in memory (limit 0)."""
    start = now()
    bank = FrameBank(store, "train", "frames", 0.0)
    rows = window_indices(bank.lengths, sizes.STORE_WINDOW)
    order = np.random.default_rng(0).permutation(len(rows))
    for first in range(0, len(order), sizes.BATCH):
        bank.take(rows[order[first : first + sizes.BATCH]])
    return now() - start


def window_seconds(store: EpisodeStore, windows: int) -> float:
    """Seconds for random windows of 16 frames, each read from the disk."""
    episode = store.episodes("train")[0]
    starts = np.random.default_rng(0).integers(0, episode.length - sizes.STORE_WINDOW, windows)
    start = now()
    for first in starts:
        store.read(episode.name, "frames", first, first + sizes.STORE_WINDOW)
    return now() - start


def player(compute: Compute) -> Agent:
    """The agent of live play, in the sizes of the comparison."""
    squeeze = Autoencoder(
        kind="dense", channels=sizes.CHANNELS, latent_dim=sizes.LATENT,
        height=sizes.HEIGHT, width=sizes.WIDTH, in_channels=1,
    )  # fmt: skip
    names = tuple(f"ACTION{i}" for i in range(sizes.ACTIONS))
    half, one, zero = (np.full(sizes.ACTIONS, value) for value in (0.5, 1.0, 0.0))
    about = About(
        actions=names, keys={}, fps=10.0, picture={"width": sizes.WIDTH, "height": sizes.HEIGHT, "color": "gray"},
        labels={}, state_columns=(), learned_from="nothing", acting=Acting(half, one, zero, "threshold"),
    )  # fmt: skip
    return Agent(about, recurrent(sizes.LATENT), squeeze.eval(), compute, batch=1)


def play_seconds(agent: Agent, image_bgr: np.ndarray, frames: int) -> float:
    """Seconds from 720p pictures to probabilities."""
    agent.logits({0: image_bgr})
    start = now()
    for _ in range(frames):
        1 / (1 + np.exp(-agent.logits({0: image_bgr})[0]))
    return now() - start


def main() -> None:
    folder = Path(sys.argv[1])
    params = read_params()
    compute = prepare_compute("cpu", params.precision, 1, 0)
    torch.set_num_interop_threads(1)
    own = params.section("recurrent", Recurrent.Section)
    reconstruct, act = reconstruction(folder, params, compute), cloning(folder, params, compute)
    store, agent = EpisodeStore(folder / "episodes.zarr"), player(compute)
    image = np.load(folder / "material.npz")["image"]

    def autoencoder(steps: int) -> float:
        return fit_seconds(reconstruct, params.autoencoder, params, compute, folder / "ours", sizes.BATCH, steps)

    def policy(batch: int, windows: int) -> float:
        return fit_seconds(act, own, params, compute, folder / "ours", batch, windows // batch)

    serve({
        "autoencoder": autoencoder,
        "policy": partial(policy, sizes.BATCH),
        "policy_default": partial(policy, own.batch_size),
        "decode": lambda frames: decode_seconds(folder / "video.mp4", np.ones(frames, bool)),
        "epoch": lambda _: epoch_seconds(store),
        "windows": partial(window_seconds, store),
        "play": partial(play_seconds, agent, image),
    })  # fmt: skip


if __name__ == "__main__":
    main()
