"""Stage train_autoencoder: frames -> the autoencoder's weights, its picture quality and what its latents still tell."""

from functools import partial

import numpy as np
import torch

from stages.episodes.store import EpisodeStore
from stages.episodes.windows import FrameBank, window_indices
from stages.evaluation.autoencoder import Scoring, TrainFindings, has_probe_columns, judge_split, study_train
from stages.evaluation.figures.autoencoder import reconstructions_figure
from stages.evaluation.figures.style import save
from stages.evaluation.images import psnr_db
from stages.evaluation.probe import probe_columns
from stages.learning.checkpoints import save_model, write_json
from stages.learning.compute import prepare_compute
from stages.learning.fast.threads import in_threads
from stages.learning.losses import pixel_weights, weighted_mse
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.autoencoder import Autoencoder, reconstruct_frames
from stages.params import read_params
from stages.paths import AUTOENCODER, EPISODES, REPORTS, TEST_REPORTS
from stages.run import run_stage

REPORT, TEST_REPORT = REPORTS / "autoencoder", TEST_REPORTS / "autoencoder"
BACKGROUND_FRAMES = 1024  # the median is taken over so many frames of train
PICTURED_FRAMES = 6
# The params that the weights are a function of.
LEARNED_FROM = {"latent_dim", "seed", "threads", "device", "precision", "training", "autoencoder"}


class ReconstructionTask:
    """Learn to give frames back; pixels that move or stand out weigh more (see `pixel_weights`)."""

    monitor = "loss"
    maximise = False

    def __init__(self, model: Autoencoder, train: FrameBank, val: FrameBank, *, weigh, batch: int, device, seed: int):
        self.model, self._train, self._val = model, train, val
        self._weigh, self._batch, self._device, self._seed = weigh, batch, device, seed
        self._pairs = {bank: window_indices(bank.lengths, 2) for bank in (train, val)}

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(len(self._train))

    def loss(self, model, samples):
        return self._errors(model, self._train, samples)[0], {}

    def validate(self, model) -> dict[str, float]:
        parts = np.split(np.arange(len(self._val)), range(self._batch, len(self._val), self._batch))
        sizes = [len(part) for part in parts]
        errors = list(in_threads(partial(self._validation_errors, model), parts))
        loss, plain = np.average(errors, axis=0, weights=sizes)
        return {"loss": loss, "psnr_db": float(psnr_db(plain * 255**2))}

    @torch.no_grad()
    def _validation_errors(self, model, part: np.ndarray) -> list[float]:
        return [error.item() for error in self._errors(model, self._val, part)]

    def _errors(self, model, bank: FrameBank, samples: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted squared error in units of the frames' variance, and the plain one of frames in 0..1."""
        previous, current = torch.from_numpy(bank.take(self._pairs[bank][samples])).to(self._device).unbind(1)
        frames = current.float() / 255
        pictures = model(frames)
        loss = weighted_mse(pictures, frames, self._weigh(current, previous, self.model.background))
        return loss / self.model.scale**2, weighted_mse(pictures.detach(), frames)


def background_of(bank: FrameBank) -> tuple[torch.Tensor, float]:
    """The per-pixel median [C, H, W] of frames spread over the bank, in 0..1, and the deviation around it."""
    most = min(len(bank), BACKGROUND_FRAMES)
    frames = bank.take(np.arange(most) * len(bank) // most)
    median = np.median(frames, axis=0).astype(np.float32)
    spread = float(np.sqrt(np.square(frames - median, dtype=np.float32).mean(dtype=np.float64)))
    return torch.from_numpy(median / 255), max(spread, 1.0) / 255  # a still video divides by a grey level, not by 0


def pictured(store: EpisodeStore, split: str) -> np.ndarray:
    """Frames for the picture, uint8 [n, C, H, W]: from the middle of episodes that are spread over the split."""
    episodes = store.episodes(split)
    chosen = [episodes[i * len(episodes) // PICTURED_FRAMES] for i in range(PICTURED_FRAMES)]
    rows = [(i + 1) * episode.length // (PICTURED_FRAMES + 1) for i, episode in enumerate(chosen)]
    return np.concatenate(
        [store.read(episode.name, "frames", row, row + 1) for episode, row in zip(chosen, rows, strict=True)]
    )


def write_findings(store: EpisodeStore, squeeze, background: np.ndarray, found: TrainFindings, scoring: Scoring):
    """Writes the metrics of val and test, and the picture; returns the metrics of val."""
    results = {}
    for split, directory in (("val", REPORT), ("test", TEST_REPORT)):
        results[split] = judge_split(store, split, squeeze, background, found, scoring)
        frames = pictured(store, split)
        save(reconstructions_figure(frames, squeeze(frames)[1]), directory / "reconstructions.png")
        if split == "val":
            results[split]["ae_train_psnr_db"] = found.psnr_db
        write_json(directory / "metrics.json", results[split])
    return results["val"]


def main() -> None:
    params = read_params()
    own = params.autoencoder
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES)
    train, val = (
        FrameBank(store, split, "frames", limit_gb=params.training.frames_in_ram_gb) for split in ("train", "val")
    )
    channels, height, width = train.shape
    model = Autoencoder(
        kind=own.kind, channels=own.channels, latent_dim=params.latent_dim,
        height=height, width=width, in_channels=channels,
    )  # fmt: skip
    model.set_background(*background_of(train))
    task = ReconstructionTask(
        model, train, val, batch=own.batch_size, device=compute.device, seed=params.seed,
        weigh=partial(pixel_weights, threshold=own.change_threshold, weight=own.change_weight),
    )  # fmt: skip
    settings = FitSettings.from_sections(own, params.training)
    scratch = scratch_folder("autoencoder", params.model_dump(mode="json", include=LEARNED_FROM), [EPISODES])
    with open_live(REPORT / "live", compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name="autoencoder")
    if not compute.is_main:
        return
    save_model(AUTOENCODER, model, model.config)
    write_json(REPORT / "training.json", result.told())
    print(f"learned from {len(train)} frames of {EPISODES}: {result.in_words()}; wrote {AUTOENCODER}")

    squeeze = partial(reconstruct_frames, model, compute=compute)
    background = (model.background.cpu().numpy() * 255).round().astype(np.uint8)
    scoring = Scoring(own.probe, own.change_threshold, params.evaluate.bootstrap, params.seed)
    found = study_train(store, squeeze, int(np.prod(model.latent_shape)), scoring)
    print_headline(write_findings(store, squeeze, background, found, scoring))
    if not has_probe_columns(store, own.probe):
        wanted, there = " and ".join(probe_columns(own.probe)), ", ".join(store.state_columns) or "none"
        print(f"no probe: {EPISODES} has no state columns {wanted} (it has: {there}); its metrics are null")


def print_headline(val: dict[str, float | None]) -> None:
    """What a person wants to know first."""
    print(
        f"val: PSNR {val['ae_psnr_db']:.2f} dB (train {val['ae_train_psnr_db']:.2f}, "
        f"the background alone {val['ae_background_psnr_db']:.2f})"
    )
    for score, unit in (("ap", "AP, is one in view"), ("error_px", "px off, where")):
        if val[f"ae_object_{score}"] is not None:
            latent, raw, blind = (val[f"ae_object_{score}{end}"] for end in ("", "_raw", "_blind"))
            print(f"  probe: {unit}: {latent:.3f} from the latent, {raw:.3f} from the frame, {blind:.3f} blind")


if __name__ == "__main__":
    run_stage(main)
