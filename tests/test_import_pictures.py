"""Numbered pictures with a table of labels, written by OpenCV, become sessions; and what is no recording at all."""

import json

import cv2
import numpy as np
import pytest

from stages.recordings.actions import ActionVocabulary
from stages.recordings.video import read_frames
from tests.importing import HELD, imported


def pictures(folder, count=6):
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((32, 48, 3), 40 * i % 256, np.uint8))
    return folder


def labels_csv(folder, header="left,SHOOT,health"):
    rows = "".join(f"{a},{b},{99 - i}\n" for i, (a, b) in enumerate(HELD))
    (folder / "labels.csv").write_text(f"{header}\n{rows}")


def test_pictures_with_a_table_give_their_labels_back(tmp_path):
    folder = pictures(tmp_path / "source/run1")
    labels_csv(folder)
    [(found, lost)] = imported(tmp_path / "source", tmp_path / "out", "--fps", 5)
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
        (
            lambda f: labels_csv(f, "jump,duck,health"),
            r"no column for \['LEFT', 'SHOOT'\]; found \['jump', 'duck', 'health'\].*--keys",
        ),
        (lambda f: labels_csv(f, "left,duck,health"), r"no column for \['SHOOT'\]"),
        (lambda f: labels_csv(f, "left,SHOOT,LEFT"), "the header names .*'left'.* more than once"),
        (lambda f: (f / "labels.csv").write_text("LEFT,SHOOT\n" + "1,maybe\n" * 6), "expected 0 or 1"),
        (
            lambda f: (f / "labels.csv").write_text("t,LEFT,SHOOT\n" + "".join(f"{9 - i},1,0\n" for i in range(6))),
            "backwards",
        ),
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
    (folder / "labels.csv").write_text("t,LEFT,SHOOT\n" + "".join(f"{each},1,0\n" for each in times))
    with pytest.raises(ValueError, match=f"labels.csv, row 3: t is '{t}', expected seconds"):
        imported(folder, tmp_path / "out")


def test_a_folder_that_cannot_be_made_is_told_in_a_line(tmp_path):
    folder = pictures(tmp_path / "run")
    labels_csv(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file/out cannot be opened: Not a directory"):
        imported(folder, tmp_path / "file/out")


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a folder nor a .mcap file"):
        imported(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ValueError, match="no folder of numbered pictures"):
        imported(tmp_path, tmp_path / "out")
    (tmp_path / "inner.zarr").mkdir()
    with pytest.raises(ValueError, match=r"found \['inner.zarr'\]. Name the recording itself"):
        imported(tmp_path, tmp_path / "out")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ValueError, match="link is a link to nowhere, which is not there"):
        imported(tmp_path / "link", tmp_path / "out")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("\ufeffLEFT,SHOOT", "{0},{1}"),
        ("LEFT ; SHOOT", " {0} ; {1}"),
        ("LEFT\tSHOOT", "{0}\t{1}"),
        ("# LEFT,SHOOT", "{0}.0,{1}.000e+00"),
        ("# made by a script\nLEFT,SHOOT", "{0},{1}"),
        ("sep=;\nLEFT;SHOOT;", "{0};{1};"),
        ('"LEFT","SHOOT",', '"{0}","{1}",'),
        ("# LEFT SHOOT", "{0}.000e+00 {1}.000e+00"),
        ("  LEFT  SHOOT", "     {0}      {1} "),
    ],
)
def test_dialects_of_spreadsheets_and_numpy_are_one_table(tmp_path, header, row):
    folder = pictures(tmp_path / "run")
    empty = "".join(character for character in row if character in ",;\t")  # as spreadsheets fill up a table
    lines = [header, *(row.format(a, b) for a, b in HELD), empty, empty]
    (folder / "labels.csv").write_bytes("\r\n".join(lines).encode())
    [(found, _)] = imported(folder, tmp_path / "out")
    np.testing.assert_array_equal(found.timeline.actions, HELD)


def test_a_single_column_may_be_called_by_two_words(tmp_path):
    folder = pictures(tmp_path / "run")
    (folder / "labels.csv").write_text("Move left\n" + "".join(f"{a}\n" for a, _ in HELD))
    vocabulary = ActionVocabulary.from_params(["MOVE LEFT"], {"MOVE LEFT": ("a",)})
    [(found, _)] = imported(folder, tmp_path / "out", vocabulary=vocabulary)
    np.testing.assert_array_equal(found.timeline.actions, HELD[:, :1])


