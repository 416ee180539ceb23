"""zarr stores with episode_N/{frames, actions, state}: frames uint8 [T, 3, H, W] RGB, actions [T, A], state [T, S].

The names of the action columns stand in `action_keys` in the attributes of the store or of the episode; they differ
from version to version and are matched by name. zarr formats 2 and 3, any chunks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import zarr

from stages.recordings.importers.imported import Imported, events_of, matched_actions

BLOCK = 64  # frames read at once


def imported_zarr(source: Path, keys: Mapping[str, Sequence[str]], *, fps: float | None) -> list[Imported]:
    """Every episode of the store; ValueError when it is none, or names no actions or no frame rate."""
    try:
        root = zarr.open_group(source, mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{source} is no zarr store: {error}") from None
    numbered = {int(found[1]): name for name in root.group_keys() if (found := re.fullmatch(r"episode_(\d+)", name))}
    if not numbered:
        raise ValueError(f"{source} holds no group episode_0, episode_1, ...; found {sorted(root.group_keys())}")
    return [_imported(source, root, numbered[number], keys, fps) for number in sorted(numbered)]


def _imported(source: Path, root, name: str, keys: Mapping, fps: float | None) -> Imported:
    group, where = root[name], f"{source}/{name}"
    missing = {"frames", "actions"} - set(group.array_keys())
    if missing:
        raise ValueError(f"{where} lacks the arrays {sorted(missing)}; it has {sorted(group.array_keys())}")
    attrs = {**root.attrs, **group.attrs}
    rate = fps or attrs.get("fps")
    if not rate:
        raise ValueError(f"{where}: nothing says how many frames a second it has; give --fps")
    frames, actions = group["frames"], np.asarray(group["actions"])
    _require_shapes(where, frames, actions, attrs)
    matched = matched_actions(attrs["action_keys"], keys)
    names = [matched[column] for column in sorted(matched)]
    held = actions[:, sorted(matched)].astype(bool)
    times = np.arange(len(actions)) / float(rate)
    lost = _lost(attrs, group, matched)
    columns, state = _state(group, attrs, len(actions), where, lost)
    events = events_of(times, held, names, keys, float(rate))
    return Imported(f"{source.stem}_{name}", times, _pictures(frames), events, float(rate), where, columns, state, lost)


def _require_shapes(where: str, frames, actions: np.ndarray, attrs: Mapping) -> None:
    if frames.ndim != 4 or frames.shape[1] not in (1, 3) or frames.dtype != np.uint8:
        raise ValueError(f"{where}/frames is {frames.dtype} {list(frames.shape)}, expected uint8 [T, 3, H, W]")
    if not frames.shape[0]:
        raise ValueError(f"{where}/frames holds no frame; take this episode out of the store")
    if not attrs.get("action_keys"):
        raise ValueError(f"{where}: no attribute action_keys says which column of actions is which")
    if actions.shape != (frames.shape[0], len(attrs["action_keys"])):
        raise ValueError(
            f"{where}/actions is {list(actions.shape)}, expected [{frames.shape[0]}, {len(attrs['action_keys'])}]: "
            f"a row a frame, a column for each of {list(attrs['action_keys'])}"
        )


def _pictures(frames) -> Iterator[np.ndarray]:
    for start in range(0, frames.shape[0], BLOCK):
        for image in np.asarray(frames[start : start + BLOCK]):
            rgb = np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image
            yield np.ascontiguousarray(rgb[::-1].transpose(1, 2, 0))


def _state(group, attrs: Mapping, length: int, where: str, lost: list[str]):
    """Column names and values of a numeric state [T, S]; (None, None) when there is none that fits."""
    if "state" not in set(group.array_keys()):
        return None, None
    state = np.asarray(group["state"])
    if state.ndim != 2 or len(state) != length or state.dtype.kind not in "fiub":
        lost.append(f"state: {state.dtype} {list(state.shape)} is no table of numbers with a row a frame")
        return None, None
    named = attrs.get("state_columns") or attrs.get("state_keys") or []
    if len(named) != state.shape[1]:
        named = [f"state_{i}" for i in range(state.shape[1])]
    return tuple(map(str, named)), state.astype(np.float64)


def _lost(attrs: Mapping, group, matched: Mapping[int, str]) -> list[str]:
    left = {
        "actions that are not in the key map": [n for i, n in enumerate(attrs["action_keys"]) if i not in matched],
        "arrays": sorted(set(group.array_keys()) - {"frames", "actions", "state"}),
        "attributes": sorted(set(attrs) - {"action_keys", "fps", "state_columns", "state_keys"}),
    }
    always = ["exact pixels: the frames become H.264 video", "the clock: times are counted from 1970 on"]
    return always + [f"{what}: {names}" for what, names in left.items() if names]
