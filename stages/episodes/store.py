"""The episode store: zarr v3, one group an episode.

Layout: `episode_00000` ... hold the arrays `frames` uint8 [T, C, H, W], `actions` uint8 [T, A],
`t` float64 [T] (UTC seconds) and where known `state` float32 [T, S]; a latent store holds `latents`
float32 [T, ...] instead of frames. Chunks of 64 frames lie in shards of 1024: few files, and windows
still read little. The root attribute `schema` is written last and the store renamed last, so that a
killed writer leaves nothing that could be taken for a whole store.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from stages.episodes.preprocess import shrink_for, shrunk, shrunk_size
from stages.episodes.splits import SPLITS

SCHEMA = "understudy-episodes/2"
CHUNK = 64
SHARD = 1024
MIRRORED = "mirrored"  # the split of train's episodes as in a mirror, see mirror.py
FRAMES = "frames"
LEARNED = "learned"  # train and mirrored
ROOT_ATTRS = ("action_names", "state_columns", "fps", "recordings")


@dataclass(frozen=True)
class EpisodeInfo:
    """One episode: `episode` counts from 0 within its session; score and outcome where the game told them."""

    name: str
    session: str
    episode: int
    split: str
    length: int
    score: float | None
    outcome: str | None


def episode_name(number: int) -> str:
    """The name of the number-th episode; names sort in the order of their numbers."""
    return f"episode_{number:05d}"


class StoreWriter(AbstractContextManager):
    """Builds `<path>.partial` and renames it on close; as a context manager it removes it on an error.

    attrs: `action_names` (action names in column order), `state_columns`, `fps`, `recordings`, and for
    frames `width`, `height`, `color`.
    """

    def __init__(self, path: str | Path, *, attrs: Mapping):
        missing = [key for key in ROOT_ATTRS if key not in attrs]
        if missing:
            raise ValueError(f"a store needs the attributes {', '.join(missing)} as well")
        self.path = Path(path)
        self.partial = partial_path(path)
        self._attrs = dict(attrs)
        _remove(self.partial)
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        zarr.create_group(self.partial, zarr_format=3)

    def episode(self, info: EpisodeInfo, arrays: Mapping[str, np.ndarray]) -> None:
        """Write one episode; every array has info.length rows."""
        group = create_episode(self.partial, info, {name: (a.shape, a.dtype) for name, a in arrays.items()})
        for name, values in arrays.items():
            write_rows(group[name], values)

    def close(self) -> None:
        """Mark the store as whole and put it in its place."""
        root = zarr.open_group(self.partial, mode="r+")
        root.update_attributes({**self._attrs, "schema": SCHEMA})
        _remove(self.path)
        self.partial.rename(self.path)

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None:
            self.close()
        else:
            shutil.rmtree(self.partial, ignore_errors=True)


def partial_path(path: str | Path) -> Path:
    """Where a store is built before it is renamed to `path`."""
    return Path(path).with_name(Path(path).name + ".partial")


def create_episode(root: Path, info: EpisodeInfo, layout: Mapping[str, tuple[Sequence[int], np.dtype]]) -> zarr.Group:
    """An episode of empty arrays in the store that is being built at `root`.

    layout: shape [T, ...] and dtype of every array. Fill them in blocks that start at multiples of
    SHARD. Several processes may fill different episodes at once.
    """
    for name, (shape, _) in layout.items():
        if shape[0] != info.length:
            raise ValueError(f"{info.name}: {name} has {shape[0]} rows, the episode {info.length} frames")
    attrs = {key: value for key, value in asdict(info).items() if key != "name"}
    group = zarr.open_group(root, mode="r+").create_group(info.name, attributes=attrs)
    for name, (shape, dtype) in layout.items():
        tail = tuple(shape[1:])
        group.create_array(
            name, shape=tuple(shape), dtype=dtype, chunks=(CHUNK, *tail), shards=(SHARD, *tail),
            compressors=ZstdCodec(level=1),
        )  # fmt: skip
    return group


def write_rows(array: zarr.Array, values: np.ndarray) -> None:
    """Fill an array from its first row on, shard by shard."""
    for start in range(0, len(values), SHARD):
        array[start : start + SHARD] = values[start : start + SHARD]


class EpisodeStore:
    """Reads a store; ValueError with what to do when it is missing, half-written or of another schema."""

    def __init__(self, path: str | Path, *, pixels: int | None = None):
        """`pixels`: frames are read at the largest integer fraction of their size that has at most so many."""
        self.path = Path(path)
        if not self.path.exists():
            raise ValueError(f"{self.path} does not exist; run dvc repro, which writes it (stage convert)")
        try:
            self._root = zarr.open_group(self.path, mode="r", zarr_format=3)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"{self.path} is no episode store ({error}); delete it and run dvc repro") from None
        self.attrs = dict(self._root.attrs)
        schema = self.attrs.get("schema")
        if schema is None:
            raise ValueError(f"{self.path} is half-written (it has no schema); delete it and run dvc repro")
        if schema != SCHEMA:
            raise ValueError(f"{self.path} has the schema {schema!r}, expected {SCHEMA!r}; write it anew: dvc repro")
        size = self.attrs.get("height", 1), self.attrs.get("width", 1)
        self._shrink = 1 if pixels is None else shrink_for(size, pixels)
        self._groups = dict(sorted(self._root.groups()))
        self._opened: dict[tuple[str, str], zarr.Array] = {}  # opening one takes as long as reading a window
        self._held: dict[str, bool] = {}  # and looking for one in every episode as long as a second of training
        self._episodes = [EpisodeInfo(name=name, **group.attrs) for name, group in self._groups.items()]

    @property
    def action_names(self) -> tuple[str, ...]:
        """The names of the actions in the order of their columns."""
        return tuple(self.attrs["action_names"])

    @property
    def state_columns(self) -> tuple[str, ...]:
        return tuple(self.attrs["state_columns"])

    @property
    def mirror(self) -> dict[str, str]:
        """The pairs of actions that swap in a mirror, as the recordings declare; empty: none."""
        return dict(self.attrs.get("mirror", {}))

    @property
    def fps(self) -> float:
        return float(self.attrs["fps"])

    def episodes(self, split: str | None = None) -> list[EpisodeInfo]:
        """The episodes of a split in store order, None: all that were recorded; ValueError when the split has none.

        LEARNED is train and what it looks like in a mirror, if that was written.
        """
        wanted = {None: SPLITS, LEARNED: ("train", MIRRORED)}.get(split, (split,))
        found = [episode for episode in self._episodes if episode.split in wanted]
        if not found:
            splits = sorted({episode.split for episode in self._episodes})
            raise ValueError(
                f"{self.path} has no episode in split {split!r}, only in {splits}; see split in params.yaml"
            )
        return found

    def has(self, array: str) -> bool:
        """Whether all episodes hold this array."""
        if array not in self._held:
            self._held[array] = bool(self._groups) and all(array in group for group in self._groups.values())
        return self._held[array]

    def row_layout(self, array: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of one row (one frame) of an array."""
        first = self._array(self._episodes[0].name, array)
        shape = tuple(first.shape[1:])
        if array == FRAMES:
            shape = (*shape[:-2], *shrunk_size(shape[-2:], self._shrink))
        return shape, np.dtype(first.dtype)

    def read(self, name: str, array: str, start: int | None = None, stop: int | None = None) -> np.ndarray:
        """Rows start:stop of an episode's array, [T, ...]."""
        rows = np.asarray(self._array(name, array)[start:stop])
        return shrunk(rows, self._shrink) if array == FRAMES else rows

    def blocks(self, array: str, split: str | None = None) -> Iterator[np.ndarray]:
        """A split's rows end to end in blocks of at most one shard, [<= SHARD, ...]."""
        for episode in self.episodes(split):
            for start in range(0, episode.length, SHARD):
                yield self.read(episode.name, array, start, start + SHARD)

    def concatenated(self, array: str, split: str | None = None) -> tuple[np.ndarray, list[int]]:
        """A split's rows end to end, [N, ...], and the length of each episode in them."""
        lengths = [episode.length for episode in self.episodes(split)]
        shape, dtype = self.row_layout(array)
        values = np.empty((sum(lengths), *shape), dtype)
        start = 0
        for block in self.blocks(array, split):
            values[start : start + len(block)] = block
            start += len(block)
        return values, lengths

    def _array(self, name: str, array: str) -> zarr.Array:
        if (name, array) in self._opened:
            return self._opened[name, array]
        if name not in self._groups:
            raise ValueError(
                f"{self.path} has no episode {name!r}; it has {len(self._groups)}, {episode_name(0)} first"
            )
        if array not in self._groups[name]:
            raise ValueError(
                f"{self.path}: {name} has no array {array!r}, only {sorted(self._groups[name].array_keys())}"
            )
        self._opened[name, array] = self._groups[name][array]
        return self._opened[name, array]


def picture_of(store: EpisodeStore) -> dict[str, int | str]:
    """What `preprocess` is told of the frames: width, height, color."""
    return {name: store.attrs[name] for name in ("width", "height", "color")}


def action_columns(store: EpisodeStore, actions: Sequence[str]) -> list[int]:
    """The column of each action, looked up by name; ValueError when the store was written without one."""
    if not store.action_names:
        raise ValueError(f"{store.path} has no actions: its recordings have no key log, and keys are needed here")
    missing = [action for action in actions if action not in store.action_names]
    if missing:
        raise ValueError(f"{store.path} has no action {missing}, only {list(store.action_names)}; run dvc repro")
    return [store.action_names.index(action) for action in actions]


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
