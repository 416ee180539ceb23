"""Zarr stores of episodes, written by zarr in both of its formats, become sessions."""

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
    with pytest.raises(ValueError, match="no attribute action_keys"):
        imported(nameless, tmp_path / "out", fps=10)
    wide = store(tmp_path / "b.zarr", zarr_format=3, names=["LEFT", "SHOOT", "JUMP"])
    with pytest.raises(ValueError, match="a column for each of"):
        imported(wide, tmp_path / "out", fps=10)
    empty = store(tmp_path / "d.zarr", zarr_format=3, names=["LEFT", "SHOOT"], held=HELD[:0])
    with pytest.raises(ValueError, match="d.zarr/episode_0/frames holds no frame"):
        imported(empty, tmp_path / "out", fps=10)
    zarr.create_group(tmp_path / "c.zarr")
    with pytest.raises(ValueError, match="no group episode_0"):
        imported(tmp_path / "c.zarr", tmp_path / "out", fps=10)
