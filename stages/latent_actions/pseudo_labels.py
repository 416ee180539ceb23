"""Pseudo-labels: the keys of unlabelled transitions, predicted from a few labelled ones.

The labellers read latent actions, which were learned without a key: the code alone (a table), or codes, latent actions
before quantising, or autoencoder latents of the transition and those around it (`KeyDecoder`). Beside them stand the
same decoder on features that nobody learned, and an inverse model that is trained on the labels from scratch.

Conventions: T frames of a split end to end, N transitions, n of them labelled (samples int64 [n], held bool [n, A]),
K codes, D numbers a code, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.latent_actions.few_labels import KeyDecoder, folds_of, keys_by_code, surroundings
from stages.latent_actions.information import CHANGES, next_features
from stages.latent_actions.learning import Labelled, LabelTask, logits_of
from stages.latent_actions.transitions import Transitions, batches
from stages.learning.checkpoints import load_tensors, save_tensors
from stages.learning.compute import Compute
from stages.learning.fast.threads import in_threads
from stages.learning.losses import bce_loss
from stages.learning.training import FitResult, FitSettings, fit
from stages.models.cloning import NO_CODE, Windows
from stages.models.latent_action import LatentActionModel, vectors_in
from stages.models.transition_classifier import TransitionClassifier

DECODED = ("codes", "vectors", "latents", "unlearned")  # features that a KeyDecoder reads
LABELLERS = ("code", *DECODED)  # they take seconds
COMPONENTS = (24, 8)  # of block matching, and of the grid
SLOW_LABELLERS = ("shaped", "inverse", "cloning")  # these train a network for each set of labels


@dataclass(frozen=True)
class LatentActions:
    """Those of a split: codes int64 [T] of the transitions from each frame (NO_CODE: none), the same before quantising
    float32 [T, D], the codebook [K, D] and the frames of each episode."""

    codes: np.ndarray
    vectors: np.ndarray
    codebook: np.ndarray
    lengths: np.ndarray

    @cached_property
    def current(self) -> np.ndarray:
        """The frame from which each transition starts, int64 [N]."""
        return np.flatnonzero(self.codes != NO_CODE)

    @property
    def episode(self) -> np.ndarray:
        """Which episode of the split each transition belongs to, int64 [N]."""
        return np.searchsorted(np.cumsum(self.lengths), self.current, side="right")

    def around(self, values: np.ndarray, back: int, ahead: int, *, emphasis: float = 1) -> np.ndarray:
        """values [T, D] of each transition with those around it, [N, (back + 1 + ahead) * D]."""
        return surroundings(values, self.lengths, back, ahead, emphasis=emphasis)[self.current]

    def vectors_around(self, reach: int, emphasis: float) -> np.ndarray:
        """What labels are spread by, and decoded from: float32 [N, (2 * reach + 1) * D]."""
        return self.around(self.vectors, reach, reach, emphasis=emphasis)

    def to_come(self, ahead: int) -> np.ndarray:
        """The codes of each frame's transition and of `ahead` after it, int64 [T, 1 + ahead]; NO_CODE where none is."""
        return surroundings(self.codes[:, None], self.lengths, 0, ahead)

    def save(self, path: Path) -> None:
        """A safetensors file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(path, {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in vars(self).items()
                            if name in self.__dataclass_fields__})  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "LatentActions":
        """What `save` wrote."""
        return cls(**{name: tensor.numpy() for name, tensor in load_tensors(path).items()})


def latent_actions_of(model: LatentActionModel, transitions: Transitions, compute: Compute) -> LatentActions:
    """The latent actions of all transitions of a split; ValueError where a transition has several codes."""
    if model.tokens > 1:
        raise ValueError(
            f"the latent action model gives a transition {model.tokens} codes, few labels are for single ones: "
            f"set latent_action.tokens to [1, 1] and repeat dvc repro"
        )
    parts = batches(np.arange(len(transitions)))
    found = torch.cat(list(in_threads(lambda part: vectors_in(model, transitions.take(part), compute), parts)))
    lengths = np.asarray(transitions.bank.lengths, np.int64)
    vectors = np.zeros((lengths.sum(), found.shape[-1]), np.float32)
    codes = np.full(len(vectors), NO_CODE)
    with torch.inference_mode():
        codes[transitions.current] = model.codebook(found)[1].cpu().numpy()[:, 0]
        every = torch.arange(model.codes, device=compute.device)[:, None]
        codebook = model.codebook.vectors_of(every)[:, 0].float().cpu().numpy()
    vectors[transitions.current] = found[:, 0].float().cpu().numpy()
    return LatentActions(codes, vectors, codebook, lengths)


@dataclass(frozen=True)
class Video:
    """A split as few labels see it: windows of latents, one a frame, with the recorded keys; latent actions; and how
    many transitions around its own (`reach`) a decoder sees."""

    latents: Windows
    actions: LatentActions
    reach: int
    emphasis: float  # how much more than one around it the transition itself counts
    unlearned: np.ndarray | None = None  # of the transition from each frame what `unlearned_of` says, [T, D]

    @property
    def keys(self) -> np.ndarray:
        """The keys held in each transition, bool [N, A]."""
        return self.latents.actions.numpy()[self.actions.current]

    @cached_property
    def vectors_around(self) -> np.ndarray:
        return self.actions.vectors_around(self.reach, self.emphasis)

    def features(self, name: str) -> np.ndarray:
        """What a decoder reads of each transition, one of DECODED: float32 [N, ...]."""
        own = self.actions
        if name == "vectors":
            return self.vectors_around
        if name == "unlearned":
            return own.around(self.unlearned, self.reach, self.reach, emphasis=self.emphasis)
        if name == "codes":
            codebook = np.concatenate([own.codebook, np.zeros_like(own.codebook[:1])])  # the last one is NO_CODE's
            return own.around(codebook[own.codes], self.reach, self.reach, emphasis=self.emphasis)
        latents = self.latents.banks[0].take(np.arange(len(own.codes))).reshape(len(own.codes), -1)
        # Decoders measure distances: each latent on the scale that the policy's LayerNorm gives it.
        latents = (latents - latents.mean(axis=1, keepdims=True)) / (latents.std(axis=1, keepdims=True) + 1e-6)
        return own.around(latents, self.reach, self.reach + 1)


def unlearned_of(found: Mapping[str, Transitions], *, seed: int) -> dict[str, np.ndarray]:
    """Features that nobody learned, of the transition from each frame of each split, float32 [T, D]; 0 where none is.

    What block matching says, and how a coarse grid changed, each brought to its first principal components: those of
    the training video, which needs no label.
    """
    pairs = {split: next_features(each) for split, each in found.items()}
    edge = pairs["train"].shape[1] - CHANGES
    parts = (slice(0, edge), COMPONENTS[0]), (slice(edge, None), COMPONENTS[1])
    columns: dict[str, list[np.ndarray]] = {split: [] for split in found}
    for part, count in parts:
        train = pairs["train"][:, part]
        count = min(count, *train.shape)
        scaled = make_pipeline(StandardScaler(), PCA(count, random_state=seed)).fit(train)
        for split, own in pairs.items():
            columns[split].append(scaled.transform(own[:, part]))
    features = {}
    for split, each in found.items():
        features[split] = np.zeros((sum(each.bank.lengths), sum(part.shape[1] for part in columns[split])), np.float32)
        features[split][each.current] = np.hstack(columns[split])
    return features


def decoder_of(train: Video, features: str, samples: np.ndarray, held: np.ndarray) -> KeyDecoder:
    """What predicts keys from features, one of DECODED, learned from the labels of train."""
    return KeyDecoder.fit(train.features(features)[samples], held)


def keys_from_codes(train: LatentActions, other: LatentActions, samples: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The keys of the transitions of `other` from their codes alone, bool [N, A]: those of most labels of a code."""
    table = keys_by_code(train.codes[train.current[samples]], held, len(train.codebook))
    return table[other.codes[other.current]] > 0.5


