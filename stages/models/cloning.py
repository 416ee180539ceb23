"""Behavioural cloning: windows of what a policy reads in, the keys that are held in their last frame out.

The labels are the recorded keys, a few of them, or pseudo-labels. Conventions: N windows of T frames, A actions.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional

from stages.episodes.store import LEARNED, MIRRORED, EpisodeStore, action_columns
from stages.episodes.windows import FrameBank, MirroredBank, window_indices
from stages.learning.fast.threads import in_threads
from stages.learning.losses import inverse_share_weights, key_change_weights, rare_window_weights
from stages.models.combinations import of_keys
from stages.models.policies.ensemble import Ensemble
from stages.models.policies.policy import Policy
from stages.params import Params

NO_CODE = -1  # in the codes of windows that have none to come
EVALUATION_BATCH = 256  # windows; spatial latents and frames are large


class Windows:
    """The windows of a split, one a frame: what a policy `reads`, [T, *shape] each, and its last actions [A]."""

    _spans: Mapping[str, int] = {}

    def __init__(
        self, store: EpisodeStore, split: str, actions: Sequence[str], reads: Sequence[str], length: int,
        limit_gb: float, *, step: int = 1, spans: Mapping[str, int] | None = None,
        pictures: EpisodeStore | None = None,
    ):  # fmt: skip
        """Windows of `length` frames, each `step` after the one before; of arrays in `spans` only so many, the last.

        `pictures` is where frames are read from that the store, made of them, has not; ValueError where the two differ.
        """
        elsewhere = {"frames"} if pictures is not None and not store.has("frames") else set()
        missing = [name for name in reads if not (store.has(name) or name in elsewhere)]
        if missing:
            raise ValueError(
                f"{store.path} has no {missing[0]}, which the policy reads; see policy_reads in params.yaml"
            )
        self.banks = [
            _pictures(pictures, store, split, limit_gb)
            if name in elsewhere
            else FrameBank(store, split, name, limit_gb)
            for name in reads
        ]
        self.lengths = self.banks[0].lengths  # of the episodes that the windows end in, in frames
        if any(bank.lengths != self.lengths for bank in self.banks):
            raise ValueError(f"{store.path} is not made of the frames in {pictures.path}; run dvc repro")
        self.rows, self._spans = window_indices(self.lengths, length, step), spans or {}
        self.fps = store.fps
        held, _ = store.concatenated("actions", split)
        self.actions = torch.from_numpy(held[:, action_columns(store, actions)]).bool()

    def __len__(self) -> int:
        return len(self.rows)

    def labelled(self, samples: np.ndarray, actions: np.ndarray) -> "Windows":
        """The windows `samples` [M] alone, with other labels [M, A] in place of the recorded keys: bool, or shares."""
        if len(samples) != len(actions):
            raise ValueError(f"{len(samples)} windows need as many rows of labels, found {len(actions)}")
        chosen = copy.copy(self)
        chosen.rows, chosen.actions = self.rows[samples], torch.from_numpy(np.asarray(actions))
        chosen.lengths = [1] * len(samples)  # each stands alone
        return chosen

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{array: shape of one frame's row}"""
        return {bank.array: bank.shape for bank in self.banks}

    def take(self, samples: np.ndarray) -> list[torch.Tensor]:
        """[B, T, *shape] of windows [B], for each array that is read."""
        rows = self.rows[samples]
        spans = (self._spans.get(bank.array, rows.shape[1]) for bank in self.banks)
        return [torch.from_numpy(bank.take(rows[:, -span:])) for bank, span in zip(self.banks, spans, strict=True)]

    def logits(self, policy: nn.Module, device: torch.device) -> torch.Tensor:
        """What the policy says of all windows in order, on the CPU: logits of actions [N, A] or combinations [N, K]."""
        parts = np.split(np.arange(len(self)), range(EVALUATION_BATCH, len(self), EVALUATION_BATCH))
        said = torch.cat(list(in_threads(partial(self._logits, policy, device), parts)))
        return said if policy.chunk == 1 else overlapped(said, policy.chunk, self.lengths)

    @torch.no_grad()
    def _logits(self, policy: nn.Module, device: torch.device, part: np.ndarray) -> torch.Tensor:
        return policy(*(values.to(device) for values in self.take(part))).float().cpu()


def windows_of(
    policy: Policy | Ensemble, split: str, params: Params, stores: tuple[EpisodeStore, EpisodeStore]
) -> Windows:  # fmt: skip
    """What a policy is given of a split; `stores` as `registry.stores_read` opens them."""
    store, pictures = stores
    return Windows(
        store, split, params.actions, policy.reads, policy.window, params.training.frames_in_ram_gb,
        step=policy.step, spans=policy.spans, pictures=pictures,
    )  # fmt: skip


def _pictures(pictures: EpisodeStore, store: EpisodeStore, split: str, limit_gb: float) -> FrameBank | MirroredBank:
    """The frames of a split of `store`, which another store holds: those of mirrored episodes are flipped."""
    mirrored = any(episode.split == MIRRORED for episode in store.episodes(split))
    bank = FrameBank(pictures, "train" if split == LEARNED else split, "frames", limit_gb)
    return MirroredBank(bank) if mirrored else bank


