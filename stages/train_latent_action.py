"""Stage train_latent_action: transitions -> a model that names each by a code and predicts the next frame from it."""

import math
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from stages.episodes.store import EpisodeStore, action_columns
from stages.evaluation.figures.codes import codes_figure
from stages.evaluation.figures.latent_action import predictions_figure
from stages.evaluation.figures.style import save
from stages.latent_actions.continuing import OwnContexts
from stages.latent_actions.measures import gain_db, key_classes, perplexity, shuffle_drop_db
from stages.latent_actions.transitions import (
    Transitions,
    batches,
    codes_in,
    prediction_errors,
    spread_samples,
    transitions_of,
)
from stages.learning.checkpoints import save_model
from stages.learning.compute import Compute, prepare_compute
from stages.learning.losses import pixel_weights, weighted_mse
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.latent_action import LatentActionDesign, LatentActionModel, codes_of, predict_next, vectors_in
from stages.params import LatentActionParams, read_params
from stages.run import run_stage

EPISODES = Path("data/episodes.zarr")
MODEL = Path("data/models/latent_action")
LIVE, PICTURES = Path("reports/latent_action_training/live"), Path("reports/latent_action_training/steps")
COLLAPSED = 1.05  # perplexity of the codes
WATCHED, PICTURED = 256, 4  # transitions of val whose codes are counted, and that are shown, while training
CODES_FROM, PER_CODE = 2048, 8  # transitions whose k-means are the first codes, or so many a code if that is more
STATISTICS_FROM = 1024  # transitions that the mean picture and the spreads are taken from
VALIDATED = 1024  # transitions of val that are judged after each epoch
# The params that the weights are a function of.
LEARNED_FROM = {"seed", "threads", "device", "precision", "training", "latent_action"}


class LatentActionTask:
    """Learn to name transitions so that the next frame can be predicted; small things that move weigh more.

    They weigh more where they were and where they are next (see `pixel_weights`): else the noise of textures that
    turn by outweighs all that can be aimed at, and the code tells of light and weapon instead of the turn.

    The best epoch is the one with the highest gain plus shuffle drop, with hard codes, on val: a low
    error alone would also be reached by a model that ignores its codes.
    """

    monitor = "gain_and_drop_db"
    maximise = True

    def __init__(
        self, model: LatentActionModel, train: Transitions, val: Transitions, *,
        change_weight: float, change_threshold: float, quantise_after: int, compute: Compute, seed: int,
        contexts: OwnContexts, labels: np.ndarray | None = None, label_weight: float = 0.0, watch=None,
    ):  # fmt: skip
        """labels int64 [N] of the transitions of train, -1 where unknown; `watch` is called after every step."""
        self.model, self._train, self._val = model, train, val
        self._weigh = partial(pixel_weights, threshold=change_threshold, weight=change_weight)
        self._quantise_after, self._compute, self._seed = quantise_after, compute, seed
        self._contexts, self._labels, self._label_weight, self._watch = contexts, labels, label_weight, watch

    def epoch_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._train))

    def loss(self, model, samples):
        levels = torch.from_numpy(self._train.take(samples)).to(self._compute.device)
        current, following = levels[:, -2], levels[:, -1]
        arriving, leaving = (
            self._weigh(now, other, self.model.views.background)
            for now, other in ((following, current), (current, following))
        )
        said = model(levels.float() / 255, self._contexts(samples, levels[:, :-1]).float() / 255)
        error = weighted_mse(said.frame, following / 255, torch.maximum(arriving, leaving))
        # Divided by the usual change: of copy-last's size in every game, like the other terms.
        terms = {"prediction": error / self.model.views.change**2, "commitment": said.commitment}
        if said.mismatch is not None:
            cells = functional.adaptive_avg_pool2d(arriving, said.mismatch.shape[-2:])[:, 0]
            terms["mismatch"] = (said.mismatch * cells).sum() / cells.sum()
        if said.labels is not None:
            terms["labels"] = self._label_weight * self._label_loss(said.labels, samples)
        return sum(terms.values()), terms

    def _label_loss(self, logits: torch.Tensor, samples: np.ndarray) -> torch.Tensor:
        """Mean cross-entropy of the samples whose key is known; 0 when none is."""
        targets = torch.from_numpy(self._labels[samples]).to(logits.device)
        known = int((targets >= 0).sum())
        return functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum") / max(1, known)

    def after_step(self, step: int) -> None:
        if step + 1 >= self._quantise_after and not self.model.codebook.started:
            self.set_codes()
        if self._watch is not None:
            self._watch(step + 1)

    @torch.no_grad()
    def set_codes(self) -> None:
        """The codes that the transitions all over the split call for, as the inverse model stands."""
        parts = batches(spread_samples(len(self._train), max(CODES_FROM, PER_CODE * self.model.codes)))
        found = [vectors_in(self.model, self._train.take(part), self._compute) for part in parts]
        self.model.codebook.start(torch.cat(found))

    def validate(self, model) -> dict[str, float]:
        samples = spread_samples(len(self._val), VALIDATED)
        codes = codes_in(self._val, samples, partial(codes_of, model, compute=self._compute))
        predict = partial(predict_next, model, compute=self._compute)
        errors, _ = prediction_errors(self._val, samples, codes, predict, seed=self._seed)
        gain, drop = (float(score(errors.sum(axis=0))) for score in (gain_db, shuffle_drop_db))
        spread = perplexity(codes, model.codes)
        require_several_codes(spread)
        return {"gain_and_drop_db": gain + drop, "gain_db": gain, "shuffle_drop_db": drop, "perplexity": spread}


