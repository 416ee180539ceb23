"""What a split's frames look like after the autoencoder, and what its latents still tell: metrics of one split.

The model comes in as a function `squeeze`, frames uint8 [N, C, H, W] -> latents float32 [N, ...] and
reconstructions uint8 [N, C, H, W], so that nothing here knows how it works. Frames are taken a block at
a time, which bounds the memory however long an episode is.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from tqdm import tqdm

from stages.episodes.store import CHUNK, EpisodeStore
from stages.evaluation.images import SCORES, image_scores, image_sums, moving_pixels, psnr_db, squared_error
from stages.evaluation.intervals import UNDEFINED, finite
from stages.evaluation.probe import (
    ObjectProbe,
    detection_ap,
    fit_object_probe,
    location_error_px,
    object_state,
    probe_columns,
    probe_rows,
    raw_features,
    raw_size,
)
from stages.learning.fast.threads import in_threads

Squeeze = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
SIGHTS = {"latent": "", "raw": "_raw"}  # what a probe sees (the latent, or the shrunken frame) -> its metrics' suffix
BLOCK_VALUES = 2**22  # a block of frames holds about so many


@dataclass(frozen=True)
class Scoring:
    """How splits are scored: prefix of the probed state columns, grey levels that count as a move, bootstrap."""

    prefix: str
    change_threshold: float
    resamples: int
    seed: int

    @property
    def bootstrap(self) -> dict[str, int]:
        return {"resamples": self.resamples, "seed": self.seed}


@dataclass(frozen=True)
class TrainFindings:
    """What train teaches before other splits are scored: PSNR in dB, the probes by sight (None: no such columns)."""

    psnr_db: float
    probes: dict[str, ObjectProbe] | None
    median_x_px: float


def has_probe_columns(store: EpisodeStore, prefix: str) -> bool:
    """Whether the store knows where the objects of this prefix are."""
    return store.has("state") and set(probe_columns(prefix)) <= set(store.state_columns)


def study_train(store: EpisodeStore, squeeze: Squeeze, latent_size: int, scoring: Scoring) -> TrainFindings:
    """Fits the probes on train, from the latents (of latent_size numbers) and from the raw frames."""
    total = sum(episode.length for episode in store.episodes("train"))
    probing = has_probe_columns(store, scoring.prefix)
    chosen = {"latent": np.zeros(total, bool), "raw": np.zeros(total, bool)}
    chosen["latent"][probe_rows(total, latent_size)] = True
    chosen["raw"][probe_rows(total, raw_size(store.row_layout("frames")[0]))] = True

    def studied(block: Block) -> tuple[np.ndarray, ...]:
        frames = block.read(store)
        latent, raw = (frames[rows[block.row : block.row + len(frames)]] for rows in chosen.values())
        latents, pictures = squeeze(latent)
        error = squared_error(latent, pictures).mean(axis=(1, 2), dtype=np.float64)
        return error, *((latents.reshape(len(latents), -1), raw_features(raw)) if probing else ())

    errors, *seen = (np.concatenate(each) for each in zip(*_in_blocks(studied, store, "train"), strict=True))
    psnr = float(psnr_db(errors.mean()))
    if not probing:
        return TrainFindings(psnr, None, math.nan)
    in_view, x_px, episode = _objects(store, "train", scoring.prefix)
    probes = {
        sight: fit_object_probe(features, in_view[rows], x_px[rows], episode[rows], seed=scoring.seed)
        for (sight, rows), features in zip(chosen.items(), seen, strict=True)
    }
    placed = x_px[np.isfinite(x_px)]
    return TrainFindings(psnr, probes, float(np.median(placed)) if len(placed) else math.nan)


def judge_split(
    store: EpisodeStore, split: str, squeeze: Squeeze, background: np.ndarray, found: TrainFindings, scoring: Scoring
) -> dict[str, float | None]:
    """The flat metrics `ae_...` of a split, intervals as `_low` and `_high`; null where there is nothing to score.

    background uint8 [C, H, W]: the picture that one gets without looking, a baseline for the reconstructions.
    """
    episodes = len(store.episodes(split))
    totals: dict[str, dict[str, np.ndarray]] = {"": {}, "background_": {}}
    said: dict[tuple[str, str], list[np.ndarray]] = {}

    def judged(block: Block) -> tuple[int, dict, dict]:
        frames, previous = block.read_with_previous(store)
        latents, pictures = squeeze(frames)
        moving = moving_pixels(frames, previous, scoring.change_threshold)
        empty = np.repeat(background[None], len(frames), axis=0)
        sums = {
            prefix: {name: values.sum() for name, values in image_sums(frames, shown, moving).items()}
            for prefix, shown in (("", pictures), ("background_", empty))
        }
        seen = {"latent": latents.reshape(len(latents), -1), "raw": raw_features(frames)} if found.probes else {}
        said_here = {
            (sight, name): probe.predict(features)
            for sight, features in seen.items()
            for name, probe in vars(found.probes[sight]).items()
            if probe is not None
        }
        return block.episode, sums, said_here

    for episode, sums, predictions in _in_blocks(judged, store, split):
        for prefix, own in sums.items():
            for name, value in own.items():
                totals[prefix].setdefault(name, np.zeros(episodes))[episode] += value
        for key, values in predictions.items():
            said.setdefault(key, []).append(values)
    scores = image_scores(totals[""], **scoring.bootstrap)
    metrics = {key: value for name in SCORES for key, value in scores[name].as_metrics(f"ae_{name}").items()}
    blind = image_scores(totals["background_"], resamples=1, seed=scoring.seed)
    metrics |= {f"ae_background_{name}": finite(blind[name].value) for name in SCORES}
    truth = _objects(store, split, scoring.prefix) if found.probes else (np.zeros(0),) * 3
    joined = {key: np.concatenate(values) for key, values in said.items()}
    return metrics | _probe_metrics(joined, *truth, found.median_x_px, scoring)


@dataclass(frozen=True)
class Block:
    """Frames in a row: of which episode (its number in the split and name), from where to where, its first row in the
    split."""

    episode: int
    name: str
    start: int
    stop: int
    row: int

    def read(self, store: EpisodeStore) -> np.ndarray:
        """uint8 [n, C, H, W]"""
        return store.read(self.name, "frames", self.start, self.stop)

    def read_with_previous(self, store: EpisodeStore) -> tuple[np.ndarray, np.ndarray]:
        """The frames, and the one before each; an episode's first frame is its own predecessor."""
        if not self.start:
            frames = self.read(store)
            return frames, np.concatenate([frames[:1], frames[:-1]])
        frames = store.read(self.name, "frames", self.start - 1, self.stop)
        return frames[1:], frames[:-1]