def test_a_header_whose_letters_are_written_in_two_parts_is_the_same_word(tmp_path):
    folder = pictures(tmp_path / "run")
    labels_csv(folder, "o\u0308FFNEN,SHOOT,health")
    vocabulary = ActionVocabulary.from_params(["\u00d6FFNEN", "SHOOT"], {"\u00d6FFNEN": ("o",), "SHOOT": ("x",)})
    [(found, _)] = imported(folder, tmp_path / "out", vocabulary=vocabulary)
    np.testing.assert_array_equal(found.timeline.actions, HELD)


@pytest.mark.parametrize("name", ["{}.png", "run/{:04}.PNG", "C:\\run\\{}.jpg"])
def test_rows_that_name_their_pictures_are_put_into_their_order(tmp_path, name):
    folder = pictures(tmp_path / "run", count=12)
    order = sorted(range(12), key=str)  # 0, 1, 10, 11, 2, ...
    (folder / "labels.csv").write_text(
        "image,LEFT,SHOOT\n" + "".join(f"{name.format(i)},{i % 2},{i // 6}\n" for i in order)
    )
    [(found, _)] = imported(folder, tmp_path / "out")
    np.testing.assert_array_equal(found.timeline.actions, [[i % 2, i // 6] for i in range(12)])


@pytest.mark.parametrize(
    ("header", "cells", "words"),
    [
        ("image", [f"{i}.png" for i in (0, 1, 2, 3, 4, 4)], "no row names 5.png in its column 'image'"),
        ("", [6, 5, 4, 3, 2, 1], "row 2: the column without a name is 5 after 6"),
        ("Frame_Index", [0, 2, 1, 3, 4, 5], "row 2: Frame_Index is 2 after 0"),
    ],
)
def test_rows_that_are_said_to_be_of_other_pictures_are_refused(tmp_path, header, cells, words):
    folder = pictures(tmp_path / "run")
    (folder / "labels.csv").write_text(f"{header},LEFT,SHOOT\n" + "".join(f"{cell},1,0\n" for cell in cells))
    with pytest.raises(ValueError, match=words):
        imported(folder, tmp_path / "out")


def test_decimal_commas_are_read_in_times_and_give_the_frame_rate(tmp_path):
    folder = pictures(tmp_path / "run")
    rows = "".join(f"{100 + i / 4};{a};{b}\n".replace(".", ",") for i, (a, b) in enumerate(HELD))
    (folder / "labels.csv").write_text("t;LEFT;SHOOT\n" + rows, encoding="utf-16")
    [(found, _)] = imported(folder, tmp_path / "out")
    np.testing.assert_allclose(found.session.times, 100 + np.arange(6) / 4)
    assert found.session.fps == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LEFT,SHOOT\n" + "0.5,0\n" * 6, "frame 0: LEFT is 0.5, expected 0 or 1"),
        ("LEFT,SHOOT\n" + "1,0\n" * 5 + "1,\n", "row 6: SHOOT is '', expected 0 or 1"),
        ("LEFT,SHOOT\n" + "1,0,1\n" * 6, "row 1 has 3 cells, the header 2"),
        ("frame,LEFT,SHOOT\n" + "7,1,0\n" * 6, "row 2: frame is 7 after 7"),
        ("", "labels.csv is empty"),
        ("1,0\n" * 6, "begins with '1,0'; it needs a header"),
        ("LEFT,SHOOT\n" + "1,\0\n" * 6, "it holds zero bytes"),
        ('LEFT,"SHOOT\n' + "1,0\n" * 6, "labels.csv cannot be read: Error: unexpected end"),
        ("LEFT,SHOOT\n" + "x" * 500 + ",0\n" + "1,0\n" * 5, "row 1: LEFT is 'x{1,40} "),
    ],
)
def test_tables_that_would_teach_nonsense_are_refused_in_a_line(tmp_path, text, words):
    folder = pictures(tmp_path / "run")
    (folder / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=words) as raised:
        imported(folder, tmp_path / "out")
    assert len(str(raised.value)) < 500 and "\n" not in str(raised.value)


def test_bytes_that_are_no_text_are_refused_with_the_file(tmp_path):
    folder = pictures(tmp_path / "run")
    (folder / "labels.csv").write_bytes(b"LEFT,SH\xd6\xd6T\n")
    with pytest.raises(ValueError, match="labels.csv cannot be read: UnicodeDecodeError"):
        imported(folder, tmp_path / "out")


def test_what_systems_leave_in_folders_is_left_out_and_counted(tmp_path):
    folder = pictures(tmp_path / "source/run")
    labels_csv(folder)
    for name in ("._0.png", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\26\7")
    (tmp_path / "source/__MACOSX/run").mkdir(parents=True)
    (tmp_path / "source/__MACOSX/._0.png").write_bytes(b"\0\5\26\7")
    [(_, lost)] = imported(tmp_path / "source", tmp_path / "out")
    assert "3 files that are no pictures: ['.DS_Store', '._0.png', 'Thumbs.db']" in lost
    assert "1 files beside the folders of pictures: ['__MACOSX']" in lost


def test_bad_recordings_are_left_out_only_when_asked_for(tmp_path):
    for name in ("a", "b", "c"):
        labels_csv(pictures(tmp_path / "source" / name))
    (tmp_path / "source/b/3.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="b/3.png cannot be read as a picture"):
        imported(tmp_path / "source", tmp_path / "out")
    assert not [*(tmp_path / "out").iterdir()]
    found = imported(tmp_path / "source", tmp_path / "out", "--skip-bad")
    assert [one.session.stem for one, _ in found] == ["a", "c"]
    assert not [*(tmp_path / "out").glob("b*")]
    (tmp_path / "all/b").mkdir(parents=True)
    (tmp_path / "all/b/0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="all 1 recordings are bad, the first: .*no labels.csv"):
        imported(tmp_path / "all", tmp_path / "none", "--skip-bad")


def test_keys_of_json_lines_that_are_none_of_the_map_are_refused(tmp_path):
    folder = pictures(tmp_path / "run")
    (folder / "labels.jsonl").write_text('{"keys": ["q"]}\n' * 6)
    with pytest.raises(ValueError, match=r"its keys \{'q': 6\} are none of"):
        imported(folder, tmp_path / "out")


@pytest.mark.parametrize("column", ["image", "id", "Step"])
@pytest.mark.parametrize("written", ["{}", "{:04d}"])
def test_a_column_that_numbers_the_pictures_gives_their_order(tmp_path, column, written):
    folder = pictures(tmp_path / "run")
    order = [3, 0, 5, 1, 4, 2]
    rows = "".join(f"{written.format(i)},{HELD[i][0]},{HELD[i][1]}\n" for i in order)
    (folder / "labels.csv").write_text(f"{column},LEFT,SHOOT\n{rows}")
    [(found, _)] = imported(folder, tmp_path / "out", "--fps", 5)
    np.testing.assert_array_equal(found.timeline.actions, HELD)


def test_a_column_that_counts_down_may_be_a_timer(tmp_path):
    folder = pictures(tmp_path / "run")
    rows = "".join(f"{5 - i},{a},{b}\n" for i, (a, b) in enumerate(HELD))
    (folder / "labels.csv").write_text(f"time_left,LEFT,SHOOT\n{rows}")
    with pytest.raises(ValueError, match="its column 'time_left' counts down"):
        imported(folder, tmp_path / "out", "--fps", 5)


@pytest.mark.parametrize("unit", [1e6, 1e9, 1e-6])
def test_times_that_are_no_seconds_are_refused(tmp_path, unit):
    folder = pictures(tmp_path / "run")
    rows = "".join(f"{i * unit / 20:.9g},{a},{b}\n" for i, (a, b) in enumerate(HELD))
    (folder / "labels.csv").write_text(f"t,LEFT,SHOOT\n{rows}")
    with pytest.raises(ValueError, match=r"labels.csv: by its column t the pictures are .* are these seconds\?"):
        imported(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"LEFT": 1, "SHOOT": 0, "LEFT": 0}', "row 3 is not JSON: .*a name stands twice"),
        ('{"pressed": ["x"]}', "row 3 has no list of keys"),
        ('{"keys": null}', "row 3 has no list of keys"),
    ],
)
def test_a_row_of_json_that_tells_nothing_certain_is_refused(tmp_path, row, words):
    folder = pictures(tmp_path / "run")
    (folder / "labels.jsonl").write_text("".join(('{"keys": ["x"]}\n', f"{row}\n")[i == 2] for i in range(6)))
    with pytest.raises(ValueError, match=words):
        imported(folder, tmp_path / "out", "--fps", 5)
