"""Stage evaluate: how well the policy presses the player's keys, on val for comparing and on test for the report.

Every frame is predicted from the frames before it and its own; no key of the player goes in.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from stages.episodes.store import EpisodeStore, action_columns
from stages.episodes.windows import FrameBank, window_indices
from stages.evaluation import tables
from stages.evaluation.acting import read_acting
from stages.evaluation.baselines import Recorded, blind_policies, press_statistics
from stages.evaluation.blind import candidates
from stages.evaluation.onsets import episode_index
from stages.evaluation.scorecard import PlayedSplit, ScoreSettings
from stages.evaluation.split_report import PredictedSplit, evaluate_split, train_scores
from stages.learning.compute import prepare_compute
from stages.models.policy import load_policy
from stages.params import read_params
from stages.run import run_stage

LATENTS, MODEL = Path("data/latents.zarr"), Path("data/models/policy")
BATCH = 1024


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(LATENTS)
    policy, config = load_policy(MODEL)
    if tuple(config["actions"]) != params.actions:
        raise ValueError(f"{MODEL} was trained for {config['actions']}, not for {list(params.actions)}; run dvc repro")
    policy.to(compute.device)
    thresholds = read_acting(MODEL / "acting.json", params.actions).thresholds
    settings = ScoreSettings(
        tolerance_s=params.evaluate.onset_tolerance_s,
        min_onsets=params.evaluate.min_onsets,
        composite=params.evaluate.composite,
        short_hold_s=params.explore.reflex_hold_s,
        resamples=params.evaluate.bootstrap,
        seed=params.seed,
    )

    def predicted(split: str) -> PredictedSplit:
        return predict_split(
            store,
            split,
            policy,
            params.actions,
            sequence_length=config["sequence_length"],
            limit_gb=params.training.frames_in_ram_gb,
            device=compute.device,
        )

    train = predicted("train")
    recorded = Recorded(train.played.truth, train.played.times, train.played.episode)
    known = press_statistics(recorded.truth, recorded.episode)
    grid = candidates(len(params.actions), params.play.blind_shares, params.play.blind_periods, params.play.blind_taps)
    policies = blind_policies(recorded, grid, tolerance_s=settings.tolerance_s)
    gap = train_scores(train, thresholds, settings)
    for split, directory, prefix in (("val", "reports/policy", "val_"), ("test", "reports/test/policy", "")):
        flat = evaluate_split(
            predicted(split),
            known,
            policies,
            thresholds,
            settings,
            Path(directory),
            prefix,
            gap if split == "val" else {},
        )
        print(
            f"{split}: {flat[prefix + 'frames']:.0f} frames of {flat[prefix + 'episodes']:.0f} episodes -> {directory}"
        )
        if split == "test":  # its scores are for the report: seen in every run, they would be chosen by
            continue
        for metric in tables.OVERALL:
            value, low, high = (flat[prefix + metric + end] for end in ("", "_low", "_high"))
            print(f"  {metric:<18}" + ("undefined" if value is None else f"{value:.3f}{interval_text(low, high)}"))


def interval_text(low: float | None, high: float | None) -> str:
    """ " [low, high]", or nothing where there is no interval."""
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def predict_split(
    store: EpisodeStore,
    split: str,
    policy: torch.nn.Module,
    actions: Sequence[str],
    *,
    sequence_length: int,
    limit_gb: float,
    device: torch.device,
) -> PredictedSplit:
    """The policy's probabilities for every frame of a split, and what the player did there."""
    truth, lengths = store.concatenated("actions", split)
    times, _ = store.concatenated("t", split)
    bank = FrameBank(store, split, "latents", limit_gb)
    windows = window_indices(lengths, sequence_length)
    batches = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(windows), BATCH), desc=f"predict {split}", unit="batch", leave=False):
            latents = torch.from_numpy(bank.take(windows[start : start + BATCH])).to(device)
            batches.append(torch.sigmoid(policy(latents).cpu().double()).numpy())
    truth = truth[:, action_columns(store, actions)].astype(bool)
    played = PlayedSplit(tuple(actions), truth, times, episode_index(lengths))
    return PredictedSplit(split, store.episodes(split), played, np.concatenate(batches))


if __name__ == "__main__":
    run_stage(main)
