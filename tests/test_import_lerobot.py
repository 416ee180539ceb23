"""LeRobot data sets of version 3, made by hand after the documented layout, become sessions by what --column says."""

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.recordings.importers.lerobot import part_names
from stages.recordings.video import read_frames
from tests.importing import HELD, imported

CAMERA = "observation.images.screen"
RULES = ["--column", "action[0] < -0.5 = LEFT", "action[fire] > 0.5 = SHOOT"]
FPS, FRAMES = 10, 6


def features(**changes):
    camera = {"dtype": "video", "shape": [32, 48, 3], "names": ["height", "width", "channels"]}
    stick = {"dtype": "float32", "shape": [2], "names": {"axes": ["x", "fire"]}}
    rest = {
        "next.reward": "float32",
        "timestamp": "float32",
        "frame_index": "int64",
        "episode_index": "int64",
        "index": "int64",
    }
    single = {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in rest.items()}
    return {CAMERA: camera, "action": stick, **single} | changes


def write_video(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in grey:
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stick(held):
    """x is -1 for LEFT, fire .9 for SHOOT, and not quite 0 else."""
    return [[-1.0 if left else 0.1, 0.9 if shoot else 0.2] for left, shoot in held.tolist()]


def data_set(folder, *, info=None, columns=None, episodes=3):
    """Three episodes of six frames: two in the first file of data and video, one in the second."""
    what = {
        "codebase_version": "v3.0", "fps": FPS, "total_episodes": episodes, "features": features(),
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }  # fmt: skip
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    (folder / "data/chunk-000").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(what | (info or {})))
    told = []
    for file, numbers in ((0, (0, 1)), (1, (2,))):
        rows = {"timestamp": [], "frame_index": [], "episode_index": [], "action": [], "next.reward": []}
        for place, number in enumerate(numbers):
            rows["timestamp"] += [i / FPS for i in range(FRAMES)]
            rows["frame_index"] += range(FRAMES)
            rows["episode_index"] += [number] * FRAMES
            rows["action"] += stick(np.roll(HELD, number, axis=0))
            rows["next.reward"] += [0.0] * FRAMES
            start = place * FRAMES / FPS
            told.append({
                "episode_index": number, "length": FRAMES, "data/chunk_index": 0, "data/file_index": file,
                f"videos/{CAMERA}/chunk_index": 0, f"videos/{CAMERA}/file_index": file,
                f"videos/{CAMERA}/from_timestamp": start, f"videos/{CAMERA}/to_timestamp": start + FRAMES / FPS,
                "stats/action/mean": [0.0, 0.0],
            })  # fmt: skip
        rows["timestamp"] = np.array(rows["timestamp"], np.float32)
        pq.write_table(pa.table(rows | (columns or {})), folder / f"data/chunk-000/file-{file:03d}.parquet")
        grey = [10 * (FRAMES * number + i) for number in numbers for i in range(FRAMES)]
        write_video(folder / f"videos/{CAMERA}/chunk-000/file-{file:03d}.mp4", grey)
    pq.write_table(pa.Table.from_pylist(told), folder / "meta/episodes/chunk-000/file-000.parquet")
    return folder


def test_episodes_that_share_files_get_their_own_rows_and_pictures(tmp_path):
    found = imported(data_set(tmp_path / "robot.1"), tmp_path / "out", *RULES)
    assert [one.session.stem for one, _ in found] == [f"robot_1_episode_{n}" for n in range(3)]
    for number, (one, lost) in enumerate(found):
        np.testing.assert_array_equal(one.timeline.actions, np.roll(HELD, number, axis=0))
        np.testing.assert_allclose(one.session.times, np.arange(FRAMES) / FPS, atol=1e-6)
        shown = [frame.mean() for frame in read_frames(one.session.video)]
        np.testing.assert_allclose(shown, 10 * (FRAMES * number + np.arange(FRAMES)), atol=4)
        assert "columns that nobody asked for: ['next.reward']" in lost and one.session.fps == FPS


def test_parts_that_nobody_asked_for_are_listed_and_rules_of_one_action_add_up(tmp_path):
    rules = ["--column", "action[x] < -0.5 = LEFT", "action[x] > 0.05 = SHOOT", "--column", "action[0]<=-1=SHOOT"]
    [(found, lost), *_] = imported(data_set(tmp_path / "set"), tmp_path / "out", *rules)
    np.testing.assert_array_equal(found.timeline.actions, np.column_stack([HELD[:, 0], np.ones(FRAMES)]))
    assert "columns that nobody asked for: ['next.reward', 'action[fire]']" in lost


