"""Stage train_latent_action: transitions -> a model that names each by a code and predicts the next frame from it."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from stages.episodes.store import EpisodeStore, action_columns
from stages.evaluation.figures.codes import codes_figure
from stages.evaluation.figures.latent_action import predictions_figure
from stages.evaluation.figures.style import save
from stages.latent_actions.learning import KnownKeys, LatentActionTask
from stages.latent_actions.transitions import Transitions, spread_samples, transitions_of
from stages.learning.checkpoints import save_model, write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.latent_action import LatentActionDesign, LatentActionModel, codes_of, predict_next
from stages.params import LatentActionParams, read_params
from stages.paths import EPISODES, LATENT_ACTION_MODEL, REPORTS
from stages.run import run_stage

REPORT = REPORTS / "latent_action_training"
LIVE, PICTURES = REPORT / "live", REPORT / "steps"
WATCHED, PICTURED = 256, 4  # transitions of val whose codes are counted, and that are shown, while training
STATISTICS_FROM = 1024  # transitions that the mean picture and the spreads are taken from
# The params that the weights are a function of.
LEARNED_FROM = {"seed", "threads", "device", "precision", "training", "latent_action", "actions"}


def known_keys(
    store: EpisodeStore, train: Transitions, own: LatentActionParams, actions: Sequence[str], seed: int
) -> KnownKeys | None:
    """The keys that help to shape the codes: of a random share of the transitions, at least one; None without any."""
    if not own.label_share:
        return None
    if not store.has("actions"):
        raise ValueError(
            f"latent_action.label_share is {own.label_share}, but {store.path} has no actions: its recordings came "
            f"without keys; set label_share to 0"
        )
    held = store.concatenated("actions", "train")[0][:, action_columns(store, actions)]
    count = math.ceil(own.label_share * len(train))
    drawn = np.random.default_rng([seed, 6]).permutation(len(train))[:count]
    frames = train.current[drawn] - own.label_lag
    return KnownKeys.of_frames(train, frames, held[frames], own.label_lag)


class Watch:
    """Writes a picture of predictions and codes every so many steps, so that a collapse shows while it happens.

    They are kept in `kept` as well, from where those of a killed run come back: DVC empties `directory` before a stage.
    """

    def __init__(
        self, model: LatentActionModel, val: Transitions, compute: Compute, every: int, directory: Path, kept: Path
    ):
        self._model, self._compute, self._every = model, compute, every
        self._directory, self._kept = directory, kept
        self._frames = val.take(spread_samples(len(val), WATCHED))
        if compute.is_main and kept.is_dir():
            shutil.copytree(kept, directory, dirs_exist_ok=True)

    def __call__(self, step: int) -> None:
        if not self._every or step % self._every or not self._compute.is_main:
            return
        self._model.eval()
        codes = codes_of(self._model, self._frames, self._compute)
        shown = slice(None, None, WATCHED // PICTURED)
        context, own = self._frames[shown, :-1], codes[shown]
        following = predict_next(self._model, context, own if self._model.codebook.started else None, self._compute)
        self._model.train()
        figures = {
            "predictions": predictions_figure(context[:, -1], self._frames[shown, -1], following),
            "codes": codes_figure(codes.ravel(), self._model.codes, None, ()),
        }
        for name, figure in figures.items():
            saved = save(figure, self._kept / f"step_{step:06d}_{name}.png")
            self._directory.mkdir(parents=True, exist_ok=True)
            shutil.copy(saved, self._directory)


def statistics_of(transitions: Transitions) -> tuple[torch.Tensor, float, float]:
    """Mean picture [C, H, W], deviation from it, root mean square change: of frames in 0..1 all over the split."""
    frames = transitions.take(spread_samples(len(transitions), STATISTICS_FROM))
    current, following = frames[:, -2].astype(np.float32) / 255, frames[:, -1].astype(np.float32) / 255
    background = current.mean(axis=0)
    spread, change = (
        float(np.sqrt(np.square(difference).mean(dtype=np.float64)))
        for difference in (current - background, following - current)
    )
    return torch.from_numpy(background), spread, change


def main() -> None:
    params = read_params()
    own = params.latent_action
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES, pixels=params.latent_action.pixels)
    train, val = (
        transitions_of(
            store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=params.training.frames_in_ram_gb
        )
        for split in ("train", "val")
    )
    known = known_keys(store, train, own, params.actions, params.seed)
    channels, height, width = train.bank.shape
    design = LatentActionDesign.from_section(
        own, labels=0 if known is None else len(params.actions),
        height=height, width=width, in_channels=channels,
    )  # fmt: skip
    model = LatentActionModel(design)
    if len(train) < model.codes:
        raise ValueError(
            f"{EPISODES} has {len(train)} transitions in train, fewer than the {model.codes} codes of latent_action; "
            f"record more or lower latent_action.codes (of fsq: fsq_levels)"
        )
    model.views.set_statistics(*statistics_of(train))
    settings = FitSettings.from_sections(own, params.training)
    # Before the first evaluation, so that each is judged by its codes.
    warm_up = min(own.quantize_after_steps, settings.evaluate_every - 1, settings.steps - 1)
    scratch = scratch_folder("latent_action", params.model_dump(mode="json", include=LEARNED_FROM), [EPISODES])
    watch = Watch(model, val, compute, own.picture_every_steps, PICTURES, scratch / PICTURES.name)
    task = LatentActionTask(model, train, val, own, compute, quantise_after=warm_up, known=known, watch=watch)
    if not warm_up:
        task.set_codes()
    with open_live(LIVE, compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name="latent action")
    if not compute.is_main:
        return
    save_model(LATENT_ACTION_MODEL, model, model.config)
    write_json(REPORT / "training.json", result.told())
    best = next(row for row in result.history if row["step"] == result.best_step)
    print(f"read {EPISODES}: {len(train)} transitions of train, {len(val)} of val, {width}x{height} px")
    if train.too_short or val.too_short:
        print(f"  left out: {train.too_short} episodes of train and {val.too_short} of val, too short for a transition")
    print(
        f"{result.in_words()}; on a part of val: "
        f"gain {best['val/gain_db']:.2f} dB, shuffled codes cost {best['val/shuffle_drop_db']:.2f} dB, "
        f"perplexity {best['val/perplexity']:.1f} of {model.codes} codes "
        f"({model.capacity_bits:.1f} bits a transition at most)"
    )
    print(f"wrote {LATENT_ACTION_MODEL} and {LIVE}")


if __name__ == "__main__":
    run_stage(main)
