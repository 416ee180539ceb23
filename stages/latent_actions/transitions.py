"""The transitions of a split: which frames belong together, and how well each next frame is predicted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.episodes.store import EpisodeStore
from stages.episodes.windows import FrameBank, transition_indices
from stages.evaluation.images import image_sums, moving_pixels
from stages.learning.fast.threads import in_threads

BATCH = 128  # transitions a pass

CodesOf = Callable[[np.ndarray], np.ndarray]  # uint8 [B, P + 2, C, H, W] -> int64 [B] or [B, n]
# uint8 [B, P + 1, C, H, W], codes [B] or [B, n], or None for no code -> [B, C, H, W]
PredictNext = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


@dataclass(frozen=True)
class Transitions:
    """rows int64 [N, P + 2]: frames of the bank (past, current, next); episode int64 [N]: its place in the split."""

    bank: FrameBank
    rows: np.ndarray
    episode: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def too_short(self) -> int:
        """How many episodes of the split have no transition because they have too few frames."""
        return len(self.bank.lengths) - len(np.unique(self.episode))

    @property
    def current(self) -> np.ndarray:
        """The row of each transition's current frame in the split's concatenated arrays, int64 [N]."""
        return self.rows[:, -2]

    def take(self, samples: np.ndarray) -> np.ndarray:
        """Frames uint8 [B, P + 2, C, H, W] of transitions [B]."""
        return self.bank.take(self.rows[samples])


def transitions_of(store: EpisodeStore, split: str, *, past_frames: int, gap: int, limit_gb: float) -> Transitions:
    """All transitions of a split; ValueError when its episodes are too short for even one."""
    bank = FrameBank(store, split, "frames", limit_gb)
    rows = transition_indices(bank.lengths, past_frames, gap)
    if not len(rows):
        raise ValueError(
            f"{store.path}: no episode of split {split} has the {(past_frames + 1) * gap + 1} frames that a transition "
            f"takes (the longest has {max(bank.lengths)}); lower latent_action.past_frames or latent_action.frame_gap"
        )
    ends = np.cumsum(bank.lengths)
    return Transitions(bank, rows, np.searchsorted(ends, rows[:, 0], side="right"))


def codes_in(transitions: Transitions, samples: np.ndarray, codes_of: CodesOf) -> np.ndarray:
    """The codes int64 [M] of transitions `samples` [M]."""
    return np.concatenate(list(in_threads(lambda part: codes_of(transitions.take(part)), batches(samples))))


def prediction_errors(
    transitions: Transitions, samples: np.ndarray, codes: np.ndarray, predict: PredictNext, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Errors float64 [M, ERRORS] of `measures`, and which pairs are identical, bool [M].

    codes int64 [M] or [M, n] of the transitions `samples` [M]. The shuffled codes are a permutation of them. Errors
    are in grey levels, squared or absolute, summed over a frame.
    """
    shuffled = np.random.default_rng(seed).permutation(codes)

    def errors_of(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, other = codes[part], shuffled[part]
        frames = transitions.take(samples[part])
        context, following = frames[:, :-1], frames[:, -1].astype(np.float32)
        guesses = (predict(context, own), context[:, -1], predict(context, other), predict(context, None))
        away = [guess - following for guess in guesses]
        errors = [np.square(each).sum(axis=(1, 2, 3), dtype=np.float64) for each in away]
        errors += [np.abs(each).sum(axis=(1, 2, 3), dtype=np.float64) for each in away[:2]]
        return np.stack(errors, axis=1), (context[:, -1] == frames[:, -1]).all(axis=(1, 2, 3))

    errors, identical = zip(*in_threads(errors_of, batches(np.arange(len(samples)))), strict=True)
    return np.concatenate(errors), np.concatenate(identical)


def picture_sums(
    transitions: Transitions, samples: np.ndarray, codes: np.ndarray, predict: PredictNext, *,
    threshold: float, seed: int,
) -> np.ndarray:  # fmt: skip
    """What the eye sees of transitions `samples` [M]: float64 [M, PICTURE_SUMS]; codes int64 [N] of all transitions.

    A pixel moves that changes by `threshold` grey levels. Pairs of identical frames have sums of 0: a copy predicts
    them for nothing. The shuffled codes are a permutation of those of the samples.
    """
    shuffled = np.random.default_rng(seed).permutation(codes[samples])

    def sums_of(places: np.ndarray) -> np.ndarray:
        frames, own_codes = transitions.take(samples[places]), codes[samples[places]]
        current, following = frames[:, -2], frames[:, -1]
        moving = moving_pixels(following, current, threshold)
        own, copy, other, zeroed = (
            image_sums(following, picture, moving)
            for picture in (
                predicted(frames, own_codes), current, predicted(frames, shuffled[places]), predicted(frames, None),
            )
        )  # fmt: skip
        columns = [each["moving_error"] for each in (own, copy, other, zeroed)]
        columns += [own["ssim"], copy["ssim"], own["ssim_pixels"]]
        return np.stack(columns, axis=1) * (current != following).any(axis=(1, 2, 3))[:, None]

    def predicted(frames: np.ndarray, by: np.ndarray | None) -> np.ndarray:
        return predict(frames[:, :-1], by).round().astype(np.uint8)

    return np.concatenate(list(in_threads(sums_of, batches(np.arange(len(samples))))))


def batches(values: np.ndarray) -> list[np.ndarray]:
    """Values [M] in parts of BATCH."""
    return np.split(values, range(BATCH, len(values), BATCH))


def spread_samples(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` numbers, evenly spread: int64 [M]."""
    return np.arange(count) if count <= most else np.arange(most) * count // most
