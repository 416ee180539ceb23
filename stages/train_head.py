"""Stage train_head: windows of latents -> the policy's weights, its thresholds and its calibration."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from stages.episodes.store import EpisodeStore, action_columns
from stages.episodes.windows import FrameBank, window_indices
from stages.evaluation.acting import fit_acting, write_acting
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.learning.losses import bce_loss, focal_loss, inverse_share_weights, rare_window_weights
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.policy import RecurrentPolicy
from stages.params import read_params
from stages.run import run_stage

LATENTS = Path("data/latents.zarr")
MODEL = Path("data/models/head")
LIVE = Path("reports/head_training/live")
EVALUATION_BATCH = 256  # windows; spatial latents are large
# The params that the weights are a function of.
LEARNED_FROM = {
    *("actions", "cell", "loss", "sequence_length", "rare_actions", "rare_factor", "class_weights"),
    *("seed", "threads", "device", "precision", "head", "training"),
}


class Windows:
    """The windows of a split, one a frame: latents [T, *latent_shape] and the actions bool [A] of their last frame."""

    def __init__(self, store: EpisodeStore, split: str, actions: tuple[str, ...], length: int, limit_gb: float):
        self.bank = FrameBank(store, split, "latents", limit_gb)
        self.rows = window_indices(self.bank.lengths, length)
        held, _ = store.concatenated("actions", split)
        self.actions = torch.from_numpy(held[:, action_columns(store, actions)]).bool()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, samples: np.ndarray) -> torch.Tensor:
        """Latents [B, T, *latent_shape] of windows [B]."""
        return torch.from_numpy(self.bank.take(self.rows[samples]))

    @torch.no_grad()
    def logits(self, policy: nn.Module, device: torch.device) -> torch.Tensor:
        """The policy's logits [N, A] for all windows in order, on the CPU."""
        parts = np.split(np.arange(len(self)), range(EVALUATION_BATCH, len(self), EVALUATION_BATCH))
        return torch.cat([policy(self.take(part).to(device)).float().cpu() for part in parts])


class HeadTask:
    """Learn which actions the player holds in the last frame of each window.

    The best epoch is the one with the highest mean average precision on val. Thresholds and calibration
    are fitted afterwards and undo any shift and stretch of the logits, so the choice should not depend
    on those either; the validation loss does, and mostly on the frequent actions.
    """

    monitor = "ap"
    maximise = True

    def __init__(self, model, train: Windows, val: Windows, *, loss, weights: torch.Tensor, device, seed: int):
        self.model, self.train, self.val = model, train, val
        self._loss, self._weights, self._device, self._seed = loss, weights, device, seed

    def epoch_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self.train))

    def loss(self, model, samples):
        targets, weights = self.train.actions[samples].to(self._device), self._weights[samples].to(self._device)
        return self._loss(model(self.train.take(samples).to(self._device)), targets, weights=weights), {}

    def validate(self, model) -> dict[str, float]:
        logits, truth = self.val.logits(model, self._device), self.val.actions
        return {
            "ap": mean_average_precision(truth.numpy(), logits.numpy()),
            "loss": self._loss(logits, truth).item(),
        }


def mean_average_precision(truth: np.ndarray, logits: np.ndarray) -> float:
    """Mean over the actions that occur in truth bool [N, A]; 0 when none does."""
    occurring = np.flatnonzero(truth.any(axis=0))
    return float(np.mean([average_precision_score(truth[:, a], logits[:, a]) for a in occurring] or [0.0]))


def window_weights(actions: torch.Tensor, rare: list[int], factor: float, by_class: bool) -> torch.Tensor:
    """The weights [N, A] or [N, 1] of the loss terms from the train actions [N, A]."""
    weights = rare_window_weights(actions, rare, factor)[:, None]
    return weights * inverse_share_weights(actions) if by_class else weights


def main() -> None:
    params = read_params()
    head, actions = params.head, params.actions
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store, limit_gb = EpisodeStore(LATENTS), params.training.frames_in_ram_gb
    train, val = (Windows(store, split, actions, params.sequence_length, limit_gb) for split in ("train", "val"))
    config = {
        "latent_shape": list(train.bank.shape),
        "hidden": list(head.hidden),
        "cell": params.cell,
        "dropout": head.dropout,
    }
    policy = RecurrentPolicy(**config, actions=len(actions))
    rare = [actions.index(action) for action in params.rare_actions]
    focal = partial(focal_loss, gamma=head.focal_gamma, alpha=head.focal_alpha)
    task = HeadTask(
        policy,
        train,
        val,
        loss=focal if params.loss == "focal" else bce_loss,
        weights=window_weights(train.actions, rare, params.rare_factor, params.class_weights),
        device=compute.device,
        seed=params.seed,
    )
    settings = FitSettings.from_sections(head, params.training)
    scratch = scratch_folder("head", params.model_dump(mode="json", include=LEARNED_FROM), [LATENTS])
    with open_live(LIVE, compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name="head")
    if not compute.is_main:
        return
    save_model(MODEL, policy, {**config, "actions": list(actions), "sequence_length": params.sequence_length})
    acting = fit_acting(val.actions.numpy(), val.logits(policy, compute.device).numpy())
    write_acting(MODEL / "acting.json", acting, actions)
    thresholds = ", ".join(f"{name} {p:.2f}" for name, p in zip(actions, acting.thresholds, strict=True))
    print(f"read {LATENTS}: {len(train)} train and {len(val)} val windows of {params.sequence_length} latents")
    print(
        f"best epoch {result.best_epoch + 1} of {result.epochs_run}, val AP {result.best:.3f}, {result.seconds:.0f} s"
    )
    print(f"wrote {MODEL} (thresholds {thresholds}) and {LIVE}")


if __name__ == "__main__":
    run_stage(main)
