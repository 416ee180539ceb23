"""Folders of numbered pictures as recordings: from the files to episodes without actions, and what is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from stages import align, convert, explore
from stages.episodes.preprocess import preprocess
from stages.episodes.store import EpisodeStore, action_columns
from stages.recordings.pictures import numbered_pictures, picture_folders, read_pictures
from stages.recordings.session import session_stems
from stages.recordings.video import count_frames, read_frames

PARAMS = Path("params.yaml").resolve()


def picture(number):
    return np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def write_pictures(folder, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number}.png"), picture(int(number)))
    return folder


def named(folder, names):
    folder.mkdir()
    for name in names:
        cv2.imwrite(str(folder / f"{name}.png"), picture(0))
    return folder


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    folder = write_pictures(tmp_path / "one", [str(number) for number in range(12)])
    assert [path.name for path in numbered_pictures(folder)] == [f"{number}.png" for number in range(12)]
    frames = list(read_frames(folder))
    assert len(frames) == count_frames(folder) == 12
    assert all(np.array_equal(frame, picture(number)) for number, frame in enumerate(frames))


def test_numbers_may_have_zeros_before_them_and_start_anywhere(tmp_path):
    folder = write_pictures(tmp_path / "one", ["007", "008", "009", "010"])
    assert [path.stem for path in numbered_pictures(folder)] == ["007", "008", "009", "010"]


def test_jpeg_capitals_and_a_word_before_all_numbers_are_read_and_hidden_files_are_not(tmp_path):
    for folder, names in (("jpeg", ["0.JPG", "1.jpeg", "2.PNG"]), ("word", ["frame_0009.png", "frame_0010.png"])):
        (tmp_path / folder).mkdir()
        for i, name in enumerate(names):
            cv2.imwrite(str(tmp_path / folder / name.lower()), np.full((24, 32, 3), 60 * i, np.uint8))
            (tmp_path / folder / name.lower()).rename(tmp_path / folder / name)
            (tmp_path / folder / f"._{name}").write_bytes(b"\0\5\26\7")
        np.testing.assert_allclose([f.mean() for f in read_pictures(tmp_path / folder)], 60 * np.arange(len(names)))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/0.png").write_bytes(b"\0\5\26\7")
    assert picture_folders(tmp_path) == ["jpeg", "word"]


@pytest.mark.parametrize("names", [["a1", "b2"], ["-0", "-1"], ["2024-05-01-0", "2024-05-02-0"]])
def test_names_that_say_no_order_are_refused(tmp_path, names):
    with pytest.raises(ValueError, match="pictures are called by their number"):
        numbered_pictures(named(tmp_path / "one", names))


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        (["0", "1", "3"], r"one has a hole: 2\.png is missing, there are 3 pictures from 0\.png to 3\.png"),
        (["1", "01", "2"], r"1\.png and 01\.png are both number 1"),
    ],
)
def test_holes_and_doubles_are_refused(tmp_path, numbers, match):
    with pytest.raises(ValueError, match=match):
        numbered_pictures(write_pictures(tmp_path / "one", numbers))


def test_other_names_sizes_and_damage_are_refused(tmp_path):
    folder = write_pictures(tmp_path / "one", ["0", "1"])
    (folder / "2.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"2\.png cannot be read as a picture"):
        list(read_pictures(folder))
    cv2.imwrite(str(folder / "2.png"), picture(0)[:, :16])
    with pytest.raises(ValueError, match=r"2\.png is 16x24 px, the pictures before it are 32x24"):
        list(read_pictures(folder))
    (folder / "2.png").rename(folder / "end.png")
    with pytest.raises(ValueError, match=r"end\.png: pictures are called by their number"):
        list(read_pictures(folder))


def test_a_directory_holds_sessions_or_pictures_but_not_both(tmp_path):
    write_pictures(tmp_path / "b", ["0"])
    write_pictures(tmp_path / "a", ["0"])
    (tmp_path / "empty").mkdir()
    assert session_stems(tmp_path) == picture_folders(tmp_path) == ["a", "b"]
    (tmp_path / "c.mp4").touch()
    with pytest.raises(ValueError, match=r"holds sessions \(c, \.\.\.\) and folders of pictures \(a, \.\.\.\)"):
        session_stems(tmp_path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with four folders of pictures, aligned."""
    tree = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    tree |= {"recordings": "data/raw/pictures", "workers": 1}
    tree["convert"] = {"width": 16, "height": 12, "pixels": [36864], "color": "gray"}
    tree["align"]["picture_fps"] = 5.0
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    for name in "abcd":
        write_pictures(Path("data/raw/pictures") / name, [str(number) for number in range(7)])
    align.main()


def test_pictures_become_episodes_without_actions(project, capsys):
    report = json.loads(Path("data/timelines/alignment.json").read_text(encoding="utf-8"))
    assert not report["totals"]["keys_logged"] and report["sessions"]["a"]["warnings"] == []
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert [episode.session for episode in store.episodes()] == list("abcd")
    assert {episode.split for episode in store.episodes()} == {"train", "val", "test"}
    assert store.fps == 5 and not store.has("actions") and not store.has("state")
    frames = store.read("episode_00001", "frames")
    assert np.array_equal(frames[3], preprocess(picture(3), width=16, height=12, color="gray"))
    with pytest.raises(ValueError, match="its recordings have no key log"):
        action_columns(store, ["LEFT"])
    with pytest.raises(ValueError, match="dvc repro evaluate_latent_action"):
        explore.main()
