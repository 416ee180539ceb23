"""The study suite: which sessions are learned from, what a row tells, and that presets are enough."""

import shutil

import pytest

from stages.evaluation.figures.suite import suite_figure
from stages.games.catalog import bundled
from stages.params import read_params
from stages.studies.row import made_by
from stages.studies.suite.inputs import SuiteParams
from stages.studies.suite.record import minutes_of, splits
from stages.studies.suite.summarise import median, table
from stages.studies.workspace import Workspace, preset

MINUTES = {f"s{number}": 1.5 for number in range(10)}
ROW = {
    "game": "pong", "policy": "cnn", "seed": 0, "minutes": 12.1, "return": 3.0, "script": 9.0, "best_blind": 1.0,
    "return_fraction": 0.25, "return_fraction_low": 0.1, "return_fraction_high": 0.4, "onset_f1": 0.5, "seconds": 61.2,
}  # fmt: skip


def test_the_fewest_sessions_that_reach_the_minutes_are_learned_from_and_the_next_one_is_test():
    assert splits(MINUTES, 12, "pong") == {"split.val": ["s7"], "split.test": ["s8"]}
    assert splits(MINUTES, 11, "pong") == {"split.val": ["s7"], "split.test": ["s8"]}
    assert splits(dict.fromkeys((f"s{n:02d}" for n in range(30)), 0.5), 12, "pong") == {
        "split.val": ["s21", "s22", "s23"], "split.test": ["s24"],
    }  # fmt: skip


def test_of_sessions_that_differ_as_many_are_validation_as_make_a_seventh_of_the_minutes():
    minutes = {"a": 4.0, "b": 3.0, "c": 3.0, "d": 1.2, "e": 0.4, "f": 0.5, "g": 2.0}
    assert splits(minutes, 12, "doom_dodge") == {"split.val": ["d", "e", "f"], "split.test": ["g"]}


def test_one_long_session_is_not_training_and_validation_at_once():
    assert splits({"a": 20.0, "b": 20.0, "c": 20.0}, 12, "pong") == {"split.val": ["b"], "split.test": ["c"]}
    with pytest.raises(ValueError, match="raise collect.sessions"):
        splits({"a": 20.0, "b": 20.0}, 12, "pong")


def test_too_few_recorded_minutes_are_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"12 minutes of pong and a session more, its preset records 12\.0 in 8"):
        splits(dict.fromkeys("abcdefgh", 1.5), 12, "pong")


def test_only_frames_of_episodes_count():
    assert minutes_of({"a": {"frames_in_episodes": 1200, "frames": 9999, "interval_ms": {"median": 100.0}}}) == {"a": 2}


def test_a_row_a_training_and_none_where_nothing_is_defined():
    nothing = {"return_fraction": None, "return_fraction_low": None, "return_fraction_high": None}
    lines = table([ROW, ROW | nothing]).splitlines()
    assert lines[2] == "| pong | cnn | 0 | 12.1 | 3.0 | 9.0 | 1.0 | 0.25 (0.10-0.40) | 0.50 | 61 |"
    assert (median([0.5, 0.9, 0.7]), median([0.5, None])) == (0.7, None)
    figure = suite_figure([ROW, ROW | {"game": "flappy"}, ROW | {"policy": "vit"}, ROW | nothing])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["pong", "flappy"]
    assert [label.get_text() for label in figure.axes[0].get_legend().get_texts()] == ["cnn", "vit"]


@pytest.mark.parametrize("game", read_params().section("suite", SuiteParams).games)
def test_a_preset_sets_all_that_is_the_games_own(game, tmp_path, monkeypatch):
    """dvc.yaml counts on it: it does not name these params of the project."""
    changes = preset(game)
    assert {"game", "recordings", "actions", "keys", "rare_actions"} <= changes.keys() and changes["game"] == game
    assert set(changes["actions"]) <= set(bundled(game).keys)
    shutil.copy2("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    found = read_params(Workspace("w", changes).folder / "params.yaml")
    assert found.game == game and (made_by(found) == made_by(read_params())) == (game == read_params().game)


def test_a_preset_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match=r"presets.chess.yaml cannot be read"):
        preset("chess")
