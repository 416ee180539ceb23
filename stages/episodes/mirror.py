"""Games that are the same in a mirror: pictures are flipped, and the actions of each pair swapped.

Recordings say of themselves whether their game is one (`mirror` in the session file, {"LEFT": "RIGHT"}); params may say
otherwise. Only what is learned from is mirrored, never what is judged on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stages.recordings.files import session_path
from stages.recordings.logs import read_metadata

RECORDED, NONE = "recorded", "none"  # what the param may say beside pairs


def declared_mirror(recordings: Path, sessions: Sequence[str]) -> dict[str, str]:
    """The pairs that all sessions declare; none where they differ."""
    found = [read_metadata(session_path(recordings, session, "session"))[0].get("mirror") or {} for session in sessions]
    return dict(found[0]) if found and all(each == found[0] for each in found) else {}


def mirror_pairs(
    wanted: str | Mapping[str, str], declared: Mapping[str, str], actions: Sequence[str]
) -> dict[str, str]:
    """The pairs of actions that swap, of the param `augment.flip` and of what the recordings declare; empty: no mirror.

    ValueError when a pair names an action that is not learned, or an action stands in two pairs.
    """
    if wanted == NONE:
        return {}
    pairs = {a: b for a, b in declared.items() if {a, b} <= set(actions)} if wanted == RECORDED else dict(wanted)
    named = [*pairs, *pairs.values()]
    for action in named:
        if action not in actions:
            raise ValueError(f"augment.flip names {action!r}, which is not among actions {list(actions)}")
        if named.count(action) > 1:
            raise ValueError(f"augment.flip names {action} twice; {{LEFT: RIGHT}} swaps both ways")
    return pairs


def mirrored_columns(actions: Sequence[str], pairs: Mapping[str, str]) -> np.ndarray:
    """int64 [A]: the column that each action is read from in a mirror."""
    both = dict(pairs) | {b: a for a, b in pairs.items()}
    return np.array([list(actions).index(both.get(action, action)) for action in actions], np.int64)


def in_mirror(
    frames: np.ndarray, arrays: Mapping[str, np.ndarray], columns: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An episode's frames [T, C, H, W] and other arrays; a state is NaN: nobody says what a mirror does to it."""
    seen = dict(arrays)
    if "actions" in seen:
        seen["actions"] = np.ascontiguousarray(seen["actions"][:, columns])
    if "state" in seen:
        seen["state"] = np.full_like(seen["state"], np.nan)
    return np.ascontiguousarray(frames[..., ::-1]), seen
