"""What is trained on a few labels alone: parted into folds, stopped by the fold that is left out."""

import numpy as np
import pytest
import torch

from stages.latent_actions.few_label_fits import FOLDS, clone_few, folds_of, long_enough
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings
from stages.models.cloning import Windows
from stages.models.policy import RecurrentPolicy

SETTINGS = FitSettings(
    epochs=30, batch_size=8, learning_rate=0.02, final_learning_rate=0.002, patience=30, clip_norm=1.0, accumulate=1,
    weight_decay=0.0, warmup_steps=2, checkpoint_s=60.0,
)  # fmt: skip


@pytest.mark.parametrize(("count", "folds"), [(2, 2), (4, 4), (5, 5), (23, FOLDS)])
def test_every_label_is_left_out_once(count, folds):
    parts = folds_of(count, seed=0)
    assert len(parts) == folds and sorted(np.concatenate(parts)) == list(range(count)) and all(map(len, parts))
    assert all(np.array_equal(a, b) for a, b in zip(parts, folds_of(count, seed=0), strict=True))


def test_one_label_is_too_few_to_stop_by():
    with pytest.raises(ValueError, match="one to stop by, found 1"):
        folds_of(1, seed=0)


@pytest.mark.parametrize(("count", "epochs"), [(1000, 30), (80, 30), (79, 30), (72, 60), (8, 300)])
def test_few_labels_get_as_many_steps_as_asked_for(count, epochs):
    settings = long_enough(SETTINGS, count, 300)  # 30 epochs in batches of 8
    assert settings.epochs == settings.patience == epochs


class Bank:
    """Latents [T, 2]."""

    shape = (2,)

    def __init__(self, latents):
        self.latents = latents

    def take(self, rows):
        return self.latents[rows]


def windows_of(latents):
    windows = Windows.__new__(Windows)
    windows.bank, windows.rows = Bank(latents), np.arange(len(latents))[:, None]
    windows.actions = torch.zeros(len(latents), 2, dtype=torch.bool)
    return windows


def test_cloning_from_few_labels_tells_what_they_show_and_nothing_else(tmp_path):
    # latents of two kinds; the first key is held in the one, the second key never
    latents = np.tile(np.array([[1.0, -1], [-1, 1]], np.float32), (15, 1))
    samples = np.arange(4, 24)
    held = np.stack([samples % 2 == 0, np.zeros(20, bool)], axis=1)
    compute = prepare_compute("cpu", "no", 1, 0)

    def make():
        return RecurrentPolicy(latent_shape=(2,), hidden=[8], cell="gru", dropout=0.0, actions=2)

    def cloned(name):
        windows = windows_of(latents)
        policy, acting = clone_few(make, windows, samples, held, SETTINGS, compute, scratch=tmp_path / name, name=name)
        return windows.logits(policy, compute.device).numpy(), acting

    logits, acting = cloned("one")
    pressed = acting.pressed(logits.astype(np.float64))
    assert np.array_equal(pressed[:, 0], np.arange(30) % 2 == 0) and not pressed[:, 1].any()
    assert np.array_equal(cloned("two")[0], logits)
    assert not list(tmp_path.iterdir())  # no checkpoint stays behind
