import numpy as np
import pytest
import zarr

from stages.episodes import store as stores
from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, action_columns, episode_name, partial_path

ATTRS = {"action_names": ["LEFT", "SHOOT"], "state_columns": ["x"], "fps": 11.5, "recordings": "data/raw/x", "width": 6}


def episode(number, split, length, seed=0):
    rng = np.random.default_rng(seed + number)
    info = EpisodeInfo(episode_name(number), f"s{number // 2}", number % 2, split, length, 3.5, None)
    return info, {
        "frames": rng.integers(0, 256, (length, 1, 4, 6), dtype=np.uint8),
        "actions": rng.integers(0, 2, (length, 2), dtype=np.uint8),
        "t": 1.7e9 + np.arange(length) / 11.5,
    }


def write(path, lengths=(70, 1500, 3), splits=("train", "val", "train"), **kwargs):
    with StoreWriter(path, attrs=ATTRS) as writer:
        for number, (split, length) in enumerate(zip(splits, lengths, strict=True)):
            writer.episode(*episode(number, split, length, **kwargs))
    return EpisodeStore(path)


def test_what_was_written_is_read(tmp_path):
    store = write(tmp_path / "e.zarr")
    assert store.action_names == ("LEFT", "SHOOT")
    assert store.state_columns == ("x",)
    assert store.fps == 11.5
    assert store.attrs["width"] == 6
    for number, (split, length) in enumerate([("train", 70), ("val", 1500), ("train", 3)]):
        info, arrays = episode(number, split, length)
        assert store.episodes()[number] == info
        for name, values in arrays.items():
            read = store.read(info.name, name)
            assert read.dtype == values.dtype
            np.testing.assert_array_equal(read, values)
    np.testing.assert_array_equal(
        store.read(episode_name(1), "t", 1020, 1030), episode(1, "val", 1500)[1]["t"][1020:1030]
    )


def test_a_split_is_read_end_to_end(tmp_path):
    store = write(tmp_path / "e.zarr")
    values, lengths = store.concatenated("actions", "train")
    assert lengths == [70, 3]
    parts = [episode(0, "train", 70)[1]["actions"], episode(2, "train", 3)[1]["actions"]]
    np.testing.assert_array_equal(values, np.concatenate(parts))
    assert store.concatenated("frames", None)[0].shape == (1573, 1, 4, 6)
    assert [len(block) for block in store.blocks("t", "val")] == [1024, 476]


def test_frames_lie_in_chunks_of_64_and_shards_of_1024(tmp_path):
    store = write(tmp_path / "e.zarr")
    frames = zarr.open_group(store.path, mode="r")[f"{episode_name(1)}/frames"]
    assert frames.chunks == (64, 1, 4, 6)
    assert frames.shards == (1024, 1, 4, 6)
    assert len([path for path in (store.path / episode_name(1) / "frames").rglob("*") if path.is_file()]) == 3


def test_the_same_episodes_give_the_same_bytes(tmp_path):
    for name in ("a.zarr", "b.zarr"):
        write(tmp_path / name)
    files = [path for path in sorted((tmp_path / "a.zarr").rglob("*")) if path.is_file()]
    assert len(files) > 10
    for path in files:
        twin = tmp_path / "b.zarr" / path.relative_to(tmp_path / "a.zarr")
        assert path.read_bytes() == twin.read_bytes(), path


def test_optional_arrays_and_actions_are_found_by_name(tmp_path):
    store = write(tmp_path / "e.zarr")
    assert store.has("frames")
    assert not store.has("state")
    assert store.row_layout("frames") == ((1, 4, 6), np.dtype(np.uint8))
    assert action_columns(store, ["SHOOT", "LEFT"]) == [1, 0]
    with pytest.raises(ValueError, match=r"has no action \['DASH'\], only \['LEFT', 'SHOOT'\]"):
        action_columns(store, ["DASH"])
    with pytest.raises(ValueError, match="no array 'state'.*actions.*frames"):
        store.read(episode_name(0), "state")
    with pytest.raises(ValueError, match="no episode 'episode_00009'"):
        store.read(episode_name(9), "t")


def test_an_empty_split_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no episode in split 'test', only in \['train', 'val'\]"):
        write(tmp_path / "e.zarr").episodes("test")


def test_a_failed_writer_leaves_nothing_and_keeps_the_store_from_before(tmp_path):
    path = tmp_path / "e.zarr"
    write(path)
    with pytest.raises(RuntimeError, match="killed"), StoreWriter(path, attrs=ATTRS) as writer:
        writer.episode(*episode(0, "train", 5))
        raise RuntimeError("killed")
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.zarr"]
    assert len(EpisodeStore(path).episodes()) == 3


def test_a_killed_writer_leaves_no_store_that_looks_whole(tmp_path):
    path = tmp_path / "e.zarr"
    writer = StoreWriter(path, attrs=ATTRS)
    writer.episode(*episode(0, "train", 5))
    with pytest.raises(ValueError, match="does not exist; run dvc repro"):
        EpisodeStore(path)
    with pytest.raises(ValueError, match="half-written"):
        EpisodeStore(partial_path(path))
    write(path)  # a later run starts over
    assert len(EpisodeStore(path).episodes()) == 3


def test_other_things_are_not_taken_for_a_store(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no episode store"):
        EpisodeStore(tmp_path / "folder")
    zarr.create_group(tmp_path / "other.zarr", attributes={"schema": "understudy-episodes/0"})
    with pytest.raises(ValueError, match="schema 'understudy-episodes/0', expected 'understudy-episodes/2'"):
        EpisodeStore(tmp_path / "other.zarr")


def test_arrays_of_another_length_and_missing_attributes_are_refused(tmp_path):
    info, arrays = episode(0, "train", 5)
    with (
        pytest.raises(ValueError, match="episode_00000: actions has 4 rows, the episode 5 frames"),
        StoreWriter(tmp_path / "e.zarr", attrs=ATTRS) as writer,
    ):
        writer.episode(info, arrays | {"actions": arrays["actions"][:4]})
    with pytest.raises(ValueError, match="state_columns, fps, recordings"):
        StoreWriter(tmp_path / "f.zarr", attrs={"action_names": []})


def test_names_sort_as_numbers():
    names = [episode_name(number) for number in (0, 9, 10, 99999)]
    assert names == sorted(names)
    assert stores.SHARD % stores.CHUNK == 0
