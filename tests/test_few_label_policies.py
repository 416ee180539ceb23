"""Policies from few labels: cloning parted into folds, and a readout of the codes that a latent policy expects."""

import numpy as np
import torch
from torch import nn

from stages.latent_actions.few_label_policies import POLICIES, clone_few, decode_latent_policy
from stages.latent_actions.pseudo_labels import LatentActions, Video
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings
from stages.models.cloning import Windows
from stages.models.policies.recurrent import Recurrent
from stages.pages import labels_page

SETTINGS = FitSettings(
    steps=80, evaluate_every=10, batch_size=8, learning_rate=0.02, final_learning_rate=0.002, patience=8,
    clip_norm=1.0, accumulate=1, weight_decay=0.0, warmup_steps=2, checkpoint_s=60.0,
)  # fmt: skip


class Bank:
    """Latents [T, 2]."""

    array, shape = "latents", (2,)

    def __init__(self, latents):
        self.latents, self.lengths = latents, [len(latents)]

    def take(self, rows):
        return self.latents[rows]


def windows_of(latents):
    windows = Windows.__new__(Windows)
    windows.banks, windows.rows = [Bank(latents)], np.arange(len(latents))[:, None]
    windows.actions = torch.zeros(len(latents), 2, dtype=torch.bool)
    return windows


def test_cloning_from_few_labels_tells_what_they_show_and_nothing_else(tmp_path):
    # latents of two kinds; the first key is held in the one, the second key never
    latents = np.tile(np.array([[1.0, -1], [-1, 1]], np.float32), (15, 1))
    samples = np.arange(4, 24)
    held = np.stack([samples % 2 == 0, np.zeros(20, bool)], axis=1)
    compute = prepare_compute("cpu", "no", 1, 0)

    def make():
        return Recurrent(shapes={"latents": (2,)}, window=1, actions=2, hidden=[8], cell="gru", dropout=0.0)

    def cloned(name):
        windows = windows_of(latents)
        policy, acting = clone_few(make, windows, samples, held, SETTINGS, compute, scratch=tmp_path / name)
        return windows.logits(policy, compute.device).numpy(), acting

    logits, acting = cloned("one")
    pressed = acting.keys(logits)
    assert np.array_equal(pressed[:, 0], np.arange(30) % 2 == 0) and not pressed[:, 1].any()
    assert np.array_equal(cloned("two")[0], logits)
    assert not list(tmp_path.iterdir())  # no checkpoint stays behind


class Expecting(nn.Module):
    """Expects code 0 where the first latent is above 0, else code 1, and is nearly sure of it."""

    reads, shapes, window, step, spans, ahead = ("latents",), {"latents": (2,)}, 1, 1, {}, ()
    independent_samples, chunk, combinations, choices = True, 1, (), 2

    def forward(self, latents):
        sign = torch.sign(latents[:, -1, :1])
        return torch.cat([3 * sign, -3 * sign], dim=1)


def test_a_readout_learns_from_pseudo_labels_what_expected_codes_mean():
    latents = np.tile(np.array([[1.0, -1], [-1, 1]], np.float32), (2000, 1))
    codes = np.tile([0, 1], 2000)
    codes[-1] = -1  # the last frame has no next one
    actions = LatentActions(codes, np.eye(2, dtype=np.float32)[codes], np.eye(2, dtype=np.float32), np.array([4000]))
    video = Video(windows_of(latents), actions, reach=0, emphasis=1.0)
    samples, held = np.array([10, 11]), np.array([[True, False], [False, True]])
    policy, acting = decode_latent_policy(
        Expecting(), [video, video], [video, video], samples, held, prepare_compute("cpu", "no", 1, 0)
    )
    logits = video.latents.logits(policy, torch.device("cpu")).numpy()
    even = np.arange(4000) % 2 == 0
    assert np.array_equal(acting.keys(logits), np.stack([even, ~even], axis=1))
    assert policy.window == 1 and policy.shapes == {"latents": (2,)} and policy.reads == ("latents",)


def test_the_page_has_words_for_every_policy():
    assert set(labels_page.POLICIES) == set(labels_page.SHORT_POLICIES) == set(POLICIES)
