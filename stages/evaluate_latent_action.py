"""Stage evaluate_latent_action: what the codes are worth, on val and on test.

The prediction is compared at the store's own resolution, in grey levels. The probe from code to key
stands beside the majority class, the key of the frame before, what the past alone tells, and the inverse model's
network with all labels. Probes are fitted on train and scored on other episodes; when the network stops is chosen on
val.
"""

from functools import partial

import numpy as np
import torch

from stages.episodes.store import EpisodeStore
from stages.evaluation.figures.latent_action import rollout_figure
from stages.evaluation.figures.style import save
from stages.games.catalog import GAMES
from stages.games.game import Game
from stages.latent_actions.effects import (
    Case,
    change_classes,
    codes_of_events,
    effect_known,
    effect_of,
    lagged_classes,
    states_of,
)
from stages.latent_actions.information import answers_seeing
from stages.latent_actions.measures import (
    PROBES,
    code_metrics,
    no_probe_metrics,
    perplexity,
    picture_metrics,
    prediction_metrics,
    probe_metrics,
)
from stages.latent_actions.pictures import Shown, events_in, write_effects, write_figures, write_videos
from stages.latent_actions.probes import (
    best_lag,
    classifier_answers,
    code_answers,
    linear_probe,
    majority_answers,
    mlp_probe,
    repeat_answers,
    switch_answers,
)
from stages.latent_actions.rollouts import (
    DRIVEN,
    longest_rollout,
    psnr_by_step,
    rollout_errors,
    rollout_metrics,
    rollout_starts,
)
from stages.latent_actions.transitions import (
    batches,
    picture_sums,
    prediction_errors,
    spread_samples,
    transitions_of,
)
from stages.learning.checkpoints import write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings, scratch_folder
from stages.models.latent_action import load_latent_action, predict_next, vectors_in
from stages.models.transition_classifier import TransitionClassifier
from stages.params import Params, read_params
from stages.paths import EPISODES, LATENT_ACTION_MODEL, LATENT_ACTIONS, REPORTS, TEST_REPORTS
from stages.run import run_stage

FOLDERS = {"val": REPORTS / "latent_action", "test": TEST_REPORTS / "latent_action"}
JUDGED = 2048  # transitions of each split whose prediction is judged
LOOKED_AT = 1024  # transitions of each split whose pictures are judged by SSIM and on moving pixels
ROLLOUTS, ROLLOUT_STEPS = 128, 15  # of each split
BESIDE = ("lam_psnr_db", "lam_copy_psnr_db", "lam_gain_db", "lam_shuffle_drop_db", "lam_l1", "lam_l2")
DELTAS = (1, 4)  # steps at which codes are compared with random ones
# The params that the classifiers are a function of.
LEARNED_FROM = {"seed", "threads", "device", "precision", "training", "latent_action"}


def case_of(split: str, store: EpisodeStore, extracted: EpisodeStore, params: Params) -> Case:
    """A split's transitions, their codes and what is true of them."""
    own = params.latent_action
    limit_gb = params.training.frames_in_ram_gb
    found = transitions_of(store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=limit_gb)
    codes = extracted.concatenated("codes", split)[0][found.current].astype(np.int64)
    states = states_of(store, found, split)
    needed = split in FOLDERS or own.probe_effect  # of train only the probe wants it
    effect = effect_of(effect_known(own.effect, store), found, states) if needed else None
    return Case(split, found, codes, states, effect)


def classes_of(store: EpisodeStore, cases: dict[str, Case], params: Params) -> tuple[int | None, dict[str, dict]]:
    """What probes are to tell, int64 [N] by probe and split: the key ("probe"), at the lag in frames that val favours,
    and the direction in which the effect went ("moved")."""
    own, lag, probes = params.latent_action, None, {}
    if store.has("actions"):

        def held(split: str, lag: int) -> np.ndarray:
            return lagged_classes(store, cases[split].transitions, split, own.probe_actions, lag)

        lag = best_lag(cases["val"].codes, {each: held("val", each) for each in own.probe_lags})
        probes["probe"] = {split: held(split, lag) for split in cases}
    if own.probe_effect:
        probes["moved"] = {split: change_classes(case.effect, own.effect_threshold) for split, case in cases.items()}
    return lag, probes


