"""What a score is worth: predictors that see no picture, evaluated exactly like the model.

majority        per action the state that is more common in training, always
always_on       every key down, always
matched_random  keys that switch at random, with training's share of active frames and mean hold
iid_random      keys drawn anew in every frame with training's share
metronome       every key tapped once in n frames; n and the first tap chosen on training, a key each
blind_...       of the policies that play_baselines lets play (square waves, taps, ...) the one that does best on
                training: at onset F1, at frame F1, at frames with all keys right
replay          the keys of training's episodes, played again
repeat_last     what the player really did one frame before: not playable, because a running agent
                has no player to copy from. It shows how far a metric is flattered by slow keys.

The random ones are drawn several times and their counts averaged. Training's share in every frame is the
score for average precision of all that are blind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluation import metrics
from stages.evaluation.blind import Metronome, Replay, RowsOf, rows_on
from stages.evaluation.onsets import onset_counts

DRAWS = 10
LONGEST = 40  # frames between the taps of a metronome, at most


@dataclass(frozen=True)
class Predictor:
    """What is evaluated: pressed bool [draws, N, A], score float [N, A] for average precision."""

    name: str
    pressed: np.ndarray
    score: np.ndarray
    playable: bool
    baseline: bool


@dataclass(frozen=True)
class PressStatistics:
    """What a blind player may know from training, each float64 [A]: share active, mean hold in frames."""

    share: np.ndarray
    hold_frames: np.ndarray


def press_statistics(actions: np.ndarray, episode: np.ndarray) -> PressStatistics:
    """The share and mean hold of each action; actions 0/1 [N, A], episode int64 [N]. Never active: hold 0."""
    active = np.asarray(actions, dtype=bool)
    new_episode = np.r_[True, episode[1:] != episode[:-1]][:, None]
    before = np.vstack([np.zeros((1, active.shape[1]), dtype=bool), active[:-1]])
    presses = (active & (~before | new_episode)).sum(axis=0)
    return PressStatistics(share=active.mean(axis=0), hold_frames=active.sum(axis=0) / np.maximum(presses, 1))


def matched_random(known: PressStatistics, episode: np.ndarray, *, seed: int, draws: int = DRAWS) -> np.ndarray:
    """A two-state Markov chain an action, bool [draws, N, A]; each episode begins in the stationary state.

    A key is released with probability 1/hold and pressed with share / (hold (1 - share)): the one
    gives the mean hold, both together the share. Where the share is so high that this exceeds 1
    (gaps shorter than a frame), the share is kept and holds get longer.
    """
    share, hold = known.share, np.maximum(known.hold_frames, 1.0)
    release = np.minimum(1 / hold, (1 - share) / np.maximum(share, 1e-12))
    press = np.where(share < 1, release * share / np.maximum(1 - share, 1e-12), 1.0)
    uniform = np.random.default_rng(seed).random((draws, len(episode), len(share)))
    active = np.empty(uniform.shape, dtype=bool)
    new_episode = np.r_[True, episode[1:] != episode[:-1]]
    for frame, fresh in enumerate(new_episode.tolist()):
        chance = share if fresh else np.where(active[:, frame - 1], 1 - release, press)
        active[:, frame] = uniform[:, frame] < chance
    return active


@dataclass(frozen=True)
class MatchedRandom:
    """matched_random as a player: keys pressed as often and held as long as in training."""

    known: PressStatistics

    def __call__(self, seed: int, frames: int) -> np.ndarray:
        return matched_random(self.known, np.zeros(frames, np.int64), seed=seed, draws=1)[0].astype(np.uint8)

    def described(self, names: Sequence[str]) -> str:
        return "random keys, as often and as long as the player's"


@dataclass(frozen=True)
class PlayedSplit:
    """What the player did: truth bool [N, A], times float64 [N] in s, episode int64 [N] = 0..F-1 ascending."""

    actions: tuple[str, ...]
    truth: np.ndarray
    times: np.ndarray
    episode: np.ndarray

    @property
    def episodes(self) -> int:
        return int(self.episode[-1]) + 1

    @property
    def frame_s(self) -> float:
        """The usual distance of two frames of an episode in seconds, to a microsecond; 0 when no episode has two."""
        steps = np.diff(self.times)[np.diff(self.episode) == 0]
        return round(float(np.median(steps)), 6) if len(steps) else 0.0

    def by_episode(self) -> tuple[np.ndarray, ...]:
        """The keys of each episode, uint8 [T, A]."""
        return tuple(np.split(self.truth.astype(np.uint8), np.flatnonzero(np.diff(self.episode)) + 1))

    def onset_f1(self, action: int, pressed: np.ndarray, tolerance_s: float) -> float:
        """Of one action's keys bool [N]; 0 where nobody presses."""
        columns = self.truth[:, [action]], pressed[:, None]
        counts = onset_counts(*columns, self.times, self.episode, tolerance_s=tolerance_s)
        sums = (counts[name].sum() for name in ("matched", "predicted_onsets", "onsets"))
        return float(np.nan_to_num(metrics.f1(*sums)))


