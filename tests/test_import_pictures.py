"""Numbered pictures with a table of labels, written by OpenCV, become sessions; and what is no recording at all."""

import json

import cv2
import numpy as np
import pytest

from stages.commands.importing import read_source
from stages.recordings.video import read_frames
from tests.importing import HELD, KEYS, imported


def pictures(folder, count=6):
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((32, 48, 3), 40 * i, np.uint8))
    return folder


def labels_csv(folder, header="left,SHOOT,health"):
    rows = "".join(f"{a},{b},{99 - i}\n" for i, (a, b) in enumerate(HELD))
    (folder / "labels.csv").write_text(f"{header}\n{rows}")


def test_pictures_with_a_table_give_their_labels_back(tmp_path):
    folder = pictures(tmp_path / "source/run1")
    labels_csv(folder)
    [(found, lost)] = imported(tmp_path / "source", tmp_path / "out", fps=5)
    np.testing.assert_array_equal(found.timeline.actions, HELD)
    np.testing.assert_allclose(found.session.times, np.arange(6) / 5)
    assert found.session.stem == "run1" and (found.timeline.episode == 0).all()
    np.testing.assert_allclose([f.mean() for f in read_frames(found.session.video)], 40 * np.arange(6), atol=3)
    assert any("['health']" in words for words in lost) and any("5 a second" in words for words in lost)


def test_pictures_with_json_lines_of_keys(tmp_path):
    folder = pictures(tmp_path / "run")
    rows = [
        {"t": 100 + i / 4, "keys": [k for k, on in zip(("'X'", "q"), (b, a), strict=True) if on]}
        for i, (a, b) in enumerate(HELD)
    ]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [(found, lost)] = imported(folder, tmp_path / "out")
    np.testing.assert_array_equal(found.timeline.actions, HELD * [0, 1])
    assert found.session.times[-1] == 101.25
    assert any("{'q': 2}" in words for words in lost)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "labels.csv").unlink(), "has no labels.csv or labels.jsonl"),
        (lambda f: (f / "5.png").unlink(), "6 rows, the folder 5 pictures"),
        (lambda f: labels_csv(f, "jump,duck,health"), "give --keys ACTION=KEY"),
        (lambda f: (f / "labels.csv").write_text("LEFT\n" + "maybe\n" * 6), "expected 0 or 1"),
        (lambda f: (f / "labels.csv").write_text("t,LEFT\n" + "".join(f"{9 - i},1\n" for i in range(6))), "backwards"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path, change, words):
    folder = pictures(tmp_path / "run")
    labels_csv(folder)
    change(folder)
    with pytest.raises(ValueError, match=words):
        imported(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("[1, 0]", r"labels.jsonl, row 3: expected .*found '\[1, 0\]'"),
        ('{"keys": 5}', "labels.jsonl, row 3: expected .*keys"),
        ('{"keys": [5]}', "labels.jsonl, row 3: expected .*keys"),
        ('{"LEFT": 1', "labels.jsonl, row 3 is not JSON"),
    ],
)
def test_json_lines_that_are_no_labels_are_refused_with_their_row(tmp_path, bad, words):
    folder = pictures(tmp_path / "run")
    (folder / "labels.jsonl").write_text('{"LEFT": 1}\n' * 2 + bad + "\n" + '{"LEFT": 1}\n' * 3)
    with pytest.raises(ValueError, match=words):
        imported(folder, tmp_path / "out")


@pytest.mark.parametrize("t", ["soon", "nan"])
def test_a_time_that_is_no_number_is_refused_with_its_row(tmp_path, t):
    folder = pictures(tmp_path / "run")
    times = ["0", "1", t, "3", "4", "5"]
    (folder / "labels.csv").write_text("t,LEFT\n" + "".join(f"{each},1\n" for each in times))
    with pytest.raises(ValueError, match=f"labels.csv, row 3: t is '{t}', expected seconds"):
        imported(folder, tmp_path / "out")


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a folder nor a .mcap file"):
        read_source(tmp_path / "nothing", KEYS, None, 10.0)
    with pytest.raises(ValueError, match="no folder of numbered pictures"):
        read_source(tmp_path, KEYS, None, 10.0)