def drawn_by(params: Params) -> dict[str, int]:
    """How intervals are drawn, for all alike."""
    return {"resamples": params.evaluate.bootstrap, "seed": params.seed}


def probe_answers(model, params: Params, compute: Compute, cases: dict[str, Case], classes: dict, name: str) -> dict:
    """What each of PROBES says the class of each transition is, by split: int64 [N, PROBES]."""
    own = params.latent_action
    settings = FitSettings.from_sections(own.model_dump() | {"steps": own.probe_steps}, params.training)
    learned_from = params.model_dump(mode="json", include=LEARNED_FROM)
    codes = {split: case.codes for split, case in cases.items()}
    linear = code_answers(codes, classes, model.codes, linear_probe())
    # With one code a transition both probes are the same table, and the one with a hidden layer only takes longer.
    mlp = linear if model.tokens == 1 else code_answers(codes, classes, model.codes, mlp_probe(params.seed))
    transitions = {split: case.transitions for split, case in cases.items()}
    answers = {"accuracy": linear, "majority": majority_answers(classes), "mlp": mlp}
    episodes = {split: found.episode for split, found in transitions.items()}
    answers |= {"repeat": repeat_answers(classes, episodes), "switch": switch_answers(classes, episodes)}
    answers |= answers_seeing(transitions, codes, classes, model.codes)
    torch.manual_seed(params.seed)
    kinds = 1 + max(int(each.max()) for each in classes.values())
    answers["supervised"] = classifier_answers(
        TransitionClassifier(model, classes=kinds), transitions, classes, settings, compute,
        name=f"{name}, whole transition",
        scratch=scratch_folder(f"{name}_supervised", learned_from, [EPISODES, LATENT_ACTION_MODEL]),
    )  # fmt: skip
    return {split: np.stack([answers[probe][split] for probe in PROBES], axis=1) for split in FOLDERS}


def probed(case: Case, probes: dict, params: Params) -> dict[str, float | None]:
    """The metrics of probes, (answers, classes) by name; those of the keys are null without any."""
    metrics = {} if "probe" in probes else no_probe_metrics("probe")
    for name, (answers, classes) in probes.items():
        metrics |= probe_metrics(answers, classes, case.codes, case.transitions.episode, name=name, **drawn_by(params))
    return metrics


def predicted(case: Case, predict, params: Params, *, most: int) -> dict:
    """How well the next frame of at most so many transitions is predicted."""
    found, chosen = case.transitions, spread_samples(len(case.transitions), most)
    errors, identical = prediction_errors(found, chosen, case.codes[chosen], predict, seed=params.seed)
    pixels = int(np.prod(found.bank.shape))
    return prediction_metrics(errors, identical, found.episode[chosen], pixels, **drawn_by(params))


def judged(case: Case, predict, model, params: Params) -> tuple[dict, np.ndarray]:
    """The metrics of a split that need no labels, and PSNRs of roll-outs [S, 4]."""
    found, codes = case.transitions, case.codes
    own, drawn = params.latent_action, drawn_by(params)
    metrics = predicted(case, predict, params, most=JUDGED)
    looked_at = spread_samples(len(found), LOOKED_AT)
    pictures = picture_sums(found, looked_at, codes, predict, threshold=own.change_threshold, seed=params.seed)
    metrics |= picture_metrics(pictures, found.episode[looked_at], **drawn)
    metrics |= code_metrics(codes, model.codes, found.episode, **drawn)
    rolled = {"steps": min(ROLLOUT_STEPS, longest_rollout(found, own.frame_gap)), "gap": own.frame_gap}
    starts = rollout_starts(found, most=ROLLOUTS, **rolled)
    mean = model.views.background.cpu().numpy() * 255
    ahead = rollout_errors(found, starts, codes, predict, count=model.codes, mean=mean, seed=params.seed, **rolled)
    metrics |= rollout_metrics(ahead, found.episode[starts], DELTAS, ROLLOUT_STEPS, **drawn)
    return metrics, psnr_by_step(ahead)


