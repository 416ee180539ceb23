"""Zarr stores of episodes, written by zarr in both of its formats, become sessions."""

import json
import zipfile

import numpy as np
import pytest
import zarr

from stages.recordings.video import read_frames
from tests.importing import HELD, imported


def store(path, *, zarr_format, names, attrs=None, held=HELD):
    root = zarr.create_group(path, zarr_format=zarr_format, attributes={"action_keys": names, **(attrs or {})})
    for number in (0, 10, 2):
        group = root.create_group(f"episode_{number}")
        frames = np.zeros((len(held), 3, 32, 48), np.uint8)
        frames[:, 0] = 200  # red, as RGB has it
        array = group.create_array("frames", shape=frames.shape, dtype=frames.dtype, chunks=(1, 3, 32, 48))
        array[:] = frames
        group.create_array("actions", data=held.astype(bool))
        group.create_array("state", data=np.arange(len(held) * 2, dtype=np.float32).reshape(-1, 2) + number)
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_episodes_are_matched_by_name(tmp_path, zarr_format):
    held = np.column_stack([HELD[:, 1], np.ones(6, np.uint8), HELD[:, 0]])
    path = store(
        tmp_path / "old.zarr", zarr_format=zarr_format, names=["shoot", "JUMP", "Left"],
        attrs={"fps": 20, "author": "somebody"}, held=held,
    )  # fmt: skip
    sessions = imported(path, tmp_path / "out")
    assert [found.session.stem for found, _ in sessions] == ["old_episode_0", "old_episode_2", "old_episode_10"]
    found, lost = sessions[1]
    np.testing.assert_array_equal(found.timeline.actions, HELD)
    assert found.session.fps == 20
    assert found.session.state.columns == ("state_0", "state_1")
    np.testing.assert_array_equal(found.session.state.values[:, 0], 2 * np.arange(6) + 2)
    blue, _, red = next(iter(read_frames(found.session.video))).mean(axis=(0, 1))
    assert red > 180 and blue < 20
    assert any("['JUMP']" in words for words in lost) and any("['author']" in words for words in lost)


def test_zarr_that_does_not_fit_is_refused(tmp_path):
    nameless = store(tmp_path / "a.zarr", zarr_format=3, names=[])
    with pytest.raises(ValueError, match="give --fps"):
        imported(nameless, tmp_path / "out")
    with pytest.raises(ValueError, match="no attribute action_keys or"):
        imported(nameless, tmp_path / "out", "--fps", 10)
    wide = store(tmp_path / "b.zarr", zarr_format=3, names=["LEFT", "SHOOT", "JUMP"])
    with pytest.raises(ValueError, match="a column of 0 and 1 for each of"):
        imported(wide, tmp_path / "out", "--fps", 10)
    empty = store(tmp_path / "d.zarr", zarr_format=3, names=["LEFT", "SHOOT"], held=HELD[:0])
    with pytest.raises(ValueError, match="d.zarr/episode_0/frames holds no frame"):
        imported(empty, tmp_path / "out", "--fps", 10)
    zarr.create_group(tmp_path / "c.zarr")
    with pytest.raises(ValueError, match="no group episode_0"):
        imported(tmp_path / "c.zarr", tmp_path / "out", "--fps", 10)


def test_episodes_newer_than_the_consolidated_metadata_are_read(tmp_path):
    path = store(tmp_path / "a.zarr", zarr_format=2, names=["LEFT", "SHOOT"], attrs={"fps": 10})
    zarr.consolidate_metadata(path)
    root = zarr.open_group(path, mode="a", use_consolidated=False)
    group = root.create_group("episode_11")
    group.create_array("frames", data=np.full((6, 3, 32, 48), 9, np.uint8))
    group.create_array("actions", data=HELD)
    found = imported(path, tmp_path / "out")
    assert [one.session.stem for one, _ in found] == [f"a_episode_{n}" for n in (0, 2, 10, 11)]