def require_several_codes(spread: float) -> None:
    """ValueError when the codes have collapsed: `spread` is their perplexity over the validation data."""
    if spread < COLLAPSED:
        raise ValueError(
            f"the latent actions collapsed: one code names nearly every transition (perplexity {spread:.2f}); raise "
            f"latent_action.dead_code_threshold or entropy_weight, lower learning_rate, or try quantizer: fsq"
        )


def known_labels(classes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """classes int64 [N] with all but a random share of them hidden as -1; at least one stays when share > 0."""
    count = math.ceil(share * len(classes))
    known = np.random.default_rng([seed, 6]).permutation(len(classes))[:count]
    labels = np.full(len(classes), -1, np.int64)
    labels[known] = classes[known]
    return labels


def labels_of(store: EpisodeStore, train: Transitions, own: LatentActionParams, seed: int) -> np.ndarray | None:
    """The keys that help to shape the codes, int64 [N], -1 where not told; None without any."""
    if not own.label_share:
        return None
    if not store.has("actions"):
        raise ValueError(
            f"latent_action.label_share is {own.label_share}, but {store.path} has no actions: its recordings came "
            f"without keys; set label_share to 0"
        )
    held = store.concatenated("actions", "train")[0][train.current - own.label_lag]
    return known_labels(key_classes(held, action_columns(store, own.probe_actions)), own.label_share, seed)


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


def warm_up_steps(wanted: int, transitions: int, step_size: int) -> int:
    """Steps before quantisation: as wanted, but at most half an epoch, so that every epoch is judged by its codes."""
    return min(wanted, -(-transitions // step_size) // 2)


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
    store = EpisodeStore(EPISODES)
    train, val = (
        transitions_of(
            store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=params.training.frames_in_ram_gb
        )
        for split in ("train", "val")
    )
    labels = labels_of(store, train, own, params.seed)
    channels, height, width = train.bank.shape
    design = LatentActionDesign.from_section(
        own, labels=0 if labels is None else len(own.probe_actions) + 1,
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
    warm_up = warm_up_steps(own.quantize_after_steps, len(train), settings.batch_size * settings.accumulate)
    scratch = scratch_folder("latent_action", params.model_dump(mode="json", include=LEARNED_FROM), [EPISODES])
    task = LatentActionTask(
        model, train, val, change_weight=own.change_weight, change_threshold=own.change_threshold,
        quantise_after=warm_up, compute=compute, seed=params.seed, labels=labels, label_weight=own.label_weight,
        contexts=OwnContexts(model, train, own.rollout_share, own.rollout_steps, own.frame_gap, compute),
        watch=Watch(model, val, compute, own.picture_every_steps, PICTURES, scratch / PICTURES.name),
    )  # fmt: skip
    if not warm_up:
        task.set_codes()
    with open_live(LIVE, compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name="latent action")
    if not compute.is_main:
        return
    save_model(MODEL, model, model.config)
    best = result.history[result.best_epoch]
    print(f"read {EPISODES}: {len(train)} transitions of train, {len(val)} of val, {width}x{height} px")
    if train.too_short or val.too_short:
        print(f"  left out: {train.too_short} fights of train and {val.too_short} of val, too short for a transition")
    print(
        f"best epoch {result.best_epoch + 1} of {result.epochs_run}, {result.seconds:.0f} s; on a part of val: "
        f"gain {best['val/gain_db']:.2f} dB, shuffled codes cost {best['val/shuffle_drop_db']:.2f} dB, "
        f"perplexity {best['val/perplexity']:.1f} of {model.codes} codes "
        f"({model.capacity_bits:.1f} bits a transition at most)"
    )
    print(f"wrote {MODEL} and {LIVE}")


if __name__ == "__main__":
    run_stage(main)
