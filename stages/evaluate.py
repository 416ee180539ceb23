"""Stage evaluate: how well the policy presses the player's keys, on val for comparing and on test for the report.

Every frame is predicted from the frames before it and its own; no key of the player goes in.
"""

from stages.evaluation import tables
from stages.evaluation.baselines import PlayedSplit, blind_policies, press_statistics
from stages.evaluation.blind import candidates
from stages.evaluation.onsets import episode_index
from stages.evaluation.scorecard import ScoreSettings
from stages.evaluation.split_report import PredictedSplit, evaluate_split, train_scores
from stages.learning.compute import Compute, prepare_compute
from stages.models.acting import Acting
from stages.models.agent import read_about
from stages.models.cloning import windows_of
from stages.models.policies.policy import Policy
from stages.models.policies.registry import load_policy, stores_read
from stages.params import Params, read_params
from stages.paths import POLICY, POLICY_NETWORK, REPORTS, TEST_REPORTS
from stages.run import run_stage


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    about, policy = read_about(POLICY), load_policy(POLICY_NETWORK).to(compute.device)
    if about.actions != params.actions:
        raise ValueError(
            f"{POLICY} was trained for {list(about.actions)}, not for {list(params.actions)}; run dvc repro"
        )
    settings = ScoreSettings(
        tolerance_s=params.evaluate.onset_tolerance_s,
        min_onsets=params.evaluate.min_onsets,
        composite=params.evaluate.composite,
        short_hold_s=params.explore.reflex_hold_s,
        resamples=params.evaluate.bootstrap,
        seed=params.seed,
    )
    train, val, test = (
        predict_split(params, split, policy, about.acting, compute) for split in ("train", "val", "test")
    )
    known = press_statistics(train.played.truth, train.played.episode)
    grid = candidates(len(params.actions), params.play.blind_shares, params.play.blind_periods, params.play.blind_taps)
    blind = blind_policies(train.played, grid, tolerance_s=settings.tolerance_s)
    gap = train_scores(train, settings)
    for split, directory, prefix in ((val, REPORTS / "policy", "val_"), (test, TEST_REPORTS / "policy", "")):
        flat = evaluate_split(split, known, blind, settings, directory, prefix, gap if split is val else {})
        frames, episodes = (int(flat[prefix + name]) for name in ("frames", "episodes"))
        print(f"{split.name}: {frames} frames of {episodes} episodes -> {directory}")
        if split is test:  # its scores are for the report: seen in every run, they would be chosen by
            continue
        for metric in tables.OVERALL:
            value, low, high = (flat[prefix + metric + end] for end in ("", "_low", "_high"))
            print(f"  {metric:<18}" + ("undefined" if value is None else f"{value:.3f}{interval_text(low, high)}"))


def interval_text(low: float | None, high: float | None) -> str:
    """ " [low, high]", or nothing where there is no interval."""
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def predict_split(params: Params, split: str, policy: Policy, acting: Acting, compute: Compute) -> PredictedSplit:
    """The policy's logits for every frame of a split, and what the player did there."""
    store, pictures = stores_read(params)
    windows = windows_of(policy, split, params, (store, pictures))
    times, lengths = store.concatenated("t", split)
    played = PlayedSplit(params.actions, windows.actions.numpy(), times, episode_index(lengths))
    logits = windows.logits(policy, compute.device).double().numpy()
    return PredictedSplit(split, store.episodes(split), played, logits, acting)


if __name__ == "__main__":
    run_stage(main)
