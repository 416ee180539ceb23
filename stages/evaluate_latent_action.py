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
from torch.nn import functional

from stages.episodes.store import EpisodeStore, action_columns
from stages.evaluation.figures.latent_action import codes_figure, every_code_figure, predictions_figure
from stages.evaluation.figures.style import save
from stages.evaluation.latent_actions import (
    code_metrics,
    key_classes,
    majority_by_code,
    no_probe_metrics,
    prediction_metrics,
    probe_metrics,
)
from stages.evaluation.transitions import (
    Transitions,
    batches,
    codes_in,
    prediction_errors,
    spread_samples,
    transitions_of,
)
from stages.learning.checkpoints import write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings, fit, scratch_folder
from stages.models.latent_action import TransitionClassifier, codes_of, load_latent_action, predict_next
from stages.params import read_params
from stages.run import run_stage

EPISODES = Path("data/episodes.zarr")
MODEL = Path("data/models/latent_action")
REPORTS = {"val": Path("reports/latent_action"), "test": Path("reports/test/latent_action")}
PICTURED = 6  # transitions in the picture of predictions
# The params that the classifiers are a function of.
LEARNED_FROM = {"seed", "threads", "device", "precision", "training", "latent_action"}


class LabelTask:
    """Learn the class of the key that is held in each transition, from all labels of train."""

    monitor = "accuracy"
    maximise = True

    def __init__(self, model: TransitionClassifier, transitions, classes, *, compute: Compute, seed: int):
        self.model, self._transitions, self._classes = model, transitions, classes
        self._compute, self._seed = compute, seed

    def epoch_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._classes["train"]))

    def loss(self, model, samples):
        frames = torch.from_numpy(self._transitions["train"].take(samples)).to(self._compute.device).float() / 255
        targets = torch.from_numpy(self._classes["train"][samples]).to(self._compute.device)
        return functional.cross_entropy(model(frames), targets), {}

    def validate(self, model) -> dict[str, float]:
        return {"accuracy": float((self.predict(model, "val") == self._classes["val"]).mean())}

    @torch.no_grad()
    def predict(self, model, split: str) -> np.ndarray:
        """The likeliest class of every transition of a split, int64 [N]."""
        found = []
        for part in batches(np.arange(len(self._transitions[split]))):
            frames = torch.from_numpy(self._transitions[split].take(part)).to(self._compute.device).float() / 255
            with self._compute.autocast():
                found.append(model(frames).argmax(dim=1).cpu().numpy())
        return np.concatenate(found)


def classifier_answers(whole: bool, like, own, transitions, classes, settings, compute, params_of) -> dict:
    """What a classifier with all labels says of every transition, by split: {"val": int64 [N], "test": ...}."""
    torch.manual_seed(compute.seed)
    model = TransitionClassifier(like, whole=whole, classes=len(own.probe_actions) + 1)
    task = LabelTask(model, transitions, classes, compute=compute, seed=compute.seed)
    name = "classifier of transitions" if whole else "classifier of frames"
    scratch = scratch_folder(name.replace(" ", "_"), params_of, [EPISODES, MODEL])
    fit(task, settings, compute, live=None, scratch=scratch, name=name)
    return {split: task.predict(model, split) for split in REPORTS}


def right_answers(split: str, codes: dict, classes: dict, count: int, frame: dict, supervised: dict) -> np.ndarray:
    """Who names the key of each transition of a split rightly: bool [N, 4], code, majority, frame, supervised."""
    truth = classes[split]
    by_code = majority_by_code(codes["train"], classes["train"], count)[codes[split]]
    majority = np.full(len(truth), np.bincount(classes["train"]).argmax())
    return np.stack([answer == truth for answer in (by_code, majority, frame[split], supervised[split])], axis=1)


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


def main() -> None:
    params = read_params()
    own = params.latent_action
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES)
    model = load_latent_action(MODEL).to(compute.device)
    predict, encode = (partial(function, model, compute=compute) for function in (predict_next, codes_of))
    transitions = {
        split: transitions_of(
            store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=params.training.frames_in_ram_gb
        )
        for split in ("train", *REPORTS)
    }
    codes = {split: codes_in(found, np.arange(len(found)), encode) for split, found in transitions.items()}
    classes, names = None, ()
    if store.has("actions"):
        columns, names = action_columns(store, own.probe_actions), (*own.probe_actions, "neither")
        classes = {
            split: key_classes(store.concatenated("actions", split)[0][found.current], columns)
            for split, found in transitions.items()
        }
        learned_from = params.model_dump(mode="json", include=LEARNED_FROM)
        settings = FitSettings.from_sections(
            own.model_dump() | {"epochs": own.probe_epochs}, params.training
        )
        frame, supervised = (
            classifier_answers(whole, model, own, transitions, classes, settings, compute, learned_from)
            for whole in (False, True)
        )
    if not compute.is_main:
        return
    drawn = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    for split, directory in REPORTS.items():
        found, everything = transitions[split], np.arange(len(transitions[split]))
        errors, identical = prediction_errors(found, everything, codes[split], predict, seed=params.seed)
        pixels = int(np.prod(found.bank.shape))
        metrics = prediction_metrics(errors, identical, found.episode, pixels, **drawn)
        metrics |= code_metrics(codes[split], model.codes)
        if classes is None:
            metrics |= no_probe_metrics()
        else:
            right = right_answers(split, codes, classes, model.codes, frame, supervised)
            metrics |= probe_metrics(right, found.episode, **drawn)
        own_classes = None if classes is None else classes[split]
        write_figures(directory, model, found, codes[split], own_classes, names, predict)
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