@pytest.mark.parametrize("within", ["", "a.zarr/"])
def test_a_zipped_store_is_read_as_its_folder(tmp_path, within):
    path = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs={"fps": 10})
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as packed:
        packed.writestr("__MACOSX/._zarr.json", b"\0\5\26\7")
        for file in sorted(path.rglob("*")):
            if file.is_file():
                packed.write(file, within + file.relative_to(path).as_posix())
    found = imported(tmp_path / "a.zarr.zip", tmp_path / "out")
    assert [one.session.stem for one, _ in found] == [f"a_episode_{n}" for n in (0, 2, 10)]
    np.testing.assert_array_equal(found[0][0].timeline.actions, HELD)
    (tmp_path / "b.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="b.zip cannot be read: BadZipFile"):
        imported(tmp_path / "b.zip", tmp_path / "out")


def test_a_zip_of_several_stores_is_refused_as_only_one_would_be_read(tmp_path):
    path = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs={"fps": 10})
    zipped = tmp_path / "both.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for file in (each for each in path.rglob("*") if each.is_file()):
            for within in ("one.zarr", "two.zarr"):
                archive.write(file, f"{within}/{file.relative_to(path)}")
    with pytest.raises(
        ValueError, match="both.zip cannot be read: it holds several zarr stores, .*two.zarr; unpack it"
    ):
        imported(zipped, tmp_path / "out")


def test_frame_rates_that_differ_are_refused_until_one_is_given(tmp_path):
    path = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs={"fps": 10, "frame_rate": 30})
    with pytest.raises(ValueError, match="different frame rates, .*'fps': 10, 'frame_rate': 30.*; give --fps"):
        imported(path, tmp_path / "out")
    assert imported(path, tmp_path / "out", "--fps", 30)[0][0].session.fps == 30


@pytest.mark.parametrize("value", [0.02, 255, np.nan, -1])
def test_actions_that_are_not_0_or_1_are_refused_with_their_place(tmp_path, value):
    held = HELD.astype(np.float32)
    held[4, 1] = value
    root = zarr.create_group(tmp_path / "a.zarr", attributes={"action_names": ["LEFT", "SHOOT"], "fps": 10})
    group = root.create_group("episode_0")
    group.create_array("frames", data=np.full((6, 3, 32, 48), 9, np.uint8))
    group.create_array("actions", data=held)
    with pytest.raises(ValueError, match=f"episode_0/actions, frame 4: SHOOT is {value:g}, expected 0 or 1"):
        imported(tmp_path / "a.zarr", tmp_path / "out")


def damaged(path, change):
    """The store at `path` with the metadata of the frames of episode_2 changed."""
    file = path / "episode_2/frames/zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    return path


def test_what_zarr_cannot_read_is_a_bad_episode_in_a_line(tmp_path):
    path = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs={"fps": 10})
    (path / "episode_10/frames/c/3/0/0/0").write_bytes(b"cut")
    damaged(path, {"codecs": [{"name": "unheard_of"}]})
    (path / "episode_11").mkdir()
    (path / "episode_11/zarr.json").write_bytes(b"{")
    (path / ".DS_Store").write_bytes(b"\0")
    with pytest.raises(ValueError, match="a.zarr/episode_2 cannot be read: UnknownCodecError: .*unheard_of"):
        imported(path, tmp_path / "out")
    [(found, _)] = imported(path, tmp_path / "out", "--skip-bad")
    assert found.session.stem == "a_episode_0"


def test_chunks_that_are_not_there_are_lost_unless_they_are_said_to_be_0(tmp_path):
    path = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs={"fps": 10})
    (path / "episode_2/frames/c/3/0/0/0").unlink()
    with pytest.raises(ValueError, match="episode_2/frames: 1 of its chunks are not in the store"):
        imported(path, tmp_path / "out")
    lost = imported(path, tmp_path / "out", "--empty-chunks")[1][1]
    assert "frames: 1 chunks that are not in the store are taken for 0" in lost


def test_names_of_actions_that_are_ambiguous_are_refused(tmp_path):
    twins = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "left"], attrs={"fps": 10})
    with pytest.raises(ValueError, match=r"the columns \['LEFT', 'left'\] are all LEFT"):
        imported(twins, tmp_path / "out")
    text = store(tmp_path / "b.zarr", zarr_format=3, names="LEFT,SHOOT", attrs={"fps": 10})
    with pytest.raises(ValueError, match="the attribute action_keys is 'LEFT,SHOOT', expected a list"):
        imported(text, tmp_path / "out")
    two = store(
        tmp_path / "c.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs={"keys": ["SHOOT", "LEFT"], "fps": 1}
    )
    with pytest.raises(ValueError, match="name different actions"):
        imported(two, tmp_path / "out")


def test_attributes_of_other_kinds_are_not_in_the_way(tmp_path):
    attrs = {"fps": 10, "keys": {"LEFT": "Key.left"}, "actions": 2, "state_columns": 5}
    path = store(tmp_path / "a.zarr", zarr_format=3, names=["LEFT", "SHOOT"], attrs=attrs)
    for found, _ in imported(path, tmp_path / "out"):
        assert found.timeline.action_names == ("LEFT", "SHOOT")
