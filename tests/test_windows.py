import numpy as np
import pytest

from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.episodes.windows import FrameBank, transition_indices, window_indices


def test_a_window_ends_at_its_frame_and_repeats_the_first_frame_of_its_episode():
    assert window_indices([3, 2], 3).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [3, 3, 3], [3, 3, 4]]


def test_a_window_may_leave_out_frames():
    assert window_indices([4, 2], 3, step=2).tolist() == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 2],
        [0, 1, 3],
        [4, 4, 4],
        [4, 4, 5],
    ]


def test_no_window_holds_frames_of_two_episodes():
    lengths = [1, 7, 12, 3]
    episode = np.repeat(np.arange(4), lengths)
    windows = window_indices(lengths, 10)
    assert windows.shape == (23, 10)
    assert (episode[windows] == episode[:, None]).all()
    assert (windows[:, -1] == np.arange(23)).all()


def test_a_window_of_one_frame_is_the_frame_and_no_episode_gives_no_window():
    assert window_indices([2, 1], 1).tolist() == [[0], [1], [2]]
    assert window_indices([], 4).shape == (0, 4)
    with pytest.raises(ValueError, match="at least 1 frame, found 0"):
        window_indices([2], 0)


def test_transitions_by_hand():
    assert transition_indices([4, 2, 3], past=1, gap=1).tolist() == [[0, 1, 2], [1, 2, 3], [6, 7, 8]]
    assert transition_indices([6, 5], past=0, gap=2).tolist() == [
        [0, 2],
        [1, 3],
        [2, 4],
        [3, 5],
        [6, 8],
        [7, 9],
        [8, 10],
    ]


@pytest.mark.parametrize(("length", "count"), [(8, 0), (9, 0), (10, 1), (11, 2)])
def test_an_episode_just_long_enough_gives_one_transition(length, count):
    assert transition_indices([length], past=2, gap=3).shape == (count, 4)


def test_transitions_stay_inside_their_episode():
    lengths = [5, 30, 1, 17]
    episode = np.repeat(np.arange(4), lengths)
    rows = transition_indices(lengths, past=2, gap=2)
    assert (episode[rows] == episode[rows[:, :1]]).all()
    assert (np.diff(rows) == 2).all()


@pytest.mark.parametrize(("past", "gap"), [(-1, 1), (1, 0)])
def test_transitions_refuse_what_makes_no_sense(past, gap):
    with pytest.raises(ValueError, match=f"past {past} and gap {gap}"):
        transition_indices([9], past, gap)


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    attrs = {"action_names": ["A"], "state_columns": [], "fps": 10.0, "recordings": "data/raw/x"}
    with StoreWriter(tmp_path / "episodes.zarr", attrs=attrs) as writer:
        for number, (split, length) in enumerate([("train", 70), ("val", 5), ("train", 3)]):
            arrays = {
                "frames": rng.integers(0, 256, (length, 1, 4, 6), dtype=np.uint8),
                "odd": rng.integers(0, 256, (length, 3), dtype=np.uint8),
                "latents": rng.normal(size=(length, 5)).astype(np.float32),
            }
            writer.episode(EpisodeInfo(episode_name(number), "s", number, split, length, None, None), arrays)
    return EpisodeStore(tmp_path / "episodes.zarr")


@pytest.mark.parametrize("limit_gb", [1.0, 0.0])
@pytest.mark.parametrize("array", ["frames", "odd", "latents"])
def test_the_bank_gives_the_rows_of_its_split_from_memory_and_from_disk(store, array, limit_gb):
    bank = FrameBank(store, "train", array, limit_gb)
    values, lengths = store.concatenated(array, "train")
    assert bank.in_memory == (limit_gb > 0)
    assert (len(bank), bank.lengths) == (73, lengths)
    indices = window_indices(lengths, 4)[[0, 69, 70, 72, 5]]
    np.testing.assert_array_equal(bank.take(indices), values[indices])
    assert bank.take(np.array(2)).shape == values.shape[1:]
    with pytest.raises(IndexError):
        bank.take(np.array([73]))


def test_the_limit_counts_bytes(store):
    row_bytes = 4 * 6
    assert FrameBank(store, "val", "frames", 5 * row_bytes / 1e9).in_memory
    assert not FrameBank(store, "val", "frames", (5 * row_bytes - 1) / 1e9).in_memory


def test_a_bank_on_disk_leaves_no_file_behind(store):
    before = sorted(path.name for path in store.path.parent.iterdir())
    bank = FrameBank(store, None, "frames", 0.0)
    assert len(bank) == 78
    del bank
    assert sorted(path.name for path in store.path.parent.iterdir()) == before


def test_what_is_taken_may_be_changed_without_changing_the_bank(store):
    bank = FrameBank(store, "val", "frames", 1.0)
    before = bank.take(np.arange(5))
    bank.take(np.arange(5))[:] = 0
    np.testing.assert_array_equal(bank.take(np.arange(5)), before)
