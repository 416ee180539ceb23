"""zarr stores with episode_N/{frames, actions, state}: frames uint8 [T, 3, H, W] RGB, actions [T, A], state [T, S].

The names of the action columns stand in the attributes of the store, of the episode or of its actions, under one of
NAMES; they are matched by name. zarr formats 2 and 3, any chunks, a folder or a .zip. What lies in the store counts,
not its consolidated metadata, which may be older than its last episodes.
"""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from math import ceil, prod
from pathlib import Path, PurePosixPath

import numpy as np
import zarr

from stages.recordings.actions import ActionVocabulary
from stages.recordings.importers.imported import (
    Episode,
    Imported,
    cut,
    events_of,
    folded,
    matched_actions,
    reading,
    require_zero_or_one,
    session_name,
)

BLOCK = 64  # frames read at once
MARKS = ("zarr.json", ".zgroup", ".zattrs")  # a folder with one of them is a zarr group
NAMES = ("action_keys", "action_names", "actions", "keys")  # what versions call the names of the columns of actions
RATES = ("fps", "frame_rate")
STATE_NAMES = ("state_columns", "state_keys", "state_names")


def episodes_of_zarr(
    source: Path, vocabulary: ActionVocabulary, *, fps: float | None, empty_chunks: bool
) -> list[Episode]:
    """Every episode of the store; ValueError when it is none.

    `empty_chunks`: chunks that are not in the store are all 0, as zarr leaves such out; else they are taken for lost.
    """
    with reading(source):
        path, names = _contents(source)
        store = zarr.storage.ZipStore(source, mode="r") if source.is_file() else source
        root = zarr.open_group(store, mode="r", path=path, use_consolidated=False)
    numbered = sorted((int(found[1]), name) for name in names if (found := re.fullmatch(r"episode_(\d+)", name)))
    if not numbered:
        raise ValueError(f"{source} holds no group episode_0, episode_1, ...; found {cut(names)}")
    return [
        Episode(_session(source, name), partial(_imported, source, root, name, vocabulary, fps, empty_chunks))
        for _, name in numbered
    ]


def _session(source: Path, name: str) -> str:
    return session_name(source.resolve().name.removesuffix(".zip").removesuffix(".zarr"), name)


def _contents(source: Path) -> tuple[str, list[str]]:
    """Where in a .zip the store lies, as many pack its folder, not what is in it; and the names of what it holds."""
    if source.is_dir():
        return "", sorted(path.name for path in source.iterdir() if path.is_dir())
    names = [PurePosixPath(name) for name in zipfile.ZipFile(source).namelist()]
    roots = [name.parent for name in names if name.name in MARKS and "__MACOSX" not in name.parts]
    if not roots:
        raise ValueError("there is no zarr store in it; unpack it and import what it holds")
    root = min(roots, key=lambda path: len(path.parts))
    if beside := sorted({str(other) for other in roots if not other.is_relative_to(root)}, key=len):
        raise ValueError(f"it holds several zarr stores, {root} and {beside[0]}; unpack it and import each")
    inside = {name.relative_to(root).parts[:1] for name in names if name.is_relative_to(root)}
    return "/".join(root.parts), sorted("".join(part) for part in inside)


def _imported(
    source: Path, root, name: str, vocabulary: ActionVocabulary, fps: float | None, empty_chunks: bool
) -> Imported:
    where = f"{source}/{name}"
    with reading(where), warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)  # of files that systems leave in folders
        group = root[name]
        arrays = sorted(group.array_keys()) if isinstance(group, zarr.Group) else []
    missing = {"frames", "actions"} - set(arrays)
    if missing:
        raise ValueError(f"{where} lacks the arrays {sorted(missing)}; it has {cut(arrays)}")
    with reading(where):
        frames, actions = group["frames"], np.asarray(group["actions"])
        attrs = {**root.attrs, **group.attrs, **group["actions"].attrs}
        stored = {each: _chunks_missing(group[each]) for each in ("frames", "actions")}
    rate = _rate(where, fps, attrs)
    names = _names(where, attrs)
    _require_shapes(where, frames, actions, names)
    lost = _lost(attrs, arrays, names, vocabulary)
    for each, absent in stored.items():
        if absent and not empty_chunks:
            raise ValueError(
                f"{where}/{each}: {absent} of its chunks are not in the store and would be read as 0; restore them or, "
                f"if they are all 0 and zarr left them out, give --empty-chunks"
            )
        if absent:
            lost.append(f"{each}: {absent} chunks that are not in the store are taken for 0")
    matched = matched_actions(names, vocabulary, where)
    held = actions[:, list(matched)]
    require_zero_or_one(held, list(matched.values()), f"{where}/actions")
    times = np.arange(len(actions)) / rate
    columns, state = _state(group, attrs, len(actions), where, lost)
    events = events_of(times, held, list(matched.values()), vocabulary.keys, rate)
    return Imported(_session(source, name), times, _pictures(frames, where), events, rate, where, columns, state, lost)


