"""What is true of transitions beside their pictures, and what codes do: how far they move things, with which events.

The truth comes from the keys and the state rows of the recordings or, for the shift of the whole picture, from the
pictures. Nothing here is seen in training.

Conventions: N transitions, K codes; codes int64 [N], or [N, n] with n a transition; a state column is float [N] before
and after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stages.episodes.store import EpisodeStore, action_columns
from stages.evaluation.metrics import ratio
from stages.latent_actions.measures import key_classes, occurrences
from stages.latent_actions.transitions import Transitions, batches
from stages.models.block_matching import BlockMatching, matched

EventRules = Mapping[str, tuple[str, str]]  # an event's name to (state column, how it changes)
IMAGE_SHIFT = "image_shift_px"  # the effect that is read from the pictures
SHIFT_PX = 24  # the farthest that a picture is looked for
ROUNDING = 1e-9  # a variance of less than this part of the mean square is none
COMMON = 0.01  # codes of a smaller share are not shown as the code of an event
FULL_TURN = 360.0  # of columns that end in _deg
States = tuple[dict, dict, dict]  # columns float [N] by name, before, at and after each transition's current frame


@torch.inference_mode()
def image_shift_px(current: np.ndarray, following: np.ndarray) -> np.ndarray:
    """How far the whole picture went to the right, float64 [N] px in steps of 2, of frames uint8 [N, C, H, W].

    The displacement of up to SHIFT_PX that the most of the picture agrees with, by block matching: things that stay
    where they are on the screen (a weapon, a score) are outvoted.
    """
    matching = BlockMatching((SHIFT_PX, 0))
    frames = (torch.from_numpy(np.ascontiguousarray(images)).float() / 255 for images in (current, following))
    agreed = matched(matching(*frames)).mean(dim=(2, 3))
    return -matching.displacements[agreed.argmax(dim=1), 0].double().numpy()


def effect_rows(codes: np.ndarray, effect: np.ndarray, count: int) -> list[dict]:
    """A row a code that occurs: its share, and mean, spread and quartiles of what moved; NaN is left out."""
    known = np.isfinite(effect)
    rows = []
    for code in range(count):
        own = effect[known & (codes == code)]
        if len(own):
            low, middle, high = np.percentile(own, (25, 50, 75))
            rows.append({
                "code": code, "share": float((codes == code).mean()), "mean": float(own.mean()),
                "spread": float(own.std()), "quartile_low": low, "median": middle, "quartile_high": high,
            })  # fmt: skip
    return rows


def effect_moments(codes: np.ndarray, effect: np.ndarray, count: int) -> np.ndarray:
    """What `consistency` is computed from, float64 [N, 2 * K + 1]: by code that it occurs and what it moved, and the
    square of that; zeros where the effect is NaN."""
    known = np.isfinite(effect)
    occurs, moved = occurrences(codes, count) * known[:, None], np.where(known, effect, 0.0)[:, None]
    return np.concatenate([occurs, occurs * moved, moved**2], axis=1)


def consistency(sums: np.ndarray) -> np.ndarray:
    """The share of the effect's variance that the codes explain (eta squared): 1 when a code always does the same.

    sums of `effect_moments` [..., 2 * K + 1] -> [...]; NaN when nothing moves, or everything by the same.
    """
    sizes, moved = np.moveaxis(sums[..., :-1].reshape(*sums.shape[:-1], 2, -1), -2, 0)
    squares = sums[..., -1]
    within = squares - np.nan_to_num(ratio(moved**2, sizes)).sum(axis=-1)
    total = squares - ratio(moved.sum(axis=-1) ** 2, sizes.sum(axis=-1))
    return 1 - ratio(within, np.where(total > ROUNDING * squares, total, 0.0))


def events_of(rules: EventRules, before: Mapping, current: Mapping, following: Mapping) -> dict[str, np.ndarray]:
    """What happened in each transition, bool [N] by the rules' names; a rule whose state column [N] lacks is left out.

    A column "falls", "rises" or "moves" (by 1 at least) from the current frame to the following one, or "turns" there:
    goes back where it came from. NaN does nothing.
    """
    found = {}
    for name, (column, change) in rules.items():
        if column not in current:
            continue
        step = following[column] - current[column]
        if change == "turns":
            found[name] = (current[column] - before[column]) * step < 0
        else:
            found[name] = {"falls": step < 0, "rises": step > 0, "moves": np.abs(step) >= 1}[change]
    return found


def codes_of_events(codes: np.ndarray, events: Mapping[str, np.ndarray], count: int) -> dict[str, int | None]:
    """The code that goes with each event most (by lift, among codes of at least 1 %); None for one that never happens.

    Chosen on one split, for `event_rows` of another: the best of many codes always fits its own split.
    """
    sizes = np.bincount(codes, minlength=count)
    common = sizes >= max(1, COMMON * len(codes))
    chosen: dict[str, int | None] = {}
    for name, happens in events.items():
        held = np.bincount(codes[happens], minlength=count)
        shares = np.where(common, held / np.maximum(sizes, 1), 0.0)
        chosen[name] = int(shares.argmax()) if shares.any() else None
    return chosen


def event_rows(codes: np.ndarray, events: Mapping[str, np.ndarray], chosen: Mapping[str, int | None]) -> list[dict]:
    """A row an event: how often, and how it goes with the code that `codes_of_events` chose on another split.

    Lift: how many times as frequent the event is with this code as in all; `caught`: the share of the events that
    have this code; both None for an event without a code, or one that never happens here.
    """
    rows = []
    for name, happens in events.items():
        row = {"event": name, "times": int(happens.sum()), "code": chosen.get(name), "lift": None, "caught": None}
        if happens.any() and row["code"] is not None:
            own = codes == row["code"]
            row["caught"] = float(own[happens].mean())
            row["lift"] = float(happens[own].mean() / happens.mean()) if own.any() else 0.0
        rows.append(row)
    return rows


def change_classes(change: np.ndarray, threshold: float) -> np.ndarray:
    """0 where a thing went left (or down) by at least `threshold`, 1 for right, 2 for neither; NaN: neither."""
    return np.select([change <= -threshold, change >= threshold], [0, 1], 2).astype(np.int64)


def codes_of_classes(codes: np.ndarray, classes: np.ndarray, count: int, kinds: int) -> np.ndarray:
    """The code that shows each class best, int64 [kinds]: of those that are not rare the one most often of it."""
    table = np.zeros((kinds, count))
    np.add.at(table, (classes, codes), 1)
    sizes = table.sum(axis=0)
    pure = np.where(sizes >= max(1, COMMON * len(codes)), table / np.maximum(sizes, 1), 0.0)
    return pure.argmax(axis=1)


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
    state = store.concatenated("state", split)[0].astype(np.float64)
    return tuple(dict(zip(store.state_columns, state[found.rows[:, at]].T, strict=True)) for at in (-3, -2, -1))


def effect_known(name: str, store: EpisodeStore) -> str:
    """`name` where the recordings have such a state column, else IMAGE_SHIFT, which every recording has."""
    return name if store.has("state") and name in store.state_columns else IMAGE_SHIFT


def effect_of(name: str, found: Transitions, states: States | None) -> np.ndarray:
    """How far the thing called `name` moved in each transition, float64 [N]: the picture, or a column of the state."""
    if name == IMAGE_SHIFT:
        parts = batches(np.arange(len(found)))
        return np.concatenate([image_shift_px(*found.take(part)[:, -2:].swapaxes(0, 1)) for part in parts])
    change = states[2][name] - states[1][name]
    return (change + FULL_TURN / 2) % FULL_TURN - FULL_TURN / 2 if name.endswith("_deg") else change
