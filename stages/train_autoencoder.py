"""Stage train_autoencoder: frames -> the autoencoder's weights, its picture quality and what its latents still tell."""

from functools import partial

import numpy as np

from stages.episodes.mirror import mirror_pairs
from stages.episodes.store import EpisodeStore
from stages.episodes.windows import FrameBank
from stages.evaluation.autoencoder import Scoring, TrainFindings, has_probe_columns, judge_split, study_train
from stages.evaluation.figures.autoencoder import reconstructions_figure
from stages.evaluation.figures.style import save
from stages.evaluation.probe import probe_columns
from stages.learning.checkpoints import save_model, write_json
from stages.learning.compute import prepare_compute
from stages.learning.losses import pixel_weights
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.autoencoder import Autoencoder, reconstruct_frames
from stages.models.reconstruction import ReconstructionTask, background_of
from stages.params import read_params
from stages.paths import AUTOENCODER, EPISODES, REPORTS, TEST_REPORTS
from stages.run import run_stage

REPORT, TEST_REPORT = REPORTS / "autoencoder", TEST_REPORTS / "autoencoder"
PICTURED_FRAMES = 6
# The params that the weights are a function of.
LEARNED_FROM = {
    **dict.fromkeys(("latent_dim", "seed", "threads", "device", "precision", "training", "autoencoder"), True),
    "augment": {"flip"},
}


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
    store = EpisodeStore(EPISODES, pixels=params.autoencoder.pixels)
    train, val = (
        FrameBank(store, split, "frames", limit_gb=params.training.frames_in_ram_gb) for split in ("train", "val")
    )
    channels, height, width = train.shape
    model = Autoencoder(
        kind=own.kind, channels=own.channels, latent_dim=params.latent_dim,
        height=height, width=width, in_channels=channels,
    )  # fmt: skip
    mirror = bool(mirror_pairs(params.augment.flip, store.mirror, store.action_names))
    model.set_background(*background_of(train, mirror=mirror))
    task = ReconstructionTask(
        model, train, val, batch=own.batch_size, device=compute.device, seed=params.seed,
        weigh=partial(pixel_weights, threshold=own.change_threshold, weight=own.change_weight), mirror=mirror,
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
