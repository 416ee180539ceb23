"""What is true of transitions beside their pictures: the keys that were held and the game's own state.

Conventions: N transitions, n codes each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.episodes.store import EpisodeStore, action_columns
from stages.latent_actions.effects import IMAGE_SHIFT, columns_of, image_shift_px
from stages.latent_actions.measures import key_classes
from stages.latent_actions.transitions import Transitions, batches

FULL_TURN = 360.0  # of columns that end in _deg
States = tuple[dict, dict, dict]  # columns float [N] by name, before, at and after each transition's current frame


@dataclass(frozen=True)
class Case:
    """A split to judge: its transitions, their codes int64 [N] or [N, n], the state where the recordings have it, and
    how far the effect went, float [N], where it is needed."""

    split: str
    transitions: Transitions
    codes: np.ndarray
    states: States | None
    effect: np.ndarray | None


def lagged_classes(store: EpisodeStore, found: Transitions, split: str, actions: Sequence[str], lag: int) -> np.ndarray:
    """Which of the actions was held `lag` frames before each transition's current frame, int64 [N].

    A transition has past frames of its own episode, so a lag within them never reaches into another one.
    """
    columns = action_columns(store, actions)
    return key_classes(store.concatenated("actions", split)[0][found.current - lag], columns)


def states_of(store: EpisodeStore, found: Transitions, split: str) -> States | None:
    """State columns before, at and after each transition's current frame, float [N] each by name; None without any."""
    if not store.has("state"):
        return None
    state = store.concatenated("state", split)[0]
    return tuple(columns_of(state[found.rows[:, place]], store.attrs["state_columns"]) for place in (-3, -2, -1))


def effect_known(name: str, store: EpisodeStore) -> str:
    """`name` where the recordings have such a state column, else IMAGE_SHIFT, which every recording has."""
    return name if store.has("state") and name in store.attrs["state_columns"] else IMAGE_SHIFT


def effect_of(name: str, found: Transitions, states: States | None) -> np.ndarray:
    """How far the thing called `name` moved in each transition, float64 [N]: the picture, or a column of the state."""
    if name == IMAGE_SHIFT:
        parts = batches(np.arange(len(found)))
        return np.concatenate([image_shift_px(*found.take(part)[:, -2:].swapaxes(0, 1)) for part in parts])
    change = states[2][name] - states[1][name]
    return (change + FULL_TURN / 2) % FULL_TURN - FULL_TURN / 2 if name.endswith("_deg") else change
