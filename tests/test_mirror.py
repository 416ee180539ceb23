"""Games that are the same in a mirror: what is learned from is doubled, what is judged on is not."""

import json

import numpy as np
import pytest

from stages.episodes.mirror import declared_mirror, in_mirror, mirror_pairs, mirrored_columns
from stages.episodes.store import LEARNED, MIRRORED, EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.models.cloning import Windows
from stages.params import read_params
from stages.train_policy import mirror_of

ACTIONS = ("LEFT", "SHOOT", "RIGHT")
PAIRS = {"LEFT": "RIGHT"}


def write_session(folder, name, mirror):
    content = {"fps": 10.0, "closed": True, "episodes": []} | ({} if mirror is None else {"mirror": mirror})
    (folder / f"{name}_session.json").write_text(json.dumps(content), encoding="utf-8")


def test_recordings_declare_a_mirror_if_all_do_and_the_same(tmp_path):
    for name, mirror in (("a", PAIRS), ("b", PAIRS), ("c", {"UP": "DOWN"}), ("d", None)):
        write_session(tmp_path, name, mirror)
    assert declared_mirror(tmp_path, ["a", "b"]) == PAIRS
    assert declared_mirror(tmp_path, ["a", "c"]) == declared_mirror(tmp_path, ["a", "d"]) == {}
    assert declared_mirror(tmp_path, ["d", "no_such_session"]) == {}


def test_a_mirror_that_is_no_map_of_actions_is_refused(tmp_path):
    write_session(tmp_path, "a", ["LEFT", "RIGHT"])
    with pytest.raises(ValueError, match="mirror must be a map of actions"):
        declared_mirror(tmp_path, ["a"])


@pytest.mark.parametrize(
    ("wanted", "declared", "expected"),
    [("recorded", PAIRS, PAIRS), ("recorded", {}, {}), ("none", PAIRS, {}), ({"RIGHT": "LEFT"}, {}, {"RIGHT": "LEFT"}),
     ("recorded", {"UP": "DOWN"}, {})],
)  # fmt: skip
def test_params_may_say_otherwise(wanted, declared, expected):
    assert mirror_pairs(wanted, declared, ACTIONS) == expected


def test_pairs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="augment.flip names 'JUMP', which is not among actions"):
        mirror_pairs({"LEFT": "JUMP"}, {}, ACTIONS)
    with pytest.raises(ValueError, match="augment.flip names LEFT twice"):
        mirror_pairs({"LEFT": "RIGHT", "RIGHT": "LEFT"}, {}, ACTIONS)


@pytest.mark.parametrize("seen", ["frames", "latents"])
def test_a_state_beside_what_is_mirrored_is_refused(seen):
    params = read_params()
    assert mirror_of(params, PAIRS, (seen,)) == PAIRS
    assert mirror_of(params, {}, (seen, "state")) == {} and mirror_of(params, PAIRS, ("state",)) == PAIRS
    with pytest.raises(ValueError, match="have no mirror image: set augment.flip: none"):
        mirror_of(params, PAIRS, (seen, "state"))


def test_pictures_are_flipped_and_keys_swapped():
    frames = np.arange(2 * 1 * 2 * 3, dtype=np.uint8).reshape(2, 1, 2, 3)
    arrays = {"actions": np.array([[1, 0, 0], [0, 1, 1]], np.uint8), "t": np.arange(2.0), "state": np.ones((2, 1))}
    seen, other = in_mirror(frames, arrays, mirrored_columns(ACTIONS, PAIRS))
    assert seen[0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert other["actions"].tolist() == [[0, 0, 1], [1, 1, 0]]
    assert other["t"].tolist() == [0, 1] and np.isnan(other["state"]).all()


def test_a_store_tells_mirror_images_from_what_was_recorded(tmp_path):
    attrs = {"action_names": list(ACTIONS), "state_columns": [], "fps": 10.0, "recordings": "x", "mirror": PAIRS}
    with StoreWriter(tmp_path / "e.zarr", attrs=attrs) as writer:
        for number, split in enumerate(("train", "val", "test", MIRRORED)):
            info = EpisodeInfo(episode_name(number), "s", number, split, 3, None, None)
            writer.episode(info, {"t": np.full(3, float(number))})
    store = EpisodeStore(tmp_path / "e.zarr")
    assert [episode.split for episode in store.episodes()] == ["train", "val", "test"]
    assert [episode.split for episode in store.episodes(LEARNED)] == ["train", MIRRORED]
    assert store.concatenated("t", LEARNED)[0].tolist() == [0] * 3 + [3] * 3
    assert [episode.split for episode in store.episodes("train")] == ["train"] and store.mirror == PAIRS


def test_frames_are_read_beside_latents_made_of_them_and_flipped_where_those_are(tmp_path):
    attrs = {"action_names": list(ACTIONS), "state_columns": [], "fps": 10.0, "recordings": "x", "mirror": PAIRS}
    frames = np.random.default_rng(0).integers(0, 256, (8, 1, 2, 4), np.uint8)
    paths = [tmp_path / "latents.zarr", tmp_path / "frames.zarr"]
    with StoreWriter(paths[0], attrs=attrs) as own, StoreWriter(paths[1], attrs=attrs) as pictures:
        for number, split in enumerate(("train", "val", MIRRORED)):
            info = EpisodeInfo(episode_name(number), "s", number, split, 4, None, None)
            latents = np.full((4, 2), float(number), np.float32)
            own.episode(info, {"latents": latents, "actions": np.zeros((4, 3), np.uint8)})
            if split != MIRRORED:
                pictures.episode(info, {"frames": frames[4 * number : 4 * number + 4]})
    stores = [EpisodeStore(path) for path in paths]
    windows = [
        Windows(stores[0], split, ACTIONS, ("latents", "frames"), 3, 1.0, spans={"frames": 2}, pictures=stores[1])
        for split in (LEARNED, "val")
    ]
    latents, seen = windows[0].take(np.array([3, 7]))
    assert latents.shape == (2, 3, 2) and latents[:, 0, 0].tolist() == [0, 2]
    assert np.array_equal(seen[0], frames[2:4]) and np.array_equal(seen[1], frames[2:4, ..., ::-1])
    assert np.array_equal(windows[1].take(np.array([0]))[1][0], frames[[4, 4]])
    with pytest.raises(ValueError, match="is not made of the frames in"):
        Windows(stores[0], "train", ACTIONS, ("latents", "frames"), 3, 1.0, pictures=short(stores[1], tmp_path))


def short(store, tmp_path):
    """A store whose one episode is a frame shorter."""
    with StoreWriter(tmp_path / "short.zarr", attrs=dict(store.attrs)) as writer:
        info = EpisodeInfo(episode_name(0), "s", 0, "train", 3, None, None)
        writer.episode(info, {"frames": store.read(episode_name(0), "frames")[:3]})
    return EpisodeStore(tmp_path / "short.zarr")
