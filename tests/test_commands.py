"""The command `understudy` as a person types it, as far as it needs no screen: help, doctor, import, predict."""

import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import zarr
from stages.evaluation.acting import Acting, write_acting
from stages.models.policy import RecurrentPolicy

from stages.commands import engines, understudy
from stages.commands.doctor import Case, sync_lines
from stages.commands.models import STORE, TRAINED, add_model, add_rule, recorded_fps, rule_of
from stages.episodes.store import SCHEMA
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.models.agent import Agent
from stages.models.autoencoder import Autoencoder
from stages.recordings.session import SessionWriter
from stages.recordings.sync import Certificate
from stages.recordings.verdict import Verdict
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
        run = "from stages.commands import understudy; understudy.main()"
        code = f"{blocked} sys.argv = ['understudy', '{command}', '--help']; {run}"
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
    assert re.search(r"SHOOT +reflex +0.30 +9 +3 +3 +3 ", printed)  # presses: all, train, val, test
    assert re.search(r"held, of +all +train +val +test\n(.+\n)*SHOOT( +22.5%){4}\n", printed)
    assert "sync not known: no key is pressed 20 times" in printed


def test_the_certificate_is_printed_with_its_uncertainty():
    known = Certificate(90.4, 80, 101, 1.5, 0.5, 6.2, 2.8, 14.1, 0.25)
    short = Certificate(lag_ms=90, lag_low_ms=80, lag_high_ms=100, r2=0.25)
    cases = [Case(name, None, Verdict("good", ()), sync) for name, sync in (("a", known), ("b", short))]
    first, second, _ = sync_lines(cases)
    assert first == (
        "a: the picture follows the keys by 90 (80 to 101) ms; drift +1.5 +-0.5 ms a minute, jitter 6 (3 to 14) ms; "
        "R2 0.25"
    )
    assert "too short to tell a drift" in second and "nan" not in second


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
    assert "a: take it out of mine now: a-fixed is the same recording" in printed
    assert " good" in run(monkeypatch, capsys, "doctor", "mine/a-fixed", "--no-sync")


def test_the_doctor_does_not_let_a_session_lie_beside_its_repaired_one(project, monkeypatch, capsys):
    write(project / "mine", "a", stuck=True)
    run(monkeypatch, capsys, "doctor", "mine/a", "--no-sync", "--fix")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, "doctor", "mine", "--no-sync")
    printed = capsys.readouterr().out
    assert ended.value.code == 1 and printed.count(" good") == 1
    assert "a: a-fixed is the same recording, repaired: take one of the two out" in printed
    for path in [*Path("mine").glob("a_*"), Path("mine/a.mp4")]:
        path.unlink()
    assert "same recording" not in run(monkeypatch, capsys, "doctor", "mine", "--no-sync")


def write_pictures(folder, labels):
    """Twenty numbered pictures with their labels.csv."""
    folder.mkdir(parents=True)
    for i in range(20):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((32, 48, 3), 10 * i, np.uint8))
    (folder / "labels.csv").write_text("LEFT\n" + labels)


def test_import_ends_with_the_doctor(project, monkeypatch, capsys):
    write_pictures(project / "source", "0\n1\n" * 10)
    printed = run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert "not carried over:" in printed and "when within a frame a key went down" in printed
    assert "source " in printed and " good" in printed
    with pytest.raises(SystemExit, match="exists already"):
        run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)


def test_an_import_that_fails_leaves_nothing_behind(project, monkeypatch, capsys):
    for run_number in (1, 2):
        write_pictures(project / f"source/run{run_number}", "0\n1\n" * 10)
    write(project / "mine", "other")
    before = sorted(Path("mine").iterdir())
    broken = Path("source/run2/15.png")
    broken.write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="15.png cannot be read"):
        run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert sorted(Path("mine").iterdir()) == before
    shutil.copy(broken.with_name("14.png"), broken)
    assert "run2 " in run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert Path("mine/run1.mp4").is_file() and Path("mine/run2.mp4").is_file()


def test_an_import_that_must_not_be_trained_on_does_not_end_well(project, monkeypatch, capsys):
    write_pictures(project / "source", "0\n" * 20)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert ended.value.code == 1
    assert "source: no key of the game is ever pressed" in capsys.readouterr().out


@pytest.fixture
def model(project):
    """A tiny agent with untrained weights."""
    torch.manual_seed(0)
    size = {"kind": "dense", "channels": [4, 8], "latent_dim": 6, "height": 18, "width": 32, "in_channels": 1}
    head = {"latent_shape": [6], "hidden": [5, 4], "cell": "gru", "dropout": 0.0}
    save_model(project / "models/autoencoder", Autoencoder(**size), size)
    policy = RecurrentPolicy(**head, actions=4)
    save_model(project / "models/policy", policy, {**head, "actions": list(ACTIONS), "sequence_length": 3})
    rule = Acting(np.array([0.0, 1.1, 0.0, 1.1]), np.ones(4), np.zeros(4))
    write_acting(project / "models/policy/acting.json", rule, ACTIONS)
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


class Broken:
    """An OpenVINO of which a part is missing."""

    @classmethod
    def load(cls, *_, **__):
        raise ImportError("libopenvino.so: cannot open shared object file")


def test_an_openvino_that_does_not_work_is_left_alone_or_named(model, monkeypatch, capsys):
    monkeypatch.setitem(engines.KINDS, "openvino", Broken)
    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    compute = prepare_compute("cpu", "no", threads=1, seed=0)
    acting = Acting(np.full(4, 0.5), np.ones(4), np.zeros(4))
    assert type(engines.load_agent(model, "auto", compute, acting)) is Agent
    said = capsys.readouterr().out
    assert said == (
        "computed by torch: OpenVINO is installed, but does not work "
        "(ImportError: libopenvino.so: cannot open shared object file)\n"
    )
    with pytest.raises(ValueError, match="does not work .*libopenvino.so.*--engine torch"):
        engines.load_agent(model, "openvino", compute, acting)


def test_the_frame_rate_is_that_of_the_agent_not_of_this_project(project, model):
    """This project's episodes say nothing of what another folder's agent learned from."""
    zarr.create_group(project / STORE, attributes={"schema": SCHEMA, "fps": 11.5})
    shutil.copytree(model, TRAINED)
    assert recorded_fps(TRAINED) == 11.5
    with pytest.raises(ValueError, match="the agent in models learned: give --fps"):
        recorded_fps(model)
    config = model / "policy/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"fps": 20}))
    assert recorded_fps(model) == 20.0


def test_predict_without_a_trained_agent_says_what_to_run(project, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="run dvc repro first"):
        run(monkeypatch, capsys, "predict", "models", "mine/a")