def object_scores(case: Case, predict, game: type[Game]) -> dict[str, float | None]:
    """Where the game's things are in predicted pictures; nothing for games that cannot tell."""
    if case.states is None or not game.object_columns or not set(game.object_columns) <= set(case.states[2]):
        return {}
    chosen = spread_samples(len(case.transitions), LOOKED_AT)
    frames = case.transitions.take(chosen)
    parts = batches(np.arange(len(frames)))
    predicted = np.concatenate([predict(frames[part, :-1], case.codes[chosen][part]) for part in parts])
    pictures = {"true": frames[:, -1], "predicted": predicted, "copy": frames[:, -2]}
    return game.object_metrics(pictures, {name: column[chosen] for name, column in case.states[2].items()})


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES, pixels=params.latent_action.pixels)
    extracted = EpisodeStore(LATENT_ACTIONS)
    model = load_latent_action(LATENT_ACTION_MODEL).to(compute.device)
    cases = {split: case_of(split, store, extracted, params) for split in ("train", *FOLDERS)}
    for split, case in cases.items():
        if case.transitions.too_short:
            print(f"left out: {case.transitions.too_short} episodes of {split}, too short for a transition")
    lag, probes = classes_of(store, cases, params)
    effect = effect_known(params.latent_action.effect, store)
    if effect != params.latent_action.effect:
        print(f"the recordings have no state column {params.latent_action.effect}: effects are told by {effect}")
    answers = {name: probe_answers(model, params, compute, cases, classes, name) for name, classes in probes.items()}
    if not compute.is_main:
        return
    game = GAMES.get(params.game, Game)  # own recordings may be of any game
    predict = partial(predict_next, model, compute=compute)
    train = cases.pop("train")
    beside = {"train": seen_in_training(train, predict, model, params)}
    chosen = codes_of_events(train.codes, events_in(train, game.events), model.codes) if model.tokens == 1 else {}
    del train  # its frames leave the memory
    for split, directory in FOLDERS.items():
        case = cases[split]
        metrics, psnr = judged(case, predict, model, params)
        metrics |= probed(case, {name: (answers[name][split], probes[name][split]) for name in probes}, params)
        metrics |= {"lam_probe_lag": lag} | object_scores(case, predict, game)
        if model.tokens == 1:
            metrics |= write_effects(directory, case, model.codes, effect, game.events, chosen, **drawn_by(params))
        shown = Shown(case, probes.get("probe", {}).get(split), (*params.latent_action.probe_actions, "neither"))
        write_figures(directory, shown, model, predict, partial(vectors_in, model, compute=compute), params.seed)
        save(rollout_figure(psnr, DRIVEN), directory / "rollout.png")
        if split == "val":
            gap = params.latent_action.frame_gap
            write_videos(directory, shown, model, predict, fps=store.attrs["fps"] / gap, gap=gap)
            print_headline(metrics, len(case.transitions), model.codes)
        beside[split] = {name: metrics[name] for name in beside["train"]}
        write_json(directory / "metrics.json", metrics)
    write_json(FOLDERS["test"] / "splits.json", beside)
    print(f"wrote {' and '.join(str(directory) for directory in FOLDERS.values())}")


def seen_in_training(case: Case, predict, model, params: Params) -> dict:
    """Some metrics on a part of train: far better ones than on val would mean that the model learned by heart."""
    metrics = predicted(case, predict, params, most=LOOKED_AT)
    return {name: metrics[name] for name in BESIDE} | {"lam_perplexity": perplexity(case.codes, model.codes)}


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
        print(f"  key from the code {said('lam_probe_accuracy')}; the key before {said('lam_probe_repeat')}; from the "
              f"past {said('lam_probe_past')}, with the code {said('lam_probe_past_code')}, with the next frame "
              f"{said('lam_probe_past_next')}: information gained {said('lam_information_gained')}")  # fmt: skip
        print(f"  where the key changes: from the code {said('lam_change_accuracy')}, from the past "
              f"{said('lam_change_past')}")  # fmt: skip


if __name__ == "__main__":
    run_stage(main)
