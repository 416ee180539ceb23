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

from stages.episodes.store import EpisodeStore
from stages.evaluation.breakout_objects import NEEDED, object_metrics
from stages.evaluation.driven_video import captioned, driven_frames, tiled
from stages.evaluation.effects import (
    IMAGE_SHIFT,
    change_classes,
    codes_of_classes,
    consistency,
    effect_rows,
    event_rows,
    events_of,
)
from stages.evaluation.figures.codes import codes_figure, effects_figure, tsne_figure
from stages.evaluation.figures.latent_action import every_code_figure, predictions_figure, rollout_figure
from stages.evaluation.figures.style import save
from stages.evaluation.intervals import finite
from stages.evaluation.key_probe import (
    best_lag,
    classifier_answers,
    code_answers,
    linear_probe,
    majority_answers,
    mlp_probe,
)
from stages.evaluation.latent_actions import (
    PROBES,
    code_metrics,
    no_probe_metrics,
    perplexity,
    picture_metrics,
    prediction_metrics,
    probe_metrics,
)
from stages.evaluation.overlay import write_video
from stages.evaluation.predicted_frames import picture_sums
from stages.evaluation.rollouts import DRIVEN, psnr_by_step, rollout_errors, rollout_metrics, rollout_starts
from stages.evaluation.transition_truth import effect_of, lagged_classes, states_of
from stages.evaluation.transitions import Transitions, batches, prediction_errors, spread_samples, transitions_of
from stages.learning.checkpoints import write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings, scratch_folder
from stages.models.latent_action import load_latent_action, predict_next, vectors_in
from stages.models.transition_classifier import TransitionClassifier
from stages.params import Params, read_params
from stages.run import run_stage

EPISODES = Path("data/episodes.zarr")
MODEL, LATENT_ACTIONS = Path("data/models/latent_action"), Path("data/latent_actions.zarr")
REPORTS = {"val": Path("reports/latent_action"), "test": Path("reports/test/latent_action")}
PICTURED = 6  # transitions in the picture of predictions
LOOKED_AT = 1024  # transitions of each split whose pictures are judged by SSIM and on moving pixels
ROLLOUTS, ROLLOUT_STEPS = 128, 15  # of each split
CODES_SHOWN = 47  # in the picture of what each code does
NEIGHBOURS = 800  # transitions in the picture of vectors
VIDEO_STEPS, HELD, HELD_STEPS = 45, 6, 15  # of roll-outs; codes that are held; steps that each is held
BESIDE = ("lam_psnr_db", "lam_copy_psnr_db", "lam_gain_db", "lam_shuffle_drop_db", "lam_l1", "lam_l2")
DELTAS = (1, 4)  # steps at which codes are compared with random ones
# The params that the classifiers are a function of.
LEARNED_FROM = {"seed", "threads", "device", "precision", "training", "latent_action"}


def probe_answers(model, params: Params, compute: Compute, transitions: dict, codes: dict, classes: dict, name: str):
    """What each of PROBES says the class of each transition is, by split: int64 [N, PROBES]."""
    own = params.latent_action
    settings = FitSettings.from_sections(own.model_dump() | {"epochs": own.probe_epochs}, params.training)
    learned_from = params.model_dump(mode="json", include=LEARNED_FROM)
    answers = {
        "accuracy": code_answers(codes, classes, model.codes, linear_probe()),
        "majority": majority_answers(classes),
        "mlp": code_answers(codes, classes, model.codes, mlp_probe(params.seed)),
    }
    for probe, whole in (("frame", False), ("supervised", True)):
        torch.manual_seed(params.seed)
        kinds = 1 + max(int(each.max()) for each in classes.values())
        classifier = TransitionClassifier(model, whole=whole, classes=kinds)
        title = f"{name}, {'whole transition' if whole else 'frame alone'}"
        scratch = scratch_folder(f"{name}_{probe}", learned_from, [EPISODES, MODEL])
        answers[probe] = classifier_answers(
            classifier, transitions, classes, settings, compute, name=title, scratch=scratch
        )
    return {split: np.stack([answers[probe][split] for probe in PROBES], axis=1) for split in REPORTS}


