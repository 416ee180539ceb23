"""Stage evaluate_latent_action: what the codes are worth, on val and on test.

The prediction is compared at the store's own resolution, in grey levels. The probe from code to key
stands beside the majority class and two classifiers with all labels, the inverse model's network in
both: one sees the current frame alone (what can be guessed), one the whole transition (what can be
known). Probes are fitted on train and scored on other fights; the classifiers' epoch is chosen on val.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from stages.episodes.store import EpisodeStore, action_columns
from stages.evaluation.figures.latent_action import (
    codes_figure,
    every_code_figure,
    predictions_figure,
    rollout_figure,
)
from stages.evaluation.figures.style import save
from stages.evaluation.key_probe import classifier_answers, code_answers, majority_answers
from stages.evaluation.latent_actions import (
    agreement_metrics,
    code_metrics,
    key_classes,
    no_probe_metrics,
    picture_metrics,
    prediction_metrics,
    probe_metrics,
)
from stages.evaluation.predicted_frames import picture_sums
from stages.evaluation.rollouts import DRIVEN, psnr_by_step, rollout_errors, rollout_metrics, rollout_starts
from stages.evaluation.transitions import (
    Transitions,
    prediction_errors,
    spread_samples,
    transitions_of,
)
from stages.learning.checkpoints import write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings, scratch_folder
from stages.models.latent_action import load_latent_action, predict_next
from stages.models.transition_classifier import TransitionClassifier
from stages.params import Params, read_params
from stages.run import run_stage

EPISODES = Path("data/episodes.zarr")
MODEL, LATENT_ACTIONS = Path("data/models/latent_action"), Path("data/latent_actions.zarr")
REPORTS = {"val": Path("reports/latent_action"), "test": Path("reports/test/latent_action")}
PICTURED = 6  # transitions in the picture of predictions
LOOKED_AT = 1024  # transitions of each split whose pictures are judged by SSIM and on moving pixels
ROLLOUTS, ROLLOUT_STEPS = 128, 15  # of each split
DELTAS = (1, 4)  # steps at which codes are compared with random ones
# The params that the classifiers are a function of.
LEARNED_FROM = {"seed", "threads", "device", "precision", "training", "latent_action"}


def write_figures(directory: Path, model, transitions: Transitions, codes, classes, names, predict) -> None:
    """Pictures of predictions, of what each code does to one frame, and of how often each code occurs."""
    chosen = spread_samples(len(transitions), 2 * PICTURED + 1)[1::2]
    frames = transitions.take(chosen)
    save(predictions_figure(frames[:, -2], frames[:, -1], predict(frames[:, :-1], codes[chosen])),
         directory / "predictions.png")  # fmt: skip
    middle = frames[len(frames) // 2 : len(frames) // 2 + 1, :-1]
    every = np.arange(model.codes)
    following = predict(np.repeat(middle, model.codes, axis=0), every)
    save(every_code_figure(middle[0, -1], following, np.bincount(codes, minlength=model.codes)),
         directory / "every_code.png")  # fmt: skip
    save(codes_figure(codes, model.codes, classes, names), directory / "codes.png")


def classes_of(store: EpisodeStore, transitions: dict, probe_actions: tuple[str, ...]) -> dict:
    """Which of the actions is held in each transition, int64 [N], by split."""
    columns = action_columns(store, probe_actions)
    return {
        split: key_classes(store.concatenated("actions", split)[0][found.current], columns)
        for split, found in transitions.items()
    }


def key_answers(model, params: Params, compute: Compute, transitions: dict, codes: dict, classes: dict) -> dict:
    """What each of PROBES says the key of each transition is, by split: int64 [N, PROBES]."""
    own = params.latent_action
    settings = FitSettings.from_sections(own.model_dump() | {"epochs": own.probe_epochs}, params.training)
    learned_from = params.model_dump(mode="json", include=LEARNED_FROM)
    answers = [code_answers(codes, classes, model.codes), majority_answers(classes)]
    for name, whole in (("classifier of frames", False), ("classifier of transitions", True)):
        torch.manual_seed(params.seed)
        classifier = TransitionClassifier(model, whole=whole, classes=len(own.probe_actions) + 1)
        scratch = scratch_folder(name.replace(" ", "_"), learned_from, [EPISODES, MODEL])
        found = classifier_answers(classifier, transitions, classes, settings, compute, name=name, scratch=scratch)
        answers.append(found)
    return {split: np.stack([found[split] for found in answers], axis=1) for split in REPORTS}


def judged(found: Transitions, codes: np.ndarray, predict, params: Params) -> tuple[dict, np.ndarray]:
    """The metrics of a split that need no labels, and PSNRs of roll-outs [S, 3]."""
    own, drawn = params.latent_action, {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    errors, identical = prediction_errors(found, np.arange(len(found)), codes, predict, seed=params.seed)
    metrics = prediction_metrics(errors, identical, found.episode, int(np.prod(found.bank.shape)), **drawn)
    looked_at = spread_samples(len(found), LOOKED_AT)
    pictures = picture_sums(found, looked_at, codes, predict, threshold=own.change_threshold)
    metrics |= picture_metrics(pictures, found.episode[looked_at], **drawn)
    metrics |= code_metrics(codes, own.codes)
    rolled = {"steps": ROLLOUT_STEPS, "gap": own.frame_gap}
    starts = rollout_starts(found, most=ROLLOUTS, **rolled)
    ahead = rollout_errors(found, starts, codes, predict, count=own.codes, seed=params.seed, **rolled)
    metrics |= rollout_metrics(ahead, found.episode[starts], DELTAS, **drawn)
    return metrics, psnr_by_step(ahead)


def main() -> None:
    params = read_params()
    own = params.latent_action
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES)
    model = load_latent_action(MODEL).to(compute.device)
    predict = partial(predict_next, model, compute=compute)
    transitions = {
        split: transitions_of(
            store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=params.training.frames_in_ram_gb
        )
        for split in ("train", *REPORTS)
    }
    extracted = EpisodeStore(LATENT_ACTIONS)
    codes = {
        split: extracted.concatenated("codes", split)[0][found.current].astype(np.int64)
        for split, found in transitions.items()
    }
    classes, answers = None, None
    if store.has("actions"):
        classes = classes_of(store, transitions, own.probe_actions)
        answers = key_answers(model, params, compute, transitions, codes, classes)
    if not compute.is_main:
        return
    for split, directory in REPORTS.items():
        found = transitions[split]
        metrics, psnr = judged(found, codes[split], predict, params)
        if classes is None:
            metrics |= no_probe_metrics()
        else:
            right = answers[split] == classes[split][:, None]
            metrics |= probe_metrics(right, found.episode, resamples=params.evaluate.bootstrap, seed=params.seed)
            metrics |= agreement_metrics(codes[split], classes[split], answers[split][:, 0])
        own_classes, names = (None, ()) if classes is None else (classes[split], (*own.probe_actions, "neither"))
        write_figures(directory, model, found, codes[split], own_classes, names, predict)
        save(rollout_figure(psnr, DRIVEN), directory / "rollout.png")
        write_json(directory / "metrics.json", metrics)
        if split == "val":
            print_headline(metrics, len(found), own.codes)
    print(f"wrote {' and '.join(str(directory) for directory in REPORTS.values())}")


def print_headline(val: dict, count: int, codes: int) -> None:
    """What a person wants to know first."""

    def said(name: str) -> str:
        return "undefined" if val[name] is None else f"{val[name]:.2f}"

    print(f"val, {count} transitions: PSNR {said('lam_psnr_db')} dB, of a copy {said('lam_copy_psnr_db')}")
    print(f"  gain {said('lam_gain_db')} dB; shuffled codes cost {said('lam_shuffle_drop_db')} dB; "
          f"{val['lam_codes_used']} of {codes} codes used, perplexity {said('lam_perplexity')}")  # fmt: skip
    if val["lam_probe_accuracy"] is None:
        print(f"  no probe: {EPISODES} has no actions; its metrics are null")
    else:
        print(f"  key from the code {said('lam_probe_accuracy')}; guessed {said('lam_probe_majority')}, from the frame "
              f"alone {said('lam_probe_frame')}, with all labels {said('lam_probe_supervised')}: "
              f"skill {said('lam_probe_skill')}")  # fmt: skip


if __name__ == "__main__":
    run_stage(main)
