"""The curve of few labels: how well the keys of unseen transitions are named, by number of labels and by who names.

Conventions: T frames of a split end to end, N transitions, n of them labelled, K codes, D numbers a code, A actions.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from stages.episodes.store import EpisodeStore, action_columns
from stages.latent_actions.few_label_fits import clone_few, inverse_from_few, keys_shown, long_enough, vectors_shown
from stages.latent_actions.few_labels import KeyDecoder, keys_by_code, surroundings
from stages.latent_actions.learning import KnownKeys
from stages.latent_actions.shaping import Shaping
from stages.latent_actions.transitions import Transitions, transitions_of
from stages.learning.compute import Compute
from stages.learning.training import FitSettings
from stages.models.acting import Acting
from stages.models.cloning import Windows
from stages.models.latent_action import LatentActionModel
from stages.models.latent_policy import NO_CODE
from stages.models.transition_classifier import TransitionClassifier

# Who names keys, in the words of the report; the first four need nothing but latent actions and the labels.
WAYS = {
    "code": "its code alone",
    "shaped": "its code alone, codes shaped by the same labels",
    "codes": "its code and those around it",
    "vectors": "its latent action before quantising, and those around it",
    "latents": "an inverse model on autoencoder latents",
    "inverse": "an inverse model trained from scratch",
    "cloning": "cloning (past frames only)",
}


@dataclass(frozen=True)
class Video:
    """A split: windows [T], transitions [N] with the row of each one's current frame, codes int64 [T] (-1: none),
    latent actions before quantising float32 [T, D], the codebook [K, D] and the keys held, bool [T, A]."""

    windows: Windows
    transitions: Transitions
    codes: np.ndarray
    vectors: np.ndarray
    codebook: np.ndarray
    held: np.ndarray
    reach: int  # transitions before and after that a decoder sees
    emphasis: float  # how much more than one of those the transition itself counts

    @property
    def lengths(self) -> list[int]:
        return self.transitions.bank.lengths

    @property
    def current(self) -> np.ndarray:
        return self.transitions.current

    @property
    def keys(self) -> np.ndarray:
        """The keys held in each transition, bool [N, A]."""
        return self.held[self.current]

    def around(self, values: np.ndarray, emphasis: float = 1) -> np.ndarray:
        """values [T, D] -> those of each frame and of `reach` frames before and after it, [T, O * D]."""
        return surroundings(values, self.lengths, self.reach, self.reach, emphasis=emphasis)

    @property
    def vectors_around(self) -> np.ndarray:
        """What decoders of keys read of each transition, float32 [N, O * D]."""
        return self.features["vectors"][self.current]

    @cached_property
    def features(self) -> dict[str, np.ndarray]:
        """What the decoders read, by way: float32 [T, ...]."""
        codebook = np.concatenate([self.codebook, np.zeros_like(self.codebook[:1])])  # the last one is NO_CODE's
        latents = self.windows.bank.take(np.arange(len(self.codes))).reshape(len(self.codes), -1)
        # Decoders measure distances: each latent on the scale of the head's LayerNorm.
        latents = (latents - latents.mean(axis=1, keepdims=True)) / (latents.std(axis=1, keepdims=True) + 1e-6)
        return {
            "codes": self.around(codebook[self.codes], self.emphasis),
            "vectors": self.around(self.vectors, self.emphasis),
            "latents": surroundings(latents, self.lengths, self.reach, self.reach + 1),
        }


def read_video(
    split: str, frames: EpisodeStore, latents: EpisodeStore, extracted: EpisodeStore, model: LatentActionModel,
    compute: Compute, *, actions: tuple[str, ...], length: int, gap: int, reach: int, emphasis: float, limit_gb: float,
) -> Video:  # fmt: skip
    """A split as the stores hold it; ValueError when a store has no keys or a transition several codes."""
    if model.tokens > 1:
        raise ValueError(
            f"the latent action model names a transition by {model.tokens} codes; a few labels name single codes: "
            f"set latent_action.tokens to [1, 1] and repeat dvc repro"
        )
    transitions = transitions_of(frames, split, past_frames=model.past_frames, gap=gap, limit_gb=limit_gb)
    codes = extracted.concatenated("codes", split)[0].astype(np.int64)
    vectors = _vectors_of_frames(model, transitions, compute)
    held = frames.concatenated("actions", split)[0][:, action_columns(frames, actions)].astype(bool)
    windows = Windows(latents, split, actions, length, limit_gb)
    return Video(windows, transitions, codes, vectors, _codebook_of(model, compute), held, reach, emphasis)


def decoder_of(train: Video, way: str, samples: np.ndarray, held: np.ndarray) -> KeyDecoder:
    """What names keys by features of a way, learned from labels held [n, A] of the transitions `samples` of train."""
    return KeyDecoder.fit(train.features[way][train.current[samples]], held)


def in_codes_of(model: LatentActionModel, video: Video, compute: Compute) -> Video:
    """The same split in the latent actions of another model."""
    vectors = _vectors_of_frames(model, video.transitions, compute)
    shown = torch.from_numpy(vectors[video.current, None]).to(compute.device)
    codes = np.full_like(video.codes, NO_CODE)
    with torch.inference_mode():
        codes[video.current] = model.codebook(shown)[1].cpu().numpy()[:, 0]
    return replace(video, codes=codes, vectors=vectors, codebook=_codebook_of(model, compute))


def _vectors_of_frames(model: LatentActionModel, transitions: Transitions, compute: Compute) -> np.ndarray:
    """The latent action before quantising of each frame's transition, float32 [T, D]; 0 where there is none."""
    vectors = np.zeros((sum(transitions.bank.lengths), model.config["code_dim"]), np.float32)
    vectors[transitions.current] = vectors_shown(model, transitions, compute)
    return vectors


