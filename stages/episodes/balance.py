"""What was recorded, counted: how often each action is held, for how long, and with which others.

Conventions: an action is active in a frame when its column is 1; a press is a run of active frames of
one session, or of one episode where only episodes are looked at; its hold lasts from the time of its first
frame to the time of the first frame after it. Arrays: T frames, A actions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.episodes.splits import SPLITS
from stages.episodes.timelines import episode_spans, frame_interval
from stages.recordings.timeline import Timeline

ALL = "all"
WHOLE, EPISODES = "recordings", "episodes"


@dataclass(frozen=True)
class Stretch:
    """A piece of recording looked at in one go: a whole session (episode -1) or one of its episodes.

    split is "" for a session whose episodes lie in several splits or in none. edges are the times of the
    frames and the end of the last one, float64 [T + 1].
    """

    session: str
    episode: int
    split: str
    actions: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class Hold:
    """One press: its action's column, the UTC time of its first frame and how long it is held."""

    session: str
    episode: int
    split: str
    action: int
    start_t: float
    hold_s: float


@dataclass(frozen=True)
class Balance:
    """One action in one split ("all" for every one) of the whole recordings or of their episodes.

    share: active frames by frames, NaN without frames; holds are NaN without presses. typical_hold_s is the
    length of the press that the median active moment belongs to: many short taps beside a few long holds
    pull the median of the presses down, and not this.
    """

    scope: str
    split: str
    action: str
    frames: int
    active_frames: int
    share: float
    presses: int
    mean_hold_s: float
    median_hold_s: float
    typical_hold_s: float


def stretches(
    timelines: Mapping[str, Timeline], splits: Mapping[tuple[str, int], str]
) -> tuple[list[Stretch], list[Stretch]]:
    """The whole sessions, and their episodes; splits are those of the episode store, by (session, episode).

    ValueError when the store knows other episodes than the timelines.
    """
    whole, episodes = [], []
    for session, timeline in timelines.items():
        edges = np.append(timeline.times, timeline.times[-1] + frame_interval(timeline.times))
        found = set()
        for episode, start, stop in episode_spans(timeline.episode):
            if (session, episode) not in splits:
                raise ValueError(
                    f"episode {episode} of {session} is in the timelines, not in the episode store; convert anew"
                )
            split = splits[session, episode]
            found.add(split)
            episodes.append(Stretch(session, episode, split, timeline.actions[start:stop], edges[start : stop + 1]))
        whole.append(Stretch(session, -1, found.pop() if len(found) == 1 else "", timeline.actions, edges))
    if len(episodes) < len(splits):
        raise ValueError(f"the episode store has {len(splits)} episodes, the timelines {len(episodes)}; convert anew")
    return whole, episodes


def runs(active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frame, and first frame after, of every run of ones in active [T]: two int64 [runs]."""
    steps = np.diff(np.concatenate([[0], np.asarray(active, dtype=np.int8), [0]]))
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)


def holds_of(pieces: Iterable[Stretch]) -> list[Hold]:
    """Every press of the pieces, by piece, action and time."""
    return [
        Hold(piece.session, piece.episode, piece.split, action, start_t, end_t - start_t)
        for piece in pieces
        for action, active in enumerate(piece.actions.T)
        for start_t, end_t in zip(*(piece.edges[frames].tolist() for frames in runs(active)), strict=True)
    ]


def balance_of(pieces: Sequence[Stretch], names: Sequence[str], *, scope: str) -> list[Balance]:
    """The class balance of the pieces, a row for every split (and all of them together) and action."""
    rows = []
    holds = holds_of(pieces)
    for split in (ALL, *SPLITS):
        chosen = [piece.actions for piece in pieces if split in (ALL, piece.split)]
        frames = sum(len(actions) for actions in chosen)
        active = sum((actions.sum(axis=0, dtype=np.int64) for actions in chosen), np.zeros(len(names), np.int64))
        for column, name in enumerate(names):
            lasting = [hold.hold_s for hold in holds if hold.action == column and split in (ALL, hold.split)]
            rows.append(
                Balance(
                    scope=scope,
                    split=split,
                    action=name,
                    frames=frames,
                    active_frames=int(active[column]),
                    share=float(active[column] / frames) if frames else np.nan,
                    presses=len(lasting),
                    mean_hold_s=float(np.mean(lasting)) if lasting else np.nan,
                    median_hold_s=float(np.median(lasting)) if lasting else np.nan,
                    typical_hold_s=typical(np.array(lasting)),
                )
            )
    return rows


def typical(lengths: np.ndarray) -> float:
    """The median of lengths [N] with each weighing as much as it is long; NaN for none."""
    lengths = np.sort(lengths)
    total = np.cumsum(lengths)
    return float(lengths[np.searchsorted(total, total[-1] / 2)]) if len(lengths) else np.nan


def together(pieces: Sequence[Stretch], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames in which two of `count` actions are active at once, int64 [A, A] (the diagonal: the action at all),
    and frames in which exactly n are, int64 [A + 1]."""
    pairs = np.zeros((count, count), np.int64)
    at_once = np.zeros(count + 1, np.int64)
    for piece in pieces:
        actions = piece.actions.astype(np.int64)
        pairs += actions.T @ actions
        at_once += np.bincount(actions.sum(axis=1), minlength=count + 1)
    return pairs, at_once


def kind_of(row: Balance, reflex_hold_s: float) -> str:
    """What an action is by its typical hold: a "state" (long), a "reflex" (short) or "never" pressed."""
    if row.presses == 0:
        return "never"
    return "reflex" if row.typical_hold_s < reflex_hold_s else "state"


def warnings_of(
    rows: Sequence[Balance], episodes: Sequence[Stretch], *, min_presses: int, min_share: float
) -> list[str]:
    """What the recordings are too few for, in words; `rows` are the balance inside episodes."""
    found = []
    by = {(row.split, row.action): row for row in rows}
    for name in dict.fromkeys(row.action for row in rows):
        total = by[ALL, name]
        if total.presses == 0:
            found.append(
                f"{name} is never pressed inside an episode: it cannot be learned; is its key right in params.yaml?"
            )
            continue
        if total.share < min_share:
            found.append(
                f"{name} is held in {total.share:.2%} of the frames: rare; name it in rare_actions, record more"
            )
        elif total.share > 1 - min_share:
            found.append(f"{name} is held in {total.share:.2%} of the frames: always pressing it is nearly right")
        for split in SPLITS:
            presses = by[split, name].presses
            if split == "train" and presses == 0:
                found.append(f"{name} is never pressed in train: it cannot be learned; choose other sessions")
            elif split != "train" and presses < min_presses:
                found.append(f"{name} has {presses} press{'' if presses == 1 else 'es'} in {split}: too few for an F1")
    return found + _split_warnings(episodes)


def _split_warnings(episodes: Sequence[Stretch]) -> list[str]:
    found = []
    for split in SPLITS[1:]:
        if sum(piece.split == split for piece in episodes) == 1:
            found.append(f"{split} is a single episode: no interval can be given for what is measured on it")
    seen: dict[str, set[str]] = {}
    for piece in episodes:
        seen.setdefault(piece.session, set()).add(piece.split)
    shared = [session for session, splits in seen.items() if len(splits) > 1]
    if shared:
        found.append(
            f"the splits share {len(shared)} session{'' if len(shared) == 1 else 's'} (split.unit: episode): "
            f"val and test say less about another day"
        )
    return found
