"""The command `understudy` as a person types it, as far as it needs no screen: help, doctor, import, predict."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from stages.commands import agent as commands_agent
from stages.commands import doctor, play, understudy
from stages.commands.doctor import Case, sync_lines
from stages.commands.options import require_writable
from stages.live.deciding import Chance, for_chance
from stages.live.latency import Latencies
from stages.models.acting import Acting
from stages.models.agent import Agent, copy_agent
from stages.models.policies import registry
from stages.models.policies.policy import Policy
from stages.params import read_params
from stages.recordings.sync import Certificate
from stages.recordings.verdict import Verdict
from stages.recordings.video import count_frames
from stages.recordings.writer import SessionWriter
from tests.agents import KEYS, LATENT, acting_of, write_small_agent

ROOT = Path(__file__).parents[1]


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
            image = np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)
            writer.frame(image, i / 10)
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


def test_the_recorder_starts_without_the_libraries_of_learning():
    blocked = "import sys; sys.modules.update(dict.fromkeys(['torch', 'sklearn'])); import stages.commands.record"
    ended = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr


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
    assert "b: no key of the game is ever pressed" in printed and "keyups were lost: Key.left, down at 3.50" in printed
    printed = run(monkeypatch, capsys, "doctor", "mine/a.mp4", "--no-sync", "--fix")
    assert "a: wrote a-fixed: Key.left, down since 3.500, goes up at 3.950" in printed
    assert "a: take it out of mine now: a-fixed is the same recording" in printed
    assert " good" in run(monkeypatch, capsys, "doctor", "mine/a-fixed", "--no-sync")


def test_a_picture_beside_sessions_hides_none_of_them(project, monkeypatch, capsys):
    write(project / "mine", "a")
    (project / "mine/1.png").write_bytes(b"a screenshot")
    assert "a " in run(monkeypatch, capsys, "doctor", "mine", "--no-sync")


@pytest.mark.parametrize("given", ["mine/b", "mina", "mine/b.mp4", "mine/b_frames.jsonl", "params.yaml"])
def test_the_doctor_of_what_is_not_there(project, monkeypatch, capsys, given):
    write(project / "mine", "a")
    with pytest.raises(SystemExit, match=f"{given} is neither a folder nor a session; a session is named without"):
        run(monkeypatch, capsys, "doctor", given)


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
        image = np.random.default_rng(i).integers(0, 256, (32, 48, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    (folder / "labels.csv").write_text("LEFT,RIGHT,SHOOT,DASH\n" + labels)


def test_import_ends_with_the_doctor(project, monkeypatch, capsys):
    write_pictures(project / "source", "0,0,0,0\n1,0,0,0\n" * 10)
    printed = run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert "not carried over:" in printed and "when within a frame a key went down" in printed
    assert "source " in printed and " good" in printed
    with pytest.raises(SystemExit, match="exists already"):
        run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)


def test_an_import_that_fails_leaves_nothing_behind(project, monkeypatch, capsys):
    for run_number in (1, 2):
        write_pictures(project / f"source/run{run_number}", "0,0,0,0\n1,0,0,0\n" * 10)
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
    write_pictures(project / "source", "0,0,0,0\n" * 20)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, "import", "source", "--out", "mine", "--fps", 5)
    assert ended.value.code == 1
    assert "source: no key of the game is ever pressed" in capsys.readouterr().out


@pytest.fixture
def agent(project) -> Path:
    """An agent that always presses LEFT and SHOOT, never RIGHT and DASH."""
    return write_small_agent(project / "agent", fps=11.5, acting=acting_of([0.0, 1.1, 0.0, 1.1]))


def predicted(monkeypatch, capsys, *arguments) -> list[dict[str, str]]:
    """The table that predict writes of the session mine/a, a row a frame."""
    run(monkeypatch, capsys, "predict", *arguments, "--out", "out")
    return list(csv.DictReader(Path("out/a.csv").read_text(encoding="utf-8").splitlines()))


def test_predict_writes_a_row_and_a_picture_a_frame(project, agent, monkeypatch, capsys):
    write(project / "mine", "a")
    printed = run(monkeypatch, capsys, "predict", agent, "mine/a", "--out", "out")
    rows = list(csv.DictReader(Path("out/a.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 40 == count_frames("out/a.mp4")
    assert {(row["press_LEFT"], row["press_RIGHT"], row["press_SHOOT"]) for row in rows} == {("1", "0", "1")}
    assert all(0 <= float(row[f"p_{action}"]) <= 1 for row in rows for action in KEYS)
    assert "SHOOT: F1 against the player's own keys 0." in printed


def test_a_copied_agent_needs_nothing_of_the_project(project, tmp_path_factory, monkeypatch, capsys):
    """Carried to another machine it says the same of the same recording."""
    write(project / "mine", "a")
    original = predicted(monkeypatch, capsys, write_small_agent(project / "data/agent"), "mine/a", "--no-video")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(project / "data/agent", elsewhere / "robin")
    monkeypatch.chdir(elsewhere)
    assert not Path("params.yaml").exists()
    assert predicted(monkeypatch, capsys, "robin", project / "mine/a", "--no-video") == original
    assert len({row["p_LEFT"] for row in original}) > 10  # it looks at the picture


def test_the_rule_chosen_travels_with_the_folder(project, agent, monkeypatch, capsys):
    write(project / "mine", "a")
    copy_agent(agent, project / "likely", rule="likely")
    copy_agent(project / "likely", project / "sampled", rule="sampled")

    def pressed(*arguments) -> np.ndarray:
        rows = predicted(monkeypatch, capsys, *arguments, "mine/a", "--no-video")
        return np.array([[row[f"press_{action}"] == "1" for action in KEYS] for row in rows])

    rows = predicted(monkeypatch, capsys, "likely", "mine/a", "--no-video")
    likely = np.array([[float(row[f"p_{action}"]) >= 0.5 for action in KEYS] for row in rows])
    by_threshold = np.tile([True, False, True, False], (40, 1))
    assert (likely != by_threshold).any()
    np.testing.assert_array_equal(pressed(agent), by_threshold)
    np.testing.assert_array_equal(pressed("likely"), likely)
    np.testing.assert_array_equal(pressed("sampled", "--rule", "threshold"), by_threshold)
    drawn = pressed("sampled")
    assert (drawn != likely).any() and (drawn != by_threshold).any()
    np.testing.assert_array_equal(pressed("sampled", "--seed", 0), drawn)
    assert (pressed("sampled", "--seed", 1) != drawn).any()


def test_a_rule_that_there_is_not_is_told_with_its_file(agent, monkeypatch, capsys):
    about = agent / "agent.json"
    about.write_text(about.read_text().replace('"threshold"', '"bold"'))
    with pytest.raises(SystemExit, match="agent.json is damaged .*rule is 'bold', expected one of threshold, likely"):
        run(monkeypatch, capsys, "predict", agent, "mine/a")


@pytest.mark.parametrize("old", ["head", "autoencoder"])
@pytest.mark.parametrize("command", ["play", "predict"])
def test_the_folder_of_an_earlier_version_is_refused_in_a_sentence(project, monkeypatch, capsys, command, old):
    (project / "data/models" / old).mkdir(parents=True)
    (project / "data/models" / old / "config.json").write_text("{}")
    with pytest.raises(SystemExit, match="error: data/models holds no agent .*give data/agent.* no longer read$"):
        run(monkeypatch, capsys, command, "data/models", *HERE[command])


HERE = {"play": ("--region", "0,0,64x48"), "predict": ("mine/a",)}


class Knowing(Policy):
    """A policy that is told what the game itself knows."""

    reads = ("latents", "state")

    def __init__(self, **common):
        super().__init__(**common)
        self.output = nn.Linear(self.shapes["latents"][0] + self.shapes["state"][0], self.actions)

    def forward(self, latents, state):
        return self.output(torch.cat([latents[:, -1], state[:, -1]], dim=-1))


def write_knowing_agent(project, monkeypatch):
    """An agent that reads health and enemy_x beside the picture."""
    monkeypatch.setitem(registry.KINDS, "knowing", Knowing)
    policy = Knowing(shapes={"latents": [LATENT], "state": [2]}, window=1, actions=len(KEYS))
    write_small_agent(project / "agent", policy=policy, state_columns=("health", "enemy_x"))


def test_an_agent_that_reads_a_state_does_not_play_where_nothing_tells_it(project, monkeypatch, capsys):
    write_knowing_agent(project, monkeypatch)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, capsys, "play", "agent", *HERE["play"])
    assert str(ended.value).startswith("error: the agent in agent reads what the game itself knows")
    assert "['health', 'enemy_x']" in str(ended.value) and "\n" not in str(ended.value)
    assert "--state-from" in str(ended.value)
    assert capsys.readouterr().out == ""  # no word of an engine that does not work


def test_an_agent_that_reads_a_state_predicts_with_the_recorded_one(project, monkeypatch, capsys):
    write_knowing_agent(project, monkeypatch)
    write(project / "raw", "a")
    with pytest.raises(SystemExit, match=r"the recording has no \['health', 'enemy_x'\]: record it with --state-from"):
        run(monkeypatch, capsys, "predict", "agent", "raw/a", "--no-video")
    said = []
    for health in (0, 50):
        rows = ["enemy_x,health", *[f"1,{health}"] * 40]
        (project / "raw/a_state.csv").write_text("\n".join(rows) + "\n")
        run(monkeypatch, capsys, "predict", "agent", "raw/a", "--no-video")
        said.append((project / "reports/predict/a.csv").read_text())
    assert len(said[0].splitlines()) == 41 and said[0] != said[1]


@pytest.mark.parametrize(
    ("words", "fps", "rule"),
    [
        ((), 11.5, "likely"),
        (("--fps", "20", "--rule", "threshold"), 20.0, "threshold"),
        (("--random",), 11.5, "threshold"),
    ],
)
def test_play_takes_rate_keys_and_rule_of_the_agent(project, agent, monkeypatch, capsys, words, fps, rule):
    """This project's params.yaml and episodes say nothing of what another folder's agent learned from."""
    Path("params.yaml").unlink()
    copy_agent(agent, project / "copied", rule="likely")
    asked = []
    monkeypatch.setattr(play, "open_desktop", lambda: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(play, "require_known", lambda keys: None)
    monkeypatch.setattr(play, "require_made", lambda desktop, keys: None)
    monkeypatch.setattr(play, "on_signals", lambda handler: None)
    monkeypatch.setattr(play, "play", lambda *run: asked.append(run) or Latencies())
    printed = run(monkeypatch, capsys, "play", "copied", *HERE["play"], "--engine", "torch", *words)
    ((order, brain, decide, *_),) = asked
    assert order.fps == fps and decide.acting.rule == rule
    assert decide.keys == {action: keys[0] for action, keys in KEYS.items()}
    assert isinstance(brain, Chance if "--random" in words else Agent)
    assert ("by chance" if "--random" in words else f"acting rule: {rule}") in printed


class Broken:
    """An OpenVINO of which a part is missing."""

    @classmethod
    def load(cls, *_, **__):
        raise ImportError("libopenvino.so: cannot open shared object file")


def test_an_openvino_that_does_not_work_is_left_alone_or_named(agent, monkeypatch, capsys):
    monkeypatch.setitem(commands_agent.ENGINES, "openvino", Broken)
    monkeypatch.setattr(commands_agent, "find_spec", lambda name: name)
    assert type(commands_agent.load_agent(agent, "auto", device="cpu")) is Agent
    said = capsys.readouterr().out
    assert said == (
        "computed by torch: OpenVINO is installed, but does not work "
        "(ImportError: libopenvino.so: cannot open shared object file)\n"
    )
    with pytest.raises(ValueError, match="does not work .*libopenvino.so.*--engine torch"):
        commands_agent.load_agent(agent, "openvino", device="cpu")


@pytest.mark.parametrize("command", ["play", "predict"])
def test_without_a_trained_agent_it_says_where_one_is(project, monkeypatch, capsys, command):
    with pytest.raises(SystemExit, match="data/agent holds no agent .*which `dvc repro` writes$"):
        run(monkeypatch, capsys, command, "data/agent", *HERE[command])


def test_the_doctor_says_how_a_file_that_dvc_keeps_read_only_is_repaired_by_hand(tmp_path):
    write(tmp_path, "one")
    assert doctor.read_only_lines(tmp_path, ["one"]) == []
    (tmp_path / "one_events.jsonl").chmod(0o444)
    (line,) = doctor.read_only_lines(tmp_path, ["one"])
    assert "one_events.jsonl is read-only" in line and line.endswith(f"dvc unprotect {tmp_path}")


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(ValueError, match="mine is no folder that this user may write to"):
        require_writable(tmp_path / "mine")
    require_writable(tmp_path)
    require_writable(tmp_path / "new")


@pytest.mark.parametrize("words", [["--region", "-100,-80,640x480"], ["--region=-100,-80,640x480"]])
def test_a_region_may_begin_with_a_minus(words):
    arguments = understudy._joined(["record", *words, "--fps", "20"])
    options = understudy._parser("record").parse_args(arguments)
    assert (options.region, options.fps) == ("-100,-80,640x480", 20)


def test_new_sets_all_that_names_actions_and_keeps_comments(project, monkeypatch, capsys):
    before = (project / "params.yaml").read_text(encoding="utf-8")
    told = run(monkeypatch, capsys, "new", "--keys", "UP=w", "UP=Key.up", "JUMP=1", "--recordings", "data/raw/my game")
    assert "params.yaml is set for UP, JUMP" in told and "dvc repro report" in told
    params = read_params("params.yaml")
    assert params.actions == ("UP", "JUMP") and params.keys == {"UP": ("w", "Key.up"), "JUMP": ("1",)}
    assert (params.recordings, params.rare_actions) == ("data/raw/my game", ())
    assert params.evaluate.composite == {"UP": 0.5, "JUMP": 0.5}
    assert params.latent_action.probe_actions == ("UP", "JUMP")
    after = (project / "params.yaml").read_text(encoding="utf-8")
    changed = set(before.splitlines()) ^ set(after.splitlines())
    assert len(changed) < 26 and after.count("#") >= before.count("#") - 8
    run(monkeypatch, capsys, "new", "--keys", "UP=w", "UP=Key.up", "JUMP=1", "--recordings", "data/raw/my game")
    assert (project / "params.yaml").read_text(encoding="utf-8") == after


@pytest.mark.parametrize(
    ("keys", "words"),
    [((), "which keys play the game"), (("--keys", "A=x", "B=x"), "'x' belongs to both A and B"),
     (("--keys", "A"), "expected ACTION=KEY")],
)  # fmt: skip
def test_new_refuses_what_no_game_has_and_leaves_params_alone(keys, words, project, monkeypatch, capsys):
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(SystemExit, match=words):
        run(monkeypatch, capsys, "new", *keys)
    assert (project / "params.yaml").read_bytes() == before


def test_chance_presses_each_key_by_itself_whatever_the_agent_decides_between():
    together = np.array([[False, False], [True, False], [False, True]])
    acting = for_chance(Acting(np.array([0.5, 0.5]), np.ones(2), np.zeros(2), "sampled", together))
    pressed = {
        tuple(acting.keys(said[0])) for said in map(Chance(2, np.random.default_rng(0)).logits, [{0: None}] * 40)
    }
    assert len(pressed) == 4
