"""Stage train_latent_action: transitions -> a model that names each by a code and predicts the next frame from it."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from stages.episodes.store import EpisodeStore
from stages.evaluation.latent_actions import gain_db, perplexity, shuffle_drop_db
from stages.evaluation.transitions import (
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
from stages.models.latent_action import LatentActionModel, codes_of, predict_next
from stages.params import read_params
from stages.run import run_stage

EPISODES = Path("data/episodes.zarr")
MODEL = Path("data/models/latent_action")
LIVE = Path("reports/latent_action_training/live")
CODES_FROM = 2048  # transitions whose k-means are the first codes
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
    ):  # fmt: skip
        self.model, self._train, self._val = model, train, val
        self._weigh = partial(pixel_weights, threshold=change_threshold, weight=change_weight)
        self._quantise_after, self._compute, self._seed = quantise_after, compute, seed

    def epoch_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._train))

    def loss(self, model, samples):
        levels = torch.from_numpy(self._train.take(samples)).to(self._compute.device)
        current, following = levels[:, -2], levels[:, -1]
        arriving, leaving = (
            self._weigh(now, other, self.model.views.background)
            for now, other in ((following, current), (current, following))
        )
        prediction, mismatch, commitment = model(levels.float() / 255)
        error = weighted_mse(prediction, following / 255, torch.maximum(arriving, leaving))
        error = error / self.model.views.change**2  # of copy-last's size in every game, like mismatch and commitment
        cells = functional.adaptive_avg_pool2d(arriving, mismatch.shape[-2:])[:, 0]
        mismatch = (mismatch * cells).sum() / cells.sum()
        logged = {"prediction": error, "mismatch": mismatch, "commitment": commitment}
        return error + mismatch + commitment, logged

    def after_step(self, step: int) -> None:
        if step + 1 >= self._quantise_after and not self.model.quantising:
            self.set_codes()

    @torch.no_grad()
    def set_codes(self) -> None:
        """The codes that the transitions all over the split call for, as the inverse model stands."""
        parts = []
        for part in batches(spread_samples(len(self._train), CODES_FROM)):
            frames = torch.from_numpy(self._train.take(part)).to(self._compute.device).float() / 255
            with self._compute.autocast():
                parts.append(self.model.vectors(frames))
        self.model.start_quantising(torch.cat(parts))

    def validate(self, model) -> dict[str, float]:
        samples = spread_samples(len(self._val), VALIDATED)
        codes = codes_in(self._val, samples, partial(codes_of, model, compute=self._compute))
        predict = partial(predict_next, model, compute=self._compute)
        errors, _ = prediction_errors(self._val, samples, codes, predict, seed=self._seed)
        gain, drop = (float(score(errors.sum(axis=0))) for score in (gain_db, shuffle_drop_db))
        found = {"gain_db": gain, "shuffle_drop_db": drop, "perplexity": perplexity(codes, model.codes)}
        return {"gain_and_drop_db": gain + drop} | found


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
    if len(train) < own.codes:
        raise ValueError(
            f"{EPISODES} has {len(train)} transitions in train, fewer than latent_action.codes {own.codes}; "
            f"record more or lower the number of codes"
        )
    channels, height, width = train.bank.shape
    model = LatentActionModel(
        past_frames=own.past_frames, codes=own.codes, code_dim=own.code_dim, commitment=own.commitment,
        dead_code_threshold=own.dead_code_threshold, past_dropout=own.past_dropout, search_px=own.search_px,
        channels=own.channels, height=height, width=width, in_channels=channels,
    )  # fmt: skip
    model.views.set_statistics(*statistics_of(train))
    settings = FitSettings.from_sections(own, params.training)
    warm_up = warm_up_steps(own.quantize_after_steps, len(train), settings.batch_size * settings.accumulate)
    task = LatentActionTask(
        model, train, val, change_weight=own.change_weight, change_threshold=own.change_threshold,
        quantise_after=warm_up, compute=compute, seed=params.seed,
    )  # fmt: skip
    if not warm_up:
        task.set_codes()
    scratch = scratch_folder("latent_action", params.model_dump(mode="json", include=LEARNED_FROM), [EPISODES])
    with open_live(LIVE, compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name="latent action")
    if not compute.is_main:
        return
    save_model(MODEL, model, model.config)
    best = result.history[result.best_epoch]
    print(f"read {EPISODES}: {len(train)} transitions of train, {len(val)} of val, {width}x{height} px")
    print(
        f"best epoch {result.best_epoch + 1} of {result.epochs_run}, {result.seconds:.0f} s; on a part of val: "
        f"gain {best['val/gain_db']:.2f} dB, shuffled codes cost {best['val/shuffle_drop_db']:.2f} dB, "
        f"perplexity {best['val/perplexity']:.1f} of {own.codes} codes"
    )
    print(f"wrote {MODEL} and {LIVE}")


if __name__ == "__main__":
    run_stage(main)
