"""Policies from n labels: from the keys that somebody who knows these names of all video, by way of the codes that a
latent policy expects, or cloned from the labels alone.

Nothing here sees a label but the n. Where all video is learned from, weights, thresholds and calibration are chosen on
validation video by its pseudo-labels. Cloning alone parts the labels into folds: each network learns from all folds but
one, is stopped by that one, and the mean of the networks acts by what each said of the fold it has not learned from.

Conventions: n labels, A actions; held bool [n, A]; samples int64 [n] are the labelled windows or transitions.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from stages.latent_actions.few_labels import folds_of, key_layers
from stages.latent_actions.pseudo_labels import Video, decoder_of
from stages.learning.compute import Compute
from stages.learning.losses import bce_loss
from stages.learning.training import FitSettings, fit
from stages.models.acting import Acting, fit_acting, sigmoid
from stages.models.cloning import CloningTask, CodeTask, FewLabelsTask, Windows
from stages.models.latent_policy import DecodedPolicy, expected_codes
from stages.models.policies.ensemble import Ensemble
from stages.models.policies.policy import Policy

# By way of latent actions: their pseudo-labels cloned, or a latent policy whose codes are read. Without them:
# pseudo-labels by features that nobody learned and by an inverse model, cloned, and cloning from the labels alone.
POLICIES = ("pseudo_labels", "shaped", "decoded", "unlearned", "inverse", "cloning")
Make = Callable[[], Policy]  # an untrained policy, with an output an action


def clone(
    make: Make, train: Windows, val: Windows, settings: FitSettings, compute: Compute, *,
    scratch: Path, name: str, task=CloningTask,
) -> Policy:  # fmt: skip
    """A policy that has learned the labels of the windows `train`, its best weights chosen on those of `val`."""
    torch.manual_seed(compute.seed)
    weights = torch.ones(len(train), 1)
    learning = task(make(), train, val, loss=bce_loss, weights=weights, device=compute.device, seed=compute.seed)
    fit(learning, settings, compute, live=None, scratch=scratch, name=name)
    return learning.model


def clone_few(
    make: Make, windows: Windows, samples: np.ndarray, held: np.ndarray, settings: FitSettings, compute: Compute, *,
    scratch: Path,
) -> tuple[Ensemble, Acting]:  # fmt: skip
    """Cloning from n labels: the mean policy, and the acting rule of what it says of labels it has not learned from."""
    policies, logits = [], np.zeros(held.shape)
    for number, left_out in enumerate(folds_of(len(samples), seed=compute.seed)):
        kept = np.setdiff1d(np.arange(len(samples)), left_out)
        train, val = (windows.labelled(samples[part], held[part]) for part in (kept, left_out))
        policy = clone(
            make, train, val, settings, compute, task=FewLabelsTask,
            scratch=scratch.with_name(f"{scratch.name}-{number}"), name=f"cloning from {len(samples)} labels",
        )  # fmt: skip
        logits[left_out] = val.logits(policy, compute.device).numpy()
        policies.append(policy)
    return Ensemble(policies).eval(), fit_acting(held, logits)


def clone_pseudo_labels(
    make: Make, windows: Mapping[str, Windows], current: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray],
    settings: FitSettings, compute: Compute, *, scratch: Path, name: str,
) -> tuple[Policy, Acting]:  # fmt: skip
    """A policy cloned from all video, with the keys that somebody names who knows n labels.

    By split, train and val: the windows, the window int64 [N] of each transition, and its pseudo-label as log odds
    [N, A].
    """
    learned = windows["train"].labelled(current["train"], sigmoid(scores["train"]))
    chosen_by = windows["val"].labelled(current["val"], scores["val"] > 0)
    policy = clone(make, learned, chosen_by, settings, compute, scratch=scratch, name=name)
    return policy, _acting(policy, chosen_by, compute)


def decode_latent_policy(
    latent_policy: Policy, train: Sequence[Video], val: Sequence[Video], samples: np.ndarray, held: np.ndarray,
    compute: Compute,
) -> tuple[DecodedPolicy, Acting]:  # fmt: skip
    """A readout of keys from the codes that `latent_policy` expects, learned from the pseudo-labels of all video.

    train and val are the splits in one or several kinds of latent actions, the latent policy's last; the pseudo-labels
    are those of the mean of their decoders. (A few labels fit codes that they have shaped too well: a decoder of these
    alone is often wrong about other transitions.) The decoder itself would be a poor readout: it has seen codes that
    came, not probabilities of several that may come, and their mean is like no code.
    """
    decoders = [decoder_of(each, "vectors", samples, held) for each in train]
    codes = len(train[-1].actions.codebook)
    expected = expected_codes(train[-1].latents.logits(latent_policy, compute.device), codes).numpy()
    layers = key_layers(expected[train[-1].actions.current], _keys(train, decoders), seed=compute.seed)
    policy = DecodedPolicy(latent_policy, codes, layers).eval()
    chosen_by = val[-1].latents.labelled(val[-1].actions.current, _keys(val, decoders))
    return policy, _acting(policy, chosen_by, compute)


def _keys(videos, decoders) -> np.ndarray:
    """The keys held by the mean score of decoders, each of which reads its own latent actions: bool [N, A]."""
    pairs = zip(videos, decoders, strict=True)
    return sum(decoder.scores(video.vectors_around) for video, decoder in pairs) > 0


def _acting(policy, windows: Windows, compute: Compute) -> Acting:
    """Thresholds and calibration on windows with pseudo-labels."""
    logits = windows.logits(policy, compute.device).numpy()
    return fit_acting(windows.actions.numpy(), logits.astype(np.float64))


def learn_codes(
    make: Make, train: Video, val: Video, ahead: int, settings: FitSettings, compute: Compute, *, scratch: Path
) -> Policy:
    """A latent policy: predicts from past latents, without a label, the code that comes and `ahead` more."""
    torch.manual_seed(compute.seed)
    videos = {"train": train, "val": val}
    task = CodeTask(
        make(), {split: video.latents for split, video in videos.items()},
        {split: video.actions.to_come(ahead) for split, video in videos.items()},
        count=len(train.actions.codebook), device=compute.device, seed=compute.seed,
    )  # fmt: skip
    fit(task, settings, compute, live=None, scratch=scratch, name="latent policy")
    return task.model
