"""The command `understudy` as a person types it, as far as it needs no screen: help, doctor, import, predict."""

import argparse
import csv
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from stages import understudy
from stages.commands.models import add_model, add_rule, rule_of
from stages.evaluation.acting import Acting, write_acting
from stages.learning.checkpoints import save_model
from stages.models.autoencoder import Autoencoder
from stages.models.policy import RecurrentPolicy
from stages.recordings.session import SessionWriter
from stages.recordings.video import count_frames

ROOT = Path(__file__).parents[1]
ACTIONS = ("LEFT", "RIGHT", "SHOOT", "DASH")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml, as the commands want it."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, capsys, *arguments) -> str:
    """What it prints; SystemExit where it ends with an error."""
    monkeypatch.setattr(sys, "argv", ["understudy", *map(str, arguments)])
    understudy.main()
    return capsys.readouterr().out


def write(folder, stem, *, stuck=False, presses=3):
    metadata = {"game": "", "keys": {}, "recorder": "test", "player": "human"}
    with SessionWriter(
        folder, stem, width=64, height=48, fps=10, metadata=metadata, crf=30, state_columns=None
    ) as writer:
        for i in range(40):
            writer.frame(np.full((48, 64, 3), 5 * i, np.uint8), i / 10)
        writer.marker("fight_start", 0.0)
        for k in range(presses):
            writer.key("keydown", "Key.space", 0.5 + k)
            writer.key("keyup", "Key.space", 0.8 + k)
        if stuck:
            writer.key("keydown", "Key.left", 3.5)
        writer.marker("fight_end", 3.95)


@pytest.mark.parametrize("command", ["record", "doctor", "import", "predict", "play"])
def test_help_is_there_for_every_command(monkeypatch, capsys, command):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, command, "--help")
    assert ended.value.code == 0 and f"understudy {command}" in capsys.readouterr().out


def test_without_the_live_libraries_everything_but_the_screen_works():
    """mss, pynput, Xlib and tkinter are taken away: help, doctor and import must not miss them."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(['mss', 'pynput', 'Xlib', 'tkinter']));"
    for command in ("record", "doctor", "import"):
        code = f"{blocked} sys.argv = ['understudy', '{command}', '--help']; import stages.understudy as u; u.main()"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
        assert ended.returncode == 0, ended.stderr
        assert "torch" not in ended.stderr


def test_outside_of_a_project_it_says_where_to_start_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="start understudy in the project's folder"):
        run(monkeypatch, capsys, "doctor", tmp_path)


def test_the_doctor_of_a_folder(project, monkeypatch, capsys):
    for stem in ("a", "b", "c"):
        write(project / "mine", stem)
    printed = run(monkeypatch, capsys, "doctor", "mine")
    assert printed.count(" good") == 3
    assert sorted(path.name for path in Path("reports/doctor").iterdir()) == ["a.png", "b.png", "c.png"]
    assert "record more of SHOOT" in printed and "LEFT is never pressed" in printed
    assert "sync not known: no key is pressed 20 times" in printed


def test_keys_on_the_command_line_say_which_actions_there_are(project, monkeypatch, capsys):
    """A game whose actions do not stand in params.yaml needs no edit of it to be looked at."""
    for stem in ("a", "b", "c"):
        write(project / "mine", stem)
    printed = run(monkeypatch, capsys, "doctor", "mine", "--keys", "JUMP=Key.space")
    assert printed.count(" good") == 3 and "JUMP" in printed and "SHOOT" not in printed


def test_the_doctor_refuses_what_is_bad_and_repairs_what_can_be(project, monkeypatch, capsys):
    write(project / "mine", "a", stuck=True)
    write(project / "mine", "b", presses=0)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, "doctor", "mine", "--no-sync")
    printed = capsys.readouterr().out
    assert ended.value.code == 1
    assert "b: no key of the game is ever pressed" in printed and "still down at the end: Key.left" in printed
    printed = run(monkeypatch, capsys, "doctor", "mine/a.mp4", "--no-sync", "--fix")
    assert "a: wrote a-fixed: Key.left, down since 3.500, goes up at 3.950" in printed
    assert " good" in run(monkeypatch, capsys, "doctor", "mine/a-fixed", "--no-sync")


def test_import_ends_with_the_doctor(project, monkeypatch, capsys):
    source = project / "source"
    source.mkdir()
    for i in range(20):
        cv2.imwrite(str(source / f"{i}.png"), np.full((32, 48, 3), 10 * i, np.uint8))
    (source / "labels.csv").write_text("LEFT\n" + "0\n1\n" * 10)
    printed = run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert "not carried over:" in printed and "when within a frame a key went down" in printed
    assert "source " in printed and " good" in printed
    with pytest.raises(SystemExit, match="exists already"):
        run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)


@pytest.fixture
def model(project):
    """A tiny agent with untrained weights."""
    torch.manual_seed(0)
    size = {"kind": "dense", "channels": [4, 8], "latent_dim": 6, "height": 18, "width": 32, "in_channels": 1}
    head = {"latent_shape": [6], "hidden": [5, 4], "cell": "gru", "dropout": 0.0}
    save_model(project / "models/autoencoder", Autoencoder(**size), size)
    policy = RecurrentPolicy(**head, actions=4)
    save_model(project / "models/head", policy, {**head, "actions": list(ACTIONS), "sequence_length": 3})
    rule = Acting(np.array([0.0, 1.1, 0.0, 1.1]), np.ones(4), np.zeros(4))
    write_acting(project / "models/head/acting.json", rule, ACTIONS)
    return Path("models")


def test_predict_writes_a_row_and_a_picture_a_frame(project, model, monkeypatch, capsys):
    write(project / "mine", "a")
    printed = run(monkeypatch, capsys, "predict", model, "mine/a", "--out", "out")
    rows = list(csv.DictReader(Path("out/a.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 40 == count_frames("out/a.mp4")
    assert {(row["press_LEFT"], row["press_RIGHT"], row["press_SHOOT"]) for row in rows} == {("1", "0", "1")}
    assert all(0 <= float(row[f"p_{action}"]) <= 1 for row in rows for action in ACTIONS)
    assert "SHOOT: F1 against the player's own keys 0." in printed


def test_the_rule_chosen_in_play_is_that_of_the_agent_that_played(project):
    """Another folder's agent, as every test's, must not depend on what the last run of the project chose."""
    chosen = project / "reports/play/choice.json"
    chosen.parent.mkdir(parents=True)
    chosen.write_text('{"acting_rule": "likely"}')

    def rule(*words: str) -> str:
        parser = argparse.ArgumentParser()
        add_model(parser)
        add_rule(parser)
        return rule_of(parser.parse_args(words))

    assert rule("data/models") == "likely"
    assert rule("models") == "threshold"
    assert rule("data/models", "--rule", "sampled") == "sampled"


def test_predict_without_a_trained_agent_says_what_to_run(project, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="run dvc repro first"):
        run(monkeypatch, capsys, "predict", "models", "mine/a")
