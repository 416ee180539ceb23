"""Stage train_policy: windows of latents or frames to keys: data/models/policy, an agent that has not played yet."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from stages.episodes.mirror import mirror_pairs, mirrored_columns
from stages.episodes.store import LEARNED, EpisodeStore, action_columns
from stages.episodes.view import view_moves
from stages.evaluation.figures import style
from stages.evaluation.figures.augmented import augmented_figure
from stages.learning.augmentation import Augmentation
from stages.learning.checkpoints import write_json
from stages.learning.compute import prepare_compute
from stages.learning.fast.dropout import seed_dropout
from stages.learning.losses import bce_loss, combination_loss, focal_loss
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.acting import fit_acting
from stages.models.agent import About, write_agent
from stages.models.cloning import CloningTask, Windows, window_weights, windows_of
from stages.models.combinations import combinations_of
from stages.models.policies.pictures import set_background
from stages.models.policies.registry import arrays_read, made_policy, policy_input, section_of, stores_read
from stages.models.policies.state import StateDesign
from stages.models.reconstruction import background_of
from stages.params import AUTO, Params, StateParams, read_params
from stages.paths import ENCODER, POLICY, POLICY_TRAINING
from stages.run import run_stage

# The params that the weights are a function of, beside the section of the policy's kind.
LEARNED_FROM = {
    *("actions", "policy", "policy_members", "cell", "loss", "focal", "sequence_length", "sequence_step_s"),
    *("rare_actions", "rare_factor", "class_weights", "key_change_weight", "key_change_frames", "keys_ahead_s"),
    *("action_head", "action_chunk", "label_smoothing"),
    *("augment", "state", "seed", "threads", "device", "precision", "training"),
}
SHIFT = 0.035  # where it is "auto" and the view stands still
SHOWN_WINDOWS, SHOWN_DRAWS = 3, 3  # in the picture of what augmentation makes of windows


def learned_from(params: Params, store: EpisodeStore) -> str:
    """A few words on it."""
    episodes = store.episodes("train")
    frames, sessions = sum(each.length for each in episodes), len({each.session for each in episodes})
    return (
        f"{frames} frames ({frames / store.fps / 60:.1f} minutes) of {sessions} sessions in "
        f"{store.attrs['recordings']}, policy {params.policy}, seed {params.seed}"
    )


def state_of_training(params: StateParams, store: EpisodeStore) -> StateDesign:
    """What the training's state holds in the columns that are read; ValueError names one that tells nothing."""
    rows, columns = store.concatenated("state", "train")[0], store.state_columns
    return StateDesign.from_training(rows, columns, read=params.columns, lagged=params.lagged, origin=params.origin)


def mirror_of(params: Params, declared: Mapping[str, str], reads: Sequence[str]) -> dict[str, str]:
    """The pairs of actions that swap in a mirror; ValueError where a state is read, which has no image there."""
    pairs = mirror_pairs(params.augment.flip, declared, params.actions)
    if pairs and "state" in reads and len(reads) > 1:
        raise ValueError(f"state.columns {list(params.state.columns)} have no mirror image: set augment.flip: none")
    return pairs


def augmentation(
    params: Params, pictures: EpisodeStore, background: torch.Tensor, pairs: Mapping[str, str]
) -> Augmentation:
    """What becomes of windows of frames; those of latents have their mirror images in the store."""
    columns = torch.from_numpy(mirrored_columns(params.actions, pairs)) if pairs else None
    values = params.augment.model_dump(exclude={"flip"})
    if values["shift"] == AUTO:
        moves = view_moves(pictures)
        values["shift"] = 0.0 if moves else SHIFT
        print(f"augment.shift: {values['shift']:g}, for the view {'moves' if moves else 'stands still'}")
    return Augmentation(**values, background=background, mirrored=columns)


def combinations(params: Params, store: EpisodeStore, pairs: Mapping[str, str]) -> list[list[int]]:
    """The combinations of keys [K, A] between which a policy decides, those of the training; none: each key alone."""
    if params.action_head == "keys":
        return []
    held = store.concatenated("actions", LEARNED)[0][:, action_columns(store, params.actions)]
    if pairs:
        held = np.concatenate([held, held[:, mirrored_columns(params.actions, pairs)]])
    return combinations_of(held).astype(int).tolist()


