"""What the contestants work on: a 720p video of the bundled game and, from it, small frames, windows and stores."""

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import zarr

from stages.episodes.preprocess import preprocess
from stages.episodes.store import EpisodeInfo, StoreWriter
from stages.episodes.windows import window_indices
from stages.games.doom import DoomCenter
from stages.recordings.video import VideoWriter, read_frames
from tests.benchmarks import sizes

VIDEO_FRAMES = 600
STORE_FRAMES = 8192
HOLD = 12  # tics that the random player keeps its keys down
SHARES = {"LEFT": 0.3, "RIGHT": 0.25, "SHOOT": 0.4, "DASH": 0.1}  # of the time, as in recordings of the script


def make_material(folder: Path) -> None:
    """Writes video.mp4, material.npz, episodes.zarr, latents.zarr and frame_chunks.zarr."""
    with DoomCenter(width=1280, height=720) as game:
        record(game, folder / "video.mp4")
    images = read_frames(folder / "video.mp4")
    small = np.stack([preprocess(image, width=sizes.WIDTH, height=sizes.HEIGHT, color="gray") for image in images])
    generator = np.random.default_rng(0)
    frames = np.resize(small, (STORE_FRAMES, *small.shape[1:]))
    latents = generator.standard_normal((STORE_FRAMES, sizes.POLICY_LATENT), np.float32)
    actions = (generator.random((STORE_FRAMES, sizes.ACTIONS)) < 0.3).astype(np.uint8)
    np.savez(
        folder / "material.npz", frames=frames, latents=latents, actions=actions,
        windows=window_indices([STORE_FRAMES], sizes.WINDOW), image=next(read_frames(folder / "video.mp4")),
    )  # fmt: skip
    write_store(folder / "episodes.zarr", "frames", frames, actions)
    write_store(folder / "latents.zarr", "latents", latents, actions)
    one = (1, *frames.shape[1:])
    zarr.create_array(folder / "frame_chunks.zarr", shape=frames.shape, dtype="uint8", chunks=one)[:] = frames


def record(game: DoomCenter, path: Path) -> None:
    """A 720p video at 35 frames a second of a player with random keys, the same every time."""
    generator = np.random.default_rng(0)
    writer = VideoWriter(path, width=1280, height=720, fps=game.tic_rate_hz, crf=23)
    for image in islice(pictures(game, generator), VIDEO_FRAMES):
        writer.write(image)
    writer.close()


def pictures(game: DoomCenter, generator: np.random.Generator):
    """What the random player sees, episode after episode."""
    seed = 0
    while True:
        game.reset(seed)
        while not game.done:
            held = [action for action, share in SHARES.items() if generator.random() < share]
            for _ in range(HOLD):
                if not game.done:
                    yield game.frame()
                    game.step([held])
        seed += 1


def write_store(path: Path, array: str, values: np.ndarray, actions: np.ndarray) -> None:
    """The values as an episode store: the first seven eighths are train, the rest val."""
    shutil.rmtree(path, ignore_errors=True)
    names = [f"ACTION{i}" for i in range(actions.shape[1])]
    attrs = {"action_names": names, "state_columns": [], "fps": 10.0, "recordings": "benchmark"}
    cut = len(values) * 7 // 8
    with StoreWriter(path, attrs=attrs) as store:
        for number, (split, rows) in enumerate((("train", slice(cut)), ("val", slice(cut, None)))):
            info = EpisodeInfo(f"episode_{number:05d}", split, 0, split, len(values[rows]), None, None)
            times = np.arange(len(values))[rows] / 10
            store.episode(info, {array: values[rows], "actions": actions[rows], "t": times})
