import subprocess
import time
from pathlib import Path

import pytest

from stages.commands import grid
from stages.pages.experiments import Experiment

PARAMS = {
    **{"latent_dim": 128, "cell": "gru", "loss": "focal", "rare_factor": 6, "class_weights": False, "seed": 0},
    "autoencoder.kind": "dense",
    "autoencoder.channels": [16, 32],
}


def row(name, state="done", kind="experiment", **changed):
    params = PARAMS | {key.replace("__", "."): value for key, value in changed.items()}
    return Experiment(name, name, kind, state, params, {"val_onset_f1": 0.5} if state == "done" else {})


WORKSPACE = row("workspace", kind="workspace")


def test_the_default_grid_is_eight_models_and_two_naive_rows():
    wanted = grid.combinations(grid.read_axes([]), naive=True)
    assert len(wanted) == 10
    sizes = {(settings["latent_dim"], settings["cell"]) for settings in wanted[:8]}
    assert sizes == {(size, cell) for size in ("128", "256", "512", "1024") for cell in ("lstm", "gru")}
    assert {(settings["loss"], settings["rare_factor"]) for settings in wanted[:8]} == {("focal", "6")}
    for settings, cell in zip(wanted[8:], ("lstm", "gru"), strict=True):
        assert settings == {
            **{"cell": cell, "autoencoder.kind": "spatial", "loss": "bce", "rare_factor": "1"},
            "class_weights": "false",
        }


def test_axes_of_the_command_line_add_or_replace():
    axes = grid.read_axes(["loss=focal,bce", "seed=0,1", "latent_dim=64"])
    wanted = grid.combinations(axes, naive=True)
    assert len(wanted) == 1 * 2 * 2 * 2 + 2 * 2  # size, cell, loss, seed; the naive rows have cell and seed
    assert {settings["loss"] for settings in wanted[8:]} == {"bce"}


def test_lists_are_one_value():
    assert grid._values("[16,32],[32,64]") == ["[16,32]", "[32,64]"]
    assert grid._values("1,2") == ["1", "2"]


@pytest.mark.parametrize("word", ["seed", "seed=", "0,1"])
def test_what_is_no_axis_is_an_error(word):
    with pytest.raises(ValueError, match="no axis; write KEY=VALUE"):
        grid.read_axes([word])


def test_what_is_done_queued_or_running_is_not_queued_again():
    wanted = [{"latent_dim": str(size)} for size in (128, 256, 512, 1024, 64)]
    rows = [
        WORKSPACE,
        row("a", latent_dim=128),
        row("b", "queued", latent_dim=256),
        row("c", "running", latent_dim=512),
        row("d", "failed", latent_dim=1024),
        row("main", kind="commit", latent_dim=64),
    ]
    assert grid.missing(wanted, rows) == [{"latent_dim": "1024"}, {"latent_dim": "64"}]


def test_an_experiment_with_another_param_is_not_the_same():
    assert grid.missing([{"latent_dim": "128"}], [WORKSPACE, row("a", seed=1)]) == [{"latent_dim": "128"}]


def test_settings_become_params_of_their_type():
    settings = {"autoencoder.channels": "[8, 8]", "class_weights": "true", "cell": "lstm", "seed": "3"}
    params = grid.expected_params(settings, [WORKSPACE])
    assert params == PARAMS | {"autoencoder.channels": [8, 8], "class_weights": True, "cell": "lstm", "seed": 3}
    with pytest.raises(ValueError, match="params.yaml has no 'laten_dim'"):
        grid.expected_params({"laten_dim": "3"}, [WORKSPACE])


def test_settings_are_read_as_dvc_reads_them():
    rows = [Experiment("workspace", "workspace", "workspace", "done", PARAMS | {"precision": "auto"}, {})]
    assert grid.expected_params({"precision": "no"}, rows)["precision"] == "no"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A git repository with recordings, and DVC's answer whether they are as they were added."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Path("data/raw/mine").mkdir(parents=True)
    Path("data/raw/mine/one.mp4").touch()
    answer = ["{}"]
    monkeypatch.setattr(grid, "run_dvc", lambda *words: answer[0])
    return answer


def test_recordings_that_a_copy_of_the_commit_lacks_are_told_before_anything_is_queued(project):
    recordings = Path("data/raw/mine")
    grid.require_committed(Path("data/raw/doom_line"), "doom_line")  # collect makes them
    with pytest.raises(ValueError, match="data/raw/mine is not in the commit, .* First: dvc add data/raw/mine"):
        grid.require_committed(recordings, "doom_line")
    Path("data/raw/mine.dvc").touch()
    with pytest.raises(ValueError, match="is not in the commit"):
        grid.require_committed(recordings, "doom_line")
    subprocess.run(["git", "add", "data/raw/mine.dvc"], check=True)
    grid.require_committed(recordings, "doom_line")
    grid.require_committed(recordings / "part", "doom_line")
    project[0] = '{"data/raw/mine.dvc": [{"changed outs": {"data/raw/mine": "modified"}}]}'
    with pytest.raises(ValueError, match="is not what data/raw/mine.dvc says .*new, changed or gone"):
        grid.require_committed(recordings, "doom_line")


def test_recordings_that_git_itself_keeps_are_there(project):
    subprocess.run(["git", "add", "data"], check=True)
    grid.require_committed(Path("data/raw/mine"), "doom_line")


@pytest.fixture
def queue(monkeypatch):
    """DVC's queue with answers given in advance: one dict of states for each look at it."""
    answers, started = [], []
    monkeypatch.setattr(grid, "queue_states", lambda: answers.pop(0) if len(answers) > 1 else answers[0])
    monkeypatch.setattr(grid, "start_worker", lambda: started.append(True))
    monkeypatch.setattr(
        grid, "run_dvc", lambda *words: "Running stage 'align':\nRunning stage 'train_policy':\n> python"
    )
    for pause in ("ASK_S", "IDLE_S"):
        monkeypatch.setattr(grid, pause, 0)
    return answers, started


def test_waits_until_all_are_through_and_returns_the_failed(queue):
    answers, started = queue
    answers += [
        {"a": "running", "b": "queued", "other": "running"},
        {"a": "success", "b": "running", "other": "running"},
        {"a": "success", "b": "failed", "other": "running"},
    ]
    assert grid.wait_for({"a", "b"}) == ["b"]
    assert not started


def test_a_result_of_the_worker_is_seen_at_once(queue, monkeypatch, tmp_path):
    answers, _ = queue
    answers += [{"a": "running"}, {"a": "success"}]
    monkeypatch.setattr(grid, "ASK_S", 60)
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    monkeypatch.setattr(grid.time, "sleep", lambda _: (tmp_path / "celery-task-meta-1").touch())
    start = time.monotonic()
    assert grid.wait_for({"a"}) == []
    assert time.monotonic() - start < 30


def test_a_worker_that_is_gone_is_started_again_but_not_for_ever(queue):
    answers, started = queue
    answers += [{"a": "queued"}]
    with pytest.raises(ValueError, match="worker does not take up"):
        grid.wait_for({"a"})
    assert 0 < len(started) < 10


def test_the_stage_that_runs_is_the_last_one_named(queue):
    assert grid._current_stage("a") == "train_policy"
