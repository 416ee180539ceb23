"""What a score is worth: predictors that see no picture, evaluated exactly like the model.

majority        per action the state that is more common in training, always
always_on       every key down, always
matched_random  keys that switch at random, with training's share of active frames and mean hold
iid_random      keys drawn anew in every frame with training's share
repeat_last     what the player really did one frame before: not playable, because a running agent
                has no player to copy from. It shows how far a metric is flattered by slow keys.

The random ones are drawn several times and their counts averaged. Their probability is training's
share in every frame, so is their score for average precision.
"""

from dataclasses import dataclass

import numpy as np

DRAWS = 10


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


def majority(known: PressStatistics, frames: int) -> np.ndarray:
    """bool [frames, A]"""
    return np.tile(known.share > 0.5, (frames, 1))


def always_on(known: PressStatistics, frames: int) -> np.ndarray:
    """bool [frames, A]"""
    return np.ones((frames, len(known.share)), dtype=bool)


def iid_random(known: PressStatistics, frames: int, *, seed: int, draws: int = DRAWS) -> np.ndarray:
    """bool [draws, frames, A]"""
    return np.random.default_rng(seed).random((draws, frames, len(known.share))) < known.share


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


def repeat_last(truth: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """The player's actions one frame before, nothing in an episode's first frame; truth [N, A] -> bool [N, A]."""
    repeated = np.zeros(truth.shape, dtype=bool)
    repeated[1:] = truth[:-1]
    repeated[1:][episode[1:] != episode[:-1]] = False
    return repeated


def baseline_predictors(
    known: PressStatistics, truth: np.ndarray, episode: np.ndarray, *, seed: int
) -> tuple[Predictor, ...]:
    """All baselines on a split: truth 0/1 [N, A], episode int64 [N]; `known` comes from training."""
    frames = len(truth)
    share = np.tile(known.share, (frames, 1))
    last = repeat_last(truth, episode)

    def playable(name: str, pressed: np.ndarray, score: np.ndarray) -> Predictor:
        return Predictor(name, pressed, score, playable=True, baseline=True)

    return (
        playable("majority", majority(known, frames)[None], share),
        playable("always_on", always_on(known, frames)[None], share),
        playable("matched_random", matched_random(known, episode, seed=seed), share),
        playable("iid_random", iid_random(known, frames, seed=seed + 1), share),
        Predictor("repeat_last", last[None], last.astype(np.float64), playable=False, baseline=True),
    )