class CloningTask:
    """Learn which actions the player holds in the last frame of each window.

    The best weights are those with the highest mean average precision on val. Thresholds and calibration
    are fitted afterwards and undo any shift and stretch of the logits, so the choice should not depend
    on those either; the validation loss does, and mostly on the frequent actions.
    """

    monitor = "ap"
    maximise = True

    def __init__(
        self, model, train: Windows, val: Windows, *, loss, weights: torch.Tensor, device, seed: int,
        augmented: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None, choice_loss=None,
    ):  # fmt: skip
        """`augmented` turns the frames [B, T, C, H, W] and actions [B, A] of a batch into others that fit as well.

        `choice_loss` in place of `loss` is that of the present keys, where the policy decides between combinations.
        """
        self.model, self.train, self.val, self._augmented = model, train, val, augmented
        self._loss, self._weights, self._device, self._seed = loss, weights, device, seed
        self._choice_loss = choice_loss or loss
        self._targets = now_and_ahead(train.actions, train.lengths, model.ahead)

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(len(self.train))

    def loss(self, model, samples):
        inputs, targets = self.train.take(samples), self._targets[samples]
        if self._augmented is not None:
            at = list(self.train.shapes).index("frames")
            inputs[at], targets = self._augmented(inputs[at], targets)
        inputs = [values.to(self._device) for values in inputs]
        targets, weights = targets.to(self._device), self._weights[samples].to(self._device)
        logits = model(*inputs)  # [B, A * moments], or [members, ...] of an ensemble in training
        targets, chunk = targets.expand(*logits.shape[:-1], -1), self.model.chunk
        said, held = self.model.choices * chunk, self.train.actions.shape[1] * chunk  # what is played
        loss = self._choice_loss(logits[..., :said], targets[..., :held], weights=weights.repeat(1, chunk))
        if logits.shape[-1] > said:
            loss = loss + self._loss(logits[..., said:], targets[..., held:])
        return loss, {}

    def validate(self, model) -> dict[str, float]:
        logits, truth = self.val.logits(model, self._device), self.val.actions
        return {
            "ap": mean_average_precision(truth.numpy(), of_keys(logits.numpy(), self.model.combinations)),
            "loss": self._choice_loss(logits, truth).item(),
        }


def overlapped(said: Tensor, chunk: int, lengths: Sequence[int]) -> Tensor:
    """The mean of all that was said of each frame: [N, A * chunk], of a frame and those after it -> [N, A].

    The frames of episodes with these `lengths` lie end to end; at the start of one less was said of a frame.
    """
    by_moment = said.unflatten(1, (chunk, -1))
    within = torch.cat([torch.arange(length) for length in lengths])
    total, count = torch.zeros_like(by_moment[:, 0]), torch.zeros(len(said), 1)
    for later in range(chunk):
        known = within >= later
        total[known] += by_moment[torch.nonzero(known)[:, 0] - later, later]
        count[known] += 1
    return total / count


def now_and_ahead(actions: Tensor, lengths: Sequence[int], ahead: Sequence[int]) -> Tensor:
    """The keys [N, A] of the frames of episodes with these `lengths`, and those so many frames later: [N, A * moments].

    Beyond the end of an episode its last frame counts.
    """
    last = np.repeat(np.cumsum(lengths) - 1, lengths)
    rows = [np.minimum(np.arange(len(last)) + later, last) for later in (0, *ahead)]
    return torch.cat([actions[row] for row in rows], dim=1)


class FewLabelsTask(CloningTask):
    """Cloning stopped by the loss: in a fold of a few labels an action may have no example, and no precision then."""

    monitor = "loss"
    maximise = False


class CodeTask:
    """Learn the codes int64 [N, O] from the last frame of each window on; -1 where there is none."""

    monitor = "cross_entropy"
    maximise = False

    def __init__(self, model, windows: dict[str, Windows], codes: dict[str, np.ndarray], *, count: int, device, seed):
        self.model, self._windows, self._count = model, windows, count
        self._codes = {split: torch.from_numpy(np.asarray(found, np.int64)) for split, found in codes.items()}
        self._device, self._seed = device, seed

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(len(self._windows["train"]))

    def loss(self, model, samples):
        logits = model(*(values.to(self._device) for values in self._windows["train"].take(samples)))
        return self._cross_entropy(logits, self._codes["train"][samples].to(self._device)), {}

    def validate(self, model) -> dict[str, float]:
        logits = self._windows["val"].logits(model, self._device)
        return {"cross_entropy": self._cross_entropy(logits, self._codes["val"]).item()}

    def _cross_entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        by_moment = logits.float().reshape(-1, self._count)
        return functional.cross_entropy(by_moment, codes.flatten(), ignore_index=NO_CODE)


def mean_average_precision(truth: np.ndarray, logits: np.ndarray) -> float:
    """Mean over the actions that occur in truth bool [N, A]; 0 when none does."""
    occurring = np.flatnonzero(truth.any(axis=0))
    return float(np.mean([average_precision_score(truth[:, a], logits[:, a]) for a in occurring] or [0.0]))


def window_weights(
    windows: Windows, rare: list[int], rare_factor: float, *, by_class: bool, change_weight: float, change_frames: int
) -> torch.Tensor:
    """The weights [N, A] or [N, 1] of the loss terms of train windows, of mean 1, from their actions alone."""
    weights = rare_window_weights(windows.actions, rare, rare_factor)
    weights = weights * key_change_weights(windows.actions, windows.lengths, change_frames, change_weight)
    weights = (weights / weights.mean())[:, None]
    return weights * inverse_share_weights(windows.actions) if by_class else weights