def _codebook_of(model: LatentActionModel, compute: Compute) -> np.ndarray:
    every = torch.arange(model.codes, device=compute.device)[:, None]
    return model.codebook.vectors_of(every)[:, 0].float().cpu().numpy()


@dataclass(frozen=True)
class Namers:
    """Every way to name the keys of `test` from labels of `train`; `make` builds a policy with an output an action."""

    train: Video
    test: Video
    model: LatentActionModel
    make: Callable[[], torch.nn.Module]
    settings: FitSettings  # of networks that learn from few labels
    steps: int  # that they learn for at least
    shaping: Shaping
    compute: Compute
    scratch: Path

    def pressed(self, way: str, samples: np.ndarray, held: np.ndarray) -> np.ndarray:
        """The keys of the test transitions, bool [N, A], from labels held [n, A] of train transitions `samples`."""
        if way == "code":
            return _by_code(self.train, self.test, samples, held)
        if way == "shaped":
            model = self.shaped(samples, held)
            train, test = (in_codes_of(model, video, self.compute) for video in (self.train, self.test))
            return _by_code(train, test, samples, held)
        if way == "inverse":
            return self._inverse(samples, held)
        if way == "cloning":
            return self._cloned(samples, held)
        decoder = self.decoder(way, samples, held)
        return decoder.held(self.test.features[way][self.test.current])

    def decoder(self, way: str, samples: np.ndarray, held: np.ndarray) -> KeyDecoder:
        return decoder_of(self.train, way, samples, held)

    def shaped(self, samples: np.ndarray, held: np.ndarray) -> LatentActionModel:
        """The latent action model after it has learned on from these labels too."""
        frames, lag = self.train.current[samples], self.shaping.section.label_lag
        known = KnownKeys.of_frames(self.train.transitions, frames, held, lag)
        return self.shaping.shaped(known, self.scratch_of("shaped", samples))

    def cloned(self, samples: np.ndarray, held: np.ndarray) -> tuple[torch.nn.Module, Acting]:
        """Cloning from the labels alone, and the rule by which it acts."""
        name = f"cloning from {len(samples)}"
        return clone_few(
            self.make, self.train.windows, self.train.current[samples], held, self._settings(samples), self.compute,
            scratch=self.scratch_of("cloning", samples), name=name,
        )  # fmt: skip

    def _settings(self, samples: np.ndarray) -> FitSettings:
        return long_enough(self.settings, len(samples), self.steps)

    def scratch_of(self, name: str, samples: np.ndarray) -> Path:
        """Where a training on these labels leaves its checkpoints: on no others, be they as many."""
        return self.scratch / f"{name}-{hashlib.blake2b(samples.tobytes(), digest_size=8).hexdigest()}"

    def _cloned(self, samples: np.ndarray, held: np.ndarray) -> np.ndarray:
        policy, _ = self.cloned(samples, held)
        # Held where that is more likely than not, as all the others name it; thresholds for F1 hold too much for that.
        return self.test.windows.logits(policy, self.compute.device).numpy()[self.test.current] > 0

    def _inverse(self, samples: np.ndarray, held: np.ndarray) -> np.ndarray:
        torch.manual_seed(self.compute.seed)
        classifier = TransitionClassifier(self.model, whole=True, classes=held.shape[1])
        name = f"inverse model from {len(samples)}"
        inverse_from_few(
            classifier, self.train.transitions, samples, held, self._settings(samples), self.compute,
            scratch=self.scratch_of("inverse", samples), name=name,
        )  # fmt: skip
        return keys_shown(classifier, self.test.transitions, self.compute)


def _by_code(train: Video, test: Video, samples: np.ndarray, held: np.ndarray) -> np.ndarray:
    table = keys_by_code(train.codes[train.current[samples]], held, len(train.codebook))
    return table[test.codes[test.current]] > 0.5


def codes_to_come(video: Video, ahead: int) -> np.ndarray:
    """The codes of each frame's transition and of `ahead` after it, int64 [T, 1 + ahead]; -1 where there is none."""
    return surroundings(video.codes[:, None], video.lengths, 0, ahead)