def _rate(where: str, fps: float | None, attrs: Mapping) -> float:
    found = {name: attrs[name] for name in RATES if name in attrs}
    said = fps or next(iter(found.values()), None)
    if fps is None and any(other != said for other in found.values()):
        raise ValueError(f"{where}: its attributes name different frame rates, {cut(found)}; give --fps")
    if said is None:
        raise ValueError(f"{where}: nothing says how many frames a second it has; give --fps")
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said < 1000:
        raise ValueError(f"{where}: its frame rate is {cut(said)!r}, expected frames a second; give --fps")
    return float(said)


def _names(where: str, attrs: Mapping) -> list[str]:
    """The names of the columns of actions, of whichever attribute holds them."""
    found = {name: attrs[name] for name in NAMES if attrs.get(name)}
    lists = {name: said for name, said in found.items() if isinstance(said, list)}
    found = lists or found  # another attribute of that name may mean something else
    if not found:
        raise ValueError(
            f"{where}: no attribute {' or '.join(NAMES)} says which column of actions is which; "
            f"add one: a list of their names"
        )
    for name, said in found.items():
        if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
            raise ValueError(f"{where}: the attribute {name} is {cut(said)!r}, expected a list of names")
    if len(set(map(tuple, found.values()))) > 1:
        raise ValueError(f"{where}: the attributes {list(found)} name different actions, {cut(found)}; keep one")
    return next(iter(found.values()))


def _require_shapes(where: str, frames, actions: np.ndarray, names: list[str]) -> None:
    if frames.ndim != 4 or frames.shape[1] not in (1, 3) or frames.dtype != np.uint8:
        raise ValueError(f"{where}/frames is {frames.dtype} {list(frames.shape)}, expected uint8 [T, 3, H, W]")
    if not frames.shape[0]:
        raise ValueError(f"{where}/frames holds no frame; take this episode out of the store")
    if actions.shape != (frames.shape[0], len(names)) or actions.dtype.kind not in "biuf":
        raise ValueError(
            f"{where}/actions is {actions.dtype} {list(actions.shape)}, expected [{frames.shape[0]}, {len(names)}]: "
            f"a row a frame, a column of 0 and 1 for each of {cut(names)}, no class numbers"
        )


def _chunks_missing(array) -> int:
    """How many chunks (shards, where it has them) are not in the store; zarr reads them as the fill value."""
    files = array.shards or array.chunks
    parts = prod(ceil(size / step) for size, step in zip(array.shape, files, strict=True))
    return parts - array.nchunks_initialized // prod(a // b for a, b in zip(files, array.chunks, strict=True))


def _pictures(frames, where: str) -> Iterator[np.ndarray]:
    for start in range(0, frames.shape[0], BLOCK):
        with reading(f"{where}/frames from {start} on"):
            block = np.asarray(frames[start : start + BLOCK])
        for image in block:
            rgb = np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image
            yield np.ascontiguousarray(rgb[::-1].transpose(1, 2, 0))


def _state(group, attrs: Mapping, length: int, where: str, lost: list[str]):
    """Column names and values of a numeric state [T, S]; (None, None) when there is none that fits."""
    if "state" not in group:
        return None, None
    with reading(f"{where}/state"):
        state = np.asarray(group["state"])
    if state.ndim != 2 or len(state) != length or state.dtype.kind not in "fiub" or not state.shape[1]:
        lost.append(f"state: {state.dtype} {list(state.shape)} is no table of numbers with a row a frame")
        return None, None
    lists = [attrs[key] for key in STATE_NAMES if isinstance(attrs.get(key), list)]
    named = [str(name).strip() for each in lists for name in each]
    fit = len(set(named)) == len(named) == state.shape[1] and not any(re.search(r'^\s*$|[,"\r\n]', n) for n in named)
    if named and not fit:
        lost.append(f"the names of the state's {state.shape[1]} columns, which do not fit: {cut(named)}")
    return tuple(named) if fit else tuple(f"state_{i}" for i in range(state.shape[1])), state.astype(np.float64)


def _lost(attrs: Mapping, arrays: list[str], names: list[str], vocabulary: ActionVocabulary) -> list[str]:
    lost = ["exact pixels: the frames become H.264 video", "the clock: times are counted from 1970 on"]
    ours = {folded(action) for action in vocabulary.keys}
    further = {
        "actions that are not in the key map": [name for name in names if folded(name.strip()) not in ours],
        "arrays": sorted(set(arrays) - {"frames", "actions", "state"}),
        "attributes": sorted(set(attrs) - {*NAMES, *RATES, *STATE_NAMES}),
    }
    return lost + [f"{what}: {cut(found)}" for what, found in further.items() if found]