def _in_blocks(work: Callable[[Block], tuple], store: EpisodeStore, split: str) -> Iterator[tuple]:
    """What `work` says of every block of a split, in order."""
    shape, _ = store.row_layout("frames")
    size = max(1, BLOCK_VALUES // math.prod(shape) // CHUNK) * CHUNK
    blocks, row = [], 0
    for number, episode in enumerate(store.episodes(split)):
        for start in range(0, episode.length, size):
            stop = min(start + size, episode.length)
            blocks.append(Block(number, episode.name, start, stop, row + start))
        row += episode.length
    yield from tqdm(in_threads(work, blocks), total=len(blocks), desc=f"judge {split}", unit="block", leave=False)


def _objects(store: EpisodeStore, split: str, prefix: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """in_view, x_px and the number of the episode of every frame of a split, [N] each."""
    state, lengths = store.concatenated("state", split)
    return *object_state(state, store.state_columns, prefix), np.repeat(np.arange(len(lengths)), lengths)


def _probe_metrics(
    said: dict[tuple[str, str], np.ndarray],
    in_view: np.ndarray,
    x_px: np.ndarray,
    episode: np.ndarray,
    median_x_px: float,
    scoring: Scoring,
) -> dict[str, float | None]:
    scores = {"ap": ("detector", detection_ap, in_view), "error_px": ("locator", location_error_px, x_px)}
    metrics = {}
    for (score, (probe, judged, truth)), (sight, suffix) in product(scores.items(), SIGHTS.items()):
        known = (sight, probe) in said
        interval = judged(truth, said[sight, probe], episode, **scoring.bootstrap) if known else UNDEFINED
        metrics |= interval.as_metrics(f"ae_object_{score}{suffix}")
    known, placed = in_view[np.isfinite(in_view)], x_px[np.isfinite(x_px)]
    metrics["ae_object_ap_blind"] = finite((known > 0).mean()) if len(known) else None
    metrics["ae_object_error_px_blind"] = finite(np.abs(placed - median_x_px).mean()) if len(placed) else None
    return metrics