def test_pictures_in_the_rows_are_read_too(tmp_path):
    pictures = [{"bytes": cv2.imencode(".png", np.full((32, 48, 3), i, np.uint8))[1].tobytes()} for i in range(6)]
    stills = features(**{"observation.still": {"dtype": "image", "shape": [32, 48, 3], "names": None}})
    folder = data_set(tmp_path / "set", info={"features": stills})
    path = folder / "data/chunk-000/file-001.parquet"
    pq.write_table(pq.read_table(path).append_column("observation.still", pa.array(pictures)), path)
    with pytest.raises(ValueError, match=r"cameras \['observation.images.screen', 'observation.still'\]; .* --camera"):
        imported(folder, tmp_path / "out", *RULES)
    [(found, _)] = imported(folder, tmp_path / "out", *RULES, "--camera", "observation.still", "--skip-bad")
    np.testing.assert_allclose([f.mean() for f in read_frames(found.session.video)], range(6), atol=1)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([], r"nothing says which column is \['LEFT', 'SHOOT'\]; it has .*'action': \['x', 'fire'\].*--column"),
        (["action[x] < 0 = LEFT"], r"nothing says which column is \['SHOOT'\]"),
        (["action[x] = LEFT"], "expected NAME.PART. > VALUE = ACTION"),
        (["action[x] > .5.5 = LEFT"], r"\.5\.5 is no number"),
        (["action > 0.5 = LEFT"], r"action has the parts \['x', 'fire'\]"),
        (["action[2] > 0.5 = LEFT"], r"action has the parts \['x', 'fire'\]"),
        (["button > 0.5 = LEFT"], "button is no column"),
        (["observation.images.screen > 0.5 = LEFT"], "is a column of video"),
        (["action[x] > 0.5 = JUMP"], "'JUMP' is no action"),
    ],
)
def test_columns_are_never_guessed(tmp_path, columns, words):
    with pytest.raises(ValueError, match=words):
        imported(data_set(tmp_path / "set"), tmp_path / "out", *(["--column", *columns] if columns else []))


@pytest.mark.parametrize("shape", [2, [], None, [2, 2]])
def test_a_feature_without_a_plain_shape_has_no_parts_to_name(shape):
    assert part_names({"dtype": "float32", "shape": shape}) in ([], ["0"])


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"codebase_version": "v2.1"}, "the version is v2.1, v3.0 is read"),
        ({"total_episodes": 9}, "holds 3 episodes, info.json says 9"),
        ({"fps": "ten"}, "fps is ten"),
        ({"features": []}, "names no features"),
        ({"data_path": "data/{what}.parquet"}, "info.json, data_path cannot be read: KeyError"),
        ({"video_path": None}, "info.json, video_path cannot be read"),
    ],
)
def test_an_info_that_does_not_fit_is_refused(tmp_path, info, words):
    with pytest.raises(ValueError, match=words):
        imported(data_set(tmp_path / "set", info=info), tmp_path / "out", *RULES)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"action": [[np.nan, 0.0]] * 6}, r"episode 2: .*file-001.parquet, frame 0: action\[0\] is nan"),
        ({"frame_index": [0, 1, 2, 3, 4, 4]}, "numbered from 0 on"),
        ({"episode_index": [2, 2, 2, 2, 2, 7]}, "has 5 rows of it, meta/episodes says 6"),
        ({"timestamp": np.arange(6, dtype=np.float32)}, "its last row is at 5.000 s, its part of .* lasts 0.600 s"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_with_the_episode(tmp_path, columns, words):
    folder = data_set(tmp_path / "set")
    path = folder / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path).to_pydict() | columns
    pq.write_table(pa.table(table), path)
    with pytest.raises(ValueError, match=words):
        imported(folder, tmp_path / "out", *RULES)
    assert len(imported(folder, tmp_path / "out", *RULES, "--skip-bad")) == 2


@pytest.mark.parametrize(
    "file",
    ["meta/info.json", "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet",
     f"videos/{CAMERA}/chunk-000/file-000.mp4"],
)  # fmt: skip
def test_damaged_and_missing_files_are_refused_in_a_line(tmp_path, file):
    folder = data_set(tmp_path / "set")
    for damage in (lambda path: path.write_bytes(b"no\nsuch\nthing"), Path.unlink):
        damage(folder / file)
        with pytest.raises(ValueError, match="cannot be read|holds 0 episodes") as raised:
            imported(folder, tmp_path / "out", *RULES)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 600


def test_a_video_that_ends_too_early_is_refused(tmp_path):
    folder = data_set(tmp_path / "set")
    write_video(folder / f"videos/{CAMERA}/chunk-000/file-001.mp4", [0, 10, 20])
    with pytest.raises(ValueError, match="file-001.mp4 holds no picture at 0.400 s"):
        imported(folder, tmp_path / "out", *RULES)


def test_episodes_that_are_said_to_share_pictures_are_refused(tmp_path):
    folder = data_set(tmp_path / "set")
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[1] |= {f"videos/{CAMERA}/from_timestamp": 0.0}
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(ValueError, match="episode 0 ends at|episode 1 ends at"):
        imported(folder, tmp_path / "out", *RULES)


def test_columns_are_for_data_sets_alone(tmp_path):
    with pytest.raises(ValueError, match="--column is for data sets of LeRobot"):
        imported(tmp_path, tmp_path / "out", *RULES)