def losses(params: Params, together: Sequence[Sequence[int]]) -> tuple[Callable, Callable | None]:
    """The loss of keys, each alone, and that of the present ones where combinations are decided between."""
    smoothed = {"smoothing": params.label_smoothing}
    loss = partial(focal_loss, **params.focal.model_dump()) if params.loss == "focal" else partial(bce_loss, **smoothed)
    if not together:
        return loss, None
    return loss, partial(combination_loss, combinations=torch.tensor(together, dtype=torch.bool), **smoothed)


def some_windows(train: Windows, augmented: Augmentation, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The frames uint8 [n, T, C, H, W] of a few windows of train as recorded, and as they are learned from."""
    samples = np.linspace(0, len(train) - 1, SHOWN_WINDOWS + 2).astype(int)[1:-1]
    frames = train.take(samples)[list(train.shapes).index("frames")]
    actions = train.actions[samples]
    seed_dropout(seed)
    return frames.numpy(), [augmented(frames, actions)[0].numpy() for _ in range(SHOWN_DRAWS)]


def main() -> None:
    params = read_params()
    section, source = section_of(params), policy_input(params)
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store, pictures = stores_read(params)
    reads = arrays_read(params)
    pairs = mirror_of(params, store.mirror, reads)
    shapes = {name: (store if store.has(name) else pictures).row_layout(name)[0] for name in reads}
    state = state_of_training(params.state, store) if "state" in reads else None
    together = combinations(params, store, pairs)
    policy = made_policy(params, shapes, store.fps, state, together)
    train, val = (windows_of(policy, split, params, (store, pictures)) for split in (LEARNED, "val"))
    augmented = None
    if "frames" in reads:
        bank = next(bank for bank in train.banks if bank.array == "frames")
        background, spread = background_of(bank.recorded, mirror=bool(pairs))
        set_background(policy, background, spread)
        if params.augment.frame_jitter and ("latents" in reads or policy.window < 3):
            raise ValueError("augment.frame_jitter is for kinds that read three frames or more, and no latents")
        augmented = augmentation(params, pictures, background, {} if "latents" in reads else pairs)
    rare = [params.actions.index(action) for action in params.rare_actions]
    loss, choice_loss = losses(params, together)
    task = CloningTask(
        policy, train, val, loss=loss, choice_loss=choice_loss,
        weights=window_weights(
            train, rare, params.rare_factor, by_class=params.class_weights,
            change_weight=params.key_change_weight, change_frames=params.key_change_frames,
        ),
        device=compute.device, seed=params.seed,
        augmented=augmented,
    )  # fmt: skip
    settings = FitSettings.from_sections(section, params.training)
    function_of = {**params.model_dump(mode="json", include=LEARNED_FROM), "section": section.model_dump(mode="json")}
    scratch = scratch_folder("policy", function_of, [source])
    with open_live(POLICY_TRAINING / "live", compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name=f"policy {params.policy}")
    if not compute.is_main:
        return
    write_json(POLICY_TRAINING / "training.json", result.told())
    if augmented is not None:
        recorded, draws = some_windows(train, augmented, params.seed)
        if any((draw != recorded).any() for draw in draws):
            style.save(augmented_figure(recorded, draws), POLICY_TRAINING / "augmented.png")
    acting = fit_acting(val.actions.numpy(), val.logits(policy, compute.device).numpy(), np.array(together, bool))
    state_columns = store.state_columns if "state" in reads else ()
    about = About.of(params, store, acting, state_columns=state_columns, learned_from=learned_from(params, store))
    write_agent(POLICY, about, policy, ENCODER if "latents" in reads else None)
    thresholds = ", ".join(f"{name} {p:.2f}" for name, p in zip(params.actions, acting.thresholds, strict=True))
    print(f"read {source}: {len(train)} train and {len(val)} val windows of {policy.window} frames, step {policy.step}")
    print(result.in_words())
    print(f"wrote {POLICY} (thresholds {thresholds}) and {POLICY_TRAINING}")


if __name__ == "__main__":
    run_stage(main)
