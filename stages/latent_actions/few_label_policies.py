"""Policies that play by n labels: by way of latent actions, which all training video has, or by cloning the labels.

Nothing here sees a label but the n: where epochs, thresholds and calibration are chosen on validation video, its keys
are those that the decoder of the n labels names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.latent_actions.few_label_fits import clone
from stages.latent_actions.few_labels import key_layers
from stages.latent_actions.naming import Namers, Video, codes_to_come, decoder_of, in_codes_of
from stages.learning.training import FitSettings, fit
from stages.models.acting import Acting, fit_acting
from stages.models.cloning import Windows
from stages.models.latent_policy import CodeTask, DecodedPolicy, expected_codes

# Who plays by n labels, in the words of the report.
WHO = {
    "named": "latent actions: all video named by a decoder of the labels, then cloned",
    "shaped": "latent actions shaped by the labels: the codes to come predicted, then decoded into keys",
    "decoded": "latent actions: the codes to come predicted, then decoded into keys",
    "cloning": "cloning from the same labels",
}


@dataclass(frozen=True)
class Policies:
    """Learns to play from labels of `namers.train`; of `val` no label is read."""

    namers: Namers
    val: Video
    settings: FitSettings  # of policies that learn from all video
    latent_policy: Callable[[Video, Video, Path], nn.Module]  # that of train and val, kept in the folder

    def learned(self, who: str, samples: np.ndarray, held: np.ndarray) -> tuple[nn.Module, Acting]:
        """One of WHO and the rule by which it acts, from labels held [n, A] of the train transitions `samples`."""
        learn = {"named": self._named, "shaped": self._shaped, "decoded": self._decoded, "cloning": self.namers.cloned}
        return learn[who](samples, held)

    def _named(self, samples: np.ndarray, held: np.ndarray) -> tuple[nn.Module, Acting]:
        decoder = self.namers.decoder("vectors", samples, held)
        train = _as_named(self.namers.train, decoder.shares(self.namers.train.vectors_around))
        val = _as_named(self.val, decoder.held(self.val.vectors_around))
        policy = clone(self.namers.make, train, val, self.settings, self.namers.compute,
                       scratch=self.namers.scratch_of("named", samples), name=f"named by {len(samples)}")  # fmt: skip
        return policy, self._acting(policy, val)

    def _decoded(self, samples: np.ndarray, held: np.ndarray) -> tuple[nn.Module, Acting]:
        decoder, train = self.namers.decoder("vectors", samples, held), self.namers.train
        keys = [decoder.held(video.vectors_around) for video in (train, self.val)]
        return self._read_off(train, self.val, *keys, self.namers.scratch / "latent_policy")

    def _shaped(self, samples: np.ndarray, held: np.ndarray) -> tuple[nn.Module, Acting]:
        """The video is named by two decoders, from latent actions before and after shaping: few labels fit the latter
        so well that they say little of any other transition."""
        namers = self.namers
        model, before = namers.shaped(samples, held), (namers.train, self.val)
        after = [in_codes_of(model, video, namers.compute) for video in before]
        decoders = [decoder_of(train, "vectors", samples, held) for train in (before[0], after[0])]
        keys = [
            sum(decoder.scores(video.vectors_around) for decoder, video in zip(decoders, both, strict=True)) > 0
            for both in zip(before, after, strict=True)
        ]
        return self._read_off(*after, *keys, namers.scratch_of("latent_policy", samples))

    def _read_off(
        self, train: Video, val: Video, train_keys: np.ndarray, val_keys: np.ndarray, folder: Path
    ) -> tuple[nn.Module, Acting]:
        """Keys read off the codes that are expected; what those mean is learned from all video as the labels name it.

        A decoder of labels knows codes that have come, not shares of several that may: fed with their mean it names
        what no code means.
        """
        compute = self.namers.compute
        latent, codes = self.latent_policy(train, val, folder), len(train.codebook)
        expected = expected_codes(train.windows.logits(latent, compute.device), codes).numpy()
        layers = key_layers(expected[train.current], train_keys, seed=compute.seed)
        policy = DecodedPolicy(latent, codes, layers).eval()
        return policy, self._acting(policy, _as_named(val, val_keys))

    def _acting(self, policy: nn.Module, named: Windows) -> Acting:
        """Thresholds and calibration on validation windows whose keys were named, not recorded."""
        logits = named.logits(policy, self.namers.compute.device).numpy()
        return fit_acting(named.actions.numpy(), logits.astype(np.float64))


def _as_named(video: Video, keys: np.ndarray) -> Windows:
    """The windows that end with a transition, with the keys [N, A] that it was named by."""
    return video.windows.labelled(video.current, keys)


def learn_codes(
    make: Callable[[], nn.Module], train: Video, val: Video, ahead: int, settings: FitSettings, compute, *,
    scratch: Path,
) -> nn.Module:  # fmt: skip
    """A policy that predicts from past frames, without a label, the code that comes and `ahead` more."""
    torch.manual_seed(compute.seed)
    videos = {"train": train, "val": val}
    task = CodeTask(
        make(), {split: video.windows for split, video in videos.items()},
        {split: codes_to_come(video, ahead) for split, video in videos.items()},
        count=len(train.codebook), device=compute.device, seed=compute.seed,
    )  # fmt: skip
    fit(task, settings, compute, live=None, scratch=scratch, name="latent policy")
    return task.model
