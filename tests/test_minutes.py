"""The study of what more recordings are worth: which sessions are learned from, and what is told of a row."""

import csv
import shutil

import numpy as np
import pytest

from stages.evaluation.figures.minutes import minutes_figure
from stages.games.catalog import TEST_SEEDS, VALIDATION_SEEDS
from stages.params import read_params
from stages.paths import PLAY_BASELINES
from stages.studies.minutes.learn import prepare, splits
from stages.studies.minutes.summarise import table
from stages.studies.workspace import Workspace

NAMES = [f"s{number:02d}" for number in range(20)]


@pytest.mark.parametrize(("count", "val"), [(3, 1), (4, 1), (7, 1), (14, 2), (20, 3)])
def test_validation_is_one_session_in_seven_and_no_test_session(count, val):
    found = splits(NAMES[:count], ["t1"], 3)
    assert found == {"split.unit": "session", "split.test": ["t1"], "split.val": NAMES[count - val : count]}


def test_of_fewer_than_three_sessions_validation_is_the_last_episode_of_each():
    assert splits(NAMES[:2], ["t1"], 3)["split.val"] == ["s00:3", "s01:3"]
    assert splits(NAMES[:1], ["t1"], 3) == {"split.unit": "episode", "split.test": ["t1"], "split.val": ["s00:3"]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the project's params.yaml."""
    shutil.copy2("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_workspace_is_made_anew_with_params_of_its_own(project):
    (project / "w/data").mkdir(parents=True)
    workspace = Workspace("w", {"latent_dim": 16, "collect.sessions": 3})
    found = read_params(workspace.folder / "params.yaml")
    assert (found.latent_dim, found.collect.sessions, read_params().latent_dim) == (16, 3, 128)
    assert not (project / "w/data").exists()
    with pytest.raises(ValueError, match="a study sets collect.session, which params.yaml does not have"):
        Workspace("w", {"collect.session": 3})
    with pytest.raises(ValueError, match=r"(?s)w.params.yaml .*latent_dim: found 0"):
        Workspace("w", {"latent_dim": 0})


def test_a_workspace_keeps_the_spelling_of_names(project):
    text = (project / "params.yaml").read_text(encoding="utf-8").replace("  val: 0.15 ", "  val: [001, 12:30, 'n'] ")
    (project / "params.yaml").write_text(text, encoding="utf-8")
    found = read_params(Workspace("w", {"recordings": "1e3"}).folder / "params.yaml")
    assert (found.recordings, found.split.val) == ("1e3", ("001", "12:30", "n"))


def test_a_row_gets_its_sessions_and_the_games_that_it_plays(project):
    recorded = project / "recorded"
    recorded.mkdir()
    for name in ("a", "ab", "b"):
        for end in (".mp4", "_frames.jsonl", "_events.jsonl"):
            (recorded / f"{name}{end}").write_text(name)
    PLAY_BASELINES.mkdir(parents=True)
    (PLAY_BASELINES / "choice.json").write_text("{}")
    with (PLAY_BASELINES / "returns.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["split", "policy", "seed", "return", "length"])
        table.writerows(["test", "script", TEST_SEEDS + number, number, 9] for number in range(200))
        table.writerow(["val", "script", VALIDATION_SEEDS + 31, 1, 9])
    params = read_params()
    workspace = Workspace("w", {})
    prepare(workspace, params, recorded, ["a", "b"], 96)
    copied = {path.name for path in (workspace.folder / "data/raw" / params.game).iterdir()}
    assert copied == {f"{name}{end}" for name in "ab" for end in (".mp4", "_frames.jsonl", "_events.jsonl")}
    with (workspace.folder / PLAY_BASELINES / "returns.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in rows if row["split"] == "test"] == [TEST_SEEDS + n for n in range(96)]
    assert sum(row["split"] == "val" for row in rows) == 1


def test_rows_as_a_table_and_as_a_curve():
    row = {"sessions": 7, "seed": 0, "train_frames": 5818, "minutes": 8.31, "onset_f1": 0.654, "seconds": 361.2,
           "return_fraction": 0.9, "return_fraction_low": 0.8, "return_fraction_high": 1.0}  # fmt: skip
    lines = table([row]).splitlines()
    assert lines[0] == "| sessions | train frames | minutes | seed | return fraction | onset f1 | seconds |"
    assert lines[2] == "| 7 | 5,818 | 8.31 | 0 | 0.90 (0.80-1.00) | 0.65 | 361 |"
    figure = minutes_figure([row, row | {"sessions": 20, "minutes": 25.0, "return_fraction": 1.0}])
    assert [len(axis.lines[0].get_xdata()) for axis in figure.axes[:2]] == [2, 2]
    assert np.allclose(figure.axes[0].lines[0].get_ydata(), [0.9, 1.0])