def labels_by(labeller: str, train: Video, others: list[Video], samples: np.ndarray, held: np.ndarray) -> list:
    """The keys of the transitions of other splits by one of LABELLERS, bool [N, A] each."""
    if labeller == "code":
        return [keys_from_codes(train.actions, other.actions, samples, held) for other in others]
    decoder = decoder_of(train, labeller, samples, held)
    return [decoder.held(other.features(labeller)) for other in others]


def surrounded(found: Transitions, reach: int) -> Transitions:
    """Each transition with `reach` before and after it, an episode's ends repeated: rows [N, (2 * reach + 1) * n]."""
    lengths = np.bincount(found.episode)
    return replace(found, rows=surroundings(found.rows, lengths[lengths > 0], reach, reach))


def inverse_from_few(
    like: LatentActionModel, train: Transitions, samples: np.ndarray, held: np.ndarray, reach: int,
    settings: FitSettings, compute: Compute, *, scratch: Path,
) -> TransitionClassifier:  # fmt: skip
    """The inverse network of `like` with an output an action, trained from scratch on labels; `train` are transitions
    `surrounded` by `reach`.

    How many steps it learns is told by a fold of the labels; then it learns anew, from all of them. At a constant rate:
    so many steps are then the same in both.
    """
    settings = replace(settings, final_learning_rate=settings.learning_rate)

    def learned(
        known: np.ndarray, judged_by: np.ndarray, settings: FitSettings, name: str
    ) -> tuple[TransitionClassifier, FitResult]:
        torch.manual_seed(compute.seed)
        model = TransitionClassifier(like, classes=held.shape[1], reach=reach)
        parts = (Labelled(train, samples[part], torch.from_numpy(held[part])) for part in (known, judged_by))
        task = LabelTask(model, *parts, compute, loss=bce_loss, monitor="loss")
        return model, fit(task, settings, compute, live=None, scratch=scratch.with_name(name), name=said)

    said = f"inverse model from {len(samples)} labels"
    every, left_out = np.arange(len(samples)), folds_of(len(samples), seed=compute.seed)[0]
    _, parted = learned(np.setdiff1d(every, left_out), left_out, settings, f"{scratch.name}-fold")
    steps = parted.best_step
    model, _ = learned(every, every, replace(settings, steps=steps, evaluate_every=steps), scratch.name)
    return model


def key_scores(model: TransitionClassifier, transitions: Transitions, compute: Compute) -> np.ndarray:
    """What a classifier says of the keys of each transition: log odds float32 [N, A], above 0 where one is held."""
    return logits_of(model, transitions, np.arange(len(transitions)), compute).numpy()