def judged(found: Transitions, codes: np.ndarray, predict, model, params: Params) -> tuple[dict, np.ndarray]:
    """The metrics of a split that need no labels, and PSNRs of roll-outs [S, 3]."""
    own, drawn = params.latent_action, {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    errors, identical = prediction_errors(found, np.arange(len(found)), codes, predict, seed=params.seed)
    metrics = prediction_metrics(errors, identical, found.episode, int(np.prod(found.bank.shape)), **drawn)
    looked_at = spread_samples(len(found), LOOKED_AT)
    pictures = picture_sums(found, looked_at, codes, predict, threshold=own.change_threshold)
    metrics |= picture_metrics(pictures, found.episode[looked_at], **drawn)
    metrics |= code_metrics(codes, model.codes)
    rolled = {"steps": ROLLOUT_STEPS, "gap": own.frame_gap}
    starts = rollout_starts(found, most=ROLLOUTS, **rolled)
    ahead = rollout_errors(found, starts, codes, predict, count=model.codes, seed=params.seed, **rolled)
    metrics |= rollout_metrics(ahead, found.episode[starts], DELTAS, **drawn)
    return metrics, psnr_by_step(ahead)


def object_scores(found: Transitions, codes: np.ndarray, predict, states) -> dict[str, float | None]:
    """Where ball, paddle and bricks of Breakout are in predicted pictures; nothing for other games."""
    if states is None or not all(name in states[2] for name in NEEDED):
        return {}
    chosen = spread_samples(len(found), LOOKED_AT)
    frames = found.take(chosen)
    pictures = {"true": frames[:, -1], "predicted": predict_all(frames, codes[chosen], predict), "copy": frames[:, -2]}
    return object_metrics(pictures, {name: column[chosen] for name, column in states[2].items()})


def predict_all(frames: np.ndarray, codes: np.ndarray, predict) -> np.ndarray:
    """The predicted next frames of transitions [N, P + 2, C, H, W], in parts."""
    parts = batches(np.arange(len(frames)))
    return np.concatenate([predict(frames[part, :-1], codes[part]) for part in parts])


def write_effects(directory: Path, codes: np.ndarray, effect: np.ndarray, states, count: int, name: str) -> dict:
    """What each code does and which events it goes with, as JSON and picture; returns the metrics."""
    events = {} if states is None else events_of(*states)
    rows = {"effect": name, "codes": effect_rows(codes, effect, count), "events": event_rows(codes, events, count)}
    save(effects_figure(codes, effect, count, name), directory / "effects.png")
    write_json(directory / "effects.json", rows)
    return {"lam_effect_consistency": finite(consistency(codes, effect, count))}


def write_figures(directory: Path, model, found: Transitions, codes, classes, names, predict, vectors_of, seed) -> None:
    """Pictures of predictions, of what each code does to one frame, of how often each occurs and where it lies."""
    chosen = spread_samples(len(found), 2 * PICTURED + 1)[1::2]
    frames = found.take(chosen)
    save(predictions_figure(frames[:, -2], frames[:, -1], predict(frames[:, :-1], codes[chosen])),
         directory / "predictions.png")  # fmt: skip
    save(codes_figure(codes.ravel(), model.codes, classes if model.tokens == 1 else None, names),
         directory / "codes.png")  # fmt: skip
    if model.tokens > 1:
        return  # a single one of many codes does little to a picture, and all together are too many to show
    counts = np.bincount(codes, minlength=model.codes)
    often = np.sort(np.argsort(-counts, kind="stable")[:CODES_SHOWN])
    middle = frames[len(frames) // 2 : len(frames) // 2 + 1, :-1]
    following = predict(np.repeat(middle, len(often), axis=0), often)
    save(every_code_figure(middle[0, -1], following, often, counts[often] / len(codes)), directory / "every_code.png")
    near = spread_samples(len(found), NEIGHBOURS)
    vectors = np.concatenate([vectors_of(found.take(part)).cpu().numpy()[:, 0] for part in batches(near)])
    save(tsne_figure(vectors, codes[near], None if classes is None else classes[near], names, seed),
         directory / "tsne.png")  # fmt: skip


def write_videos(directory: Path, found: Transitions, codes, classes, names, predict, model, fps: float, gap: int):
    """Roll-outs beside the truth, and a picture that a sequence of codes drives."""
    steps = min(VIDEO_STEPS, int(np.bincount(found.episode).max()) // gap)
    now = rollout_starts(found, steps=steps, gap=gap, most=2)[-1] + np.arange(steps) * gap
    context = found.take(now[:1])[0, :-1]
    films = {"true": found.take(now)[:, -1], "inferred codes": driven_frames(predict, context, codes[now])}
    if model.tokens == 1:
        often = np.argsort(-np.bincount(codes, minlength=model.codes), kind="stable")[:HELD]
        for code in often:
            films[f"code {code} held"] = driven_frames(predict, context, np.full(steps, code))
    write_video(directory / "rollouts.mp4", tiled(films), fps / gap)
    if classes is None or model.tokens > 1:
        return
    typical = codes_of_classes(codes, classes, model.codes, len(names))
    order = np.repeat(np.arange(len(names)), HELD_STEPS)
    captions = [f"{names[kind]}: code {typical[kind]}" for kind in order]
    write_video(directory / "driven.mp4",
                captioned(driven_frames(predict, context, typical[order]), captions), fps / gap)  # fmt: skip


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
    states = {split: states_of(store, found, split) for split, found in transitions.items()}
    effects = {split: effect_of(own.effect, found, states[split]) for split, found in transitions.items()}
    probes, lag = {}, None
    if store.has("actions"):
        lagged = {
            lag: lagged_classes(store, transitions["val"], "val", own.probe_actions, lag) for lag in own.probe_lags
        }
        lag = best_lag(codes["val"], lagged)
        probes["probe"] = {
            split: lagged_classes(store, found, split, own.probe_actions, lag) for split, found in transitions.items()
        }
    if own.effect != IMAGE_SHIFT:
        probes["moved"] = {split: change_classes(moved, own.effect_threshold) for split, moved in effects.items()}
    answers = {
        name: probe_answers(model, params, compute, transitions, codes, classes, name)
        for name, classes in probes.items()
    }
    if not compute.is_main:
        return
    side_by_side = {"train": seen_in_training(transitions["train"], codes["train"], predict, model, params)}
    for split, directory in REPORTS.items():
        found = transitions[split]
        metrics, psnr = judged(found, codes[split], predict, model, params)
        for name in ("probe", "moved"):
            if name in probes:
                metrics |= probe_metrics(
                    answers[name][split], probes[name][split], codes[split], found.episode, name=name,
                    resamples=params.evaluate.bootstrap, seed=params.seed,
                )  # fmt: skip
            elif name == "probe":
                metrics |= no_probe_metrics(name)
        metrics["lam_probe_lag"] = lag
        metrics |= object_scores(found, codes[split], predict, states[split])
        if model.tokens == 1:
            metrics |= write_effects(directory, codes[split], effects[split], states[split], model.codes, own.effect)
        classes, names = probes.get("probe", {}).get(split), (*own.probe_actions, "neither")
        vectors_of = partial(vectors_in, model, compute=compute)
        write_figures(directory, model, found, codes[split], classes, names, predict, vectors_of, params.seed)
        save(rollout_figure(psnr, DRIVEN), directory / "rollout.png")
        if split == "val":
            write_videos(
                directory, found, codes[split], classes, names, predict, model, store.attrs["fps"], own.frame_gap
            )
            print_headline(metrics, len(found), model.codes)
        side_by_side[split] = {name: metrics[name] for name in side_by_side["train"]}
        write_json(directory / "metrics.json", metrics)
    write_json(REPORTS["test"] / "splits.json", side_by_side)
    print(f"wrote {' and '.join(str(directory) for directory in REPORTS.values())}")


def seen_in_training(found: Transitions, codes: np.ndarray, predict, model, params: Params) -> dict:
    """Some metrics on a part of train: far better ones than on val would mean that the model learned by heart."""
    chosen = spread_samples(len(found), LOOKED_AT)
    errors, identical = prediction_errors(found, chosen, codes[chosen], predict, seed=params.seed)
    drawn = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    pixels = int(np.prod(found.bank.shape))
    metrics = prediction_metrics(errors, identical, found.episode[chosen], pixels, **drawn)
    return {name: metrics[name] for name in BESIDE} | {"lam_perplexity": perplexity(codes, model.codes)}


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