def best_metronome(train: PlayedSplit, tolerance_s: float) -> Metronome:
    """For each action the taps with the best onset F1 on training.

    First how often, beginning with the episode, then from which frame on: all pairs would take twenty times as long.
    """
    chosen = []
    for action in range(train.truth.shape[1]):

        def score(beat: tuple[int, int], action: int = action) -> float:
            return train.onset_f1(action, rows_on(Metronome(beat[:1], beat[1:]), train.episode)[:, 0], tolerance_s)

        period, _ = max(((period, period - 1) for period in range(2, LONGEST + 1)), key=score)
        best = max(((period, phase) for phase in range(period)), key=score)
        chosen.append(best if score(best) > 0 else (0, 0))
    return Metronome(*zip(*chosen, strict=True))


def blind_policies(train: PlayedSplit, grid: Sequence[RowsOf], *, tolerance_s: float) -> dict[str, RowsOf]:
    """The blind players that training decides for, by the name of the predictor that they become."""
    known: dict[tuple[int, bytes], float] = {}  # many policies share a column
    scores = {"blind_onsets": [], "blind_frames": [], "blind_exact": []}
    for policy in grid:
        rows = rows_on(policy, train.episode)
        onset = []
        for action, column in enumerate(rows.T):
            key = (action, np.packbits(column).tobytes())
            if key not in known:
                known[key] = train.onset_f1(action, column, tolerance_s)
            onset.append(known[key])
        hits, pressed, held = (part.sum(axis=0) for part in (rows & train.truth, rows, train.truth))
        scores["blind_onsets"].append(np.mean(onset))
        scores["blind_frames"].append(np.nan_to_num(metrics.f1(hits, pressed, held)).mean())
        scores["blind_exact"].append((rows == train.truth).all(axis=1).mean())
    best = {name: grid[int(np.argmax(of))] for name, of in scores.items()}
    return {"metronome": best_metronome(train, tolerance_s), **best, "replay": Replay(train.by_episode())}


def repeat_last(truth: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """The player's actions one frame before, nothing in an episode's first frame; truth [N, A] -> bool [N, A]."""
    repeated = np.zeros(truth.shape, dtype=bool)
    repeated[1:] = truth[:-1]
    repeated[1:][episode[1:] != episode[:-1]] = False
    return repeated


def baseline_predictors(
    known: PressStatistics, policies: Mapping[str, RowsOf], truth: np.ndarray, episode: np.ndarray, *, seed: int
) -> tuple[Predictor, ...]:
    """All baselines on a split: truth 0/1 [N, A], episode int64 [N]; `known` and `policies` come from training."""
    share = np.tile(known.share, (len(truth), 1))
    last = repeat_last(truth, episode)

    def playable(name: str, pressed: np.ndarray, score: np.ndarray) -> Predictor:
        return Predictor(name, pressed, score, playable=True, baseline=True)

    return (
        playable("majority", share[None] > 0.5, share),
        playable("always_on", np.ones((1, *truth.shape), dtype=bool), share),
        playable("matched_random", matched_random(known, episode, seed=seed), share),
        playable("iid_random", np.random.default_rng(seed + 1).random((DRAWS, *truth.shape)) < known.share, share),
        *(playable(name, rows_on(policy, episode)[None], share) for name, policy in policies.items()),
        Predictor("repeat_last", last[None], last.astype(np.float64), playable=False, baseline=True),
    )
