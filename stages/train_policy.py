"""Stage train_policy: windows of latents -> the policy's weights, its thresholds and its calibration."""

from functools import partial
from pathlib import Path

from stages.episodes.store import EpisodeStore
from stages.evaluation.acting import fit_acting, write_acting
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.learning.losses import bce_loss, focal_loss
from stages.learning.training import FitSettings, fit, open_live, scratch_folder
from stages.models.cloning import CloningTask, Windows, window_weights
from stages.models.policy import RecurrentPolicy
from stages.params import read_params
from stages.run import run_stage

LATENTS = Path("data/latents.zarr")
MODEL = Path("data/models/policy")
LIVE = Path("reports/policy_training/live")
# The params that the weights are a function of.
LEARNED_FROM = {
    *("actions", "cell", "loss", "sequence_length", "rare_actions", "rare_factor", "class_weights"),
    *("seed", "threads", "device", "precision", "policy", "training"),
}


def main() -> None:
    params = read_params()
    head, actions = params.recurrent, params.actions
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
    task = CloningTask(
        policy,
        train,
        val,
        loss=focal if params.loss == "focal" else bce_loss,
        weights=window_weights(train.actions, rare, params.rare_factor, params.class_weights),
        device=compute.device,
        seed=params.seed,
    )
    settings = FitSettings.from_sections(head, params.training)
    scratch = scratch_folder("policy", params.model_dump(mode="json", include=LEARNED_FROM), [LATENTS])
    with open_live(LIVE, compute) as live:
        result = fit(task, settings, compute, live=live, scratch=scratch, name="policy")
    if not compute.is_main:
        return
    learned = {"actions": list(actions), "sequence_length": params.sequence_length, "fps": store.fps}
    save_model(MODEL, policy, config | learned)
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
