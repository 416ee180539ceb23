"""What DVC says of experiments and its queue, read back: from examples of its output and from a real repository."""

import subprocess

import pytest

from stages.pages import experiments
from stages.pages.experiments import finished, parse_queue, parse_shown


def entry(rev, name, params, metrics, error=None):
    """One revision as `dvc exp show --json` of dvc 3.67.1 writes it."""
    return {
        "rev": rev,
        "name": name,
        "data": {
            "params": {"params.yaml": {"data": params}},
            "metrics": {"reports/metrics.json": {"data": metrics}} if metrics else {},
        },
        "error": error,
        "experiments": None,
    }


def group(rev, name, params, metrics, state, error=None):
    executor = None if state is None else {"state": state, "name": "dvc-task", "local": None}
    return {"revs": [entry(rev, name, params, metrics, error)], "executor": executor, "name": name}


PARAMS = {"latent_dim": 128, "cell": "gru", "autoencoder": {"kind": "dense"}}
METRICS = {"val_onset_f1": 0.5, "ae_psnr_db": 30.0}
FAILURE = {"msg": "Experiment run failed", "type": ""}
SHOWN = [
    entry("workspace", None, PARAMS, METRICS),
    entry("c" * 40, "main", PARAMS, METRICS)
    | {
        "experiments": [
            group("a" * 40, "good-one", PARAMS | {"latent_dim": 256}, {"val_onset_f1": 0.7}, "success"),
            group("b" * 40, "by-hand", PARAMS | {"cell": "lstm"}, {"val_onset_f1": 0.6}, None),
            # A failed experiment is listed with the metrics of the commit it started from.
            group("d" * 40, "bad-one", PARAMS | {"latent_dim": 999}, METRICS, "failed", FAILURE),
            group("e" * 40, "waiting", PARAMS | {"latent_dim": 512}, {}, "queued"),
            group("f" * 40, "at-work", PARAMS | {"latent_dim": 64}, METRICS, "running"),
        ]
    },
]


def test_the_listing_is_read_with_the_state_of_each():
    rows = parse_shown(SHOWN)
    assert [(row.name, row.kind, row.state) for row in rows] == [
        ("workspace", "workspace", "done"),
        ("main", "commit", "done"),
        ("good-one", "experiment", "done"),
        ("by-hand", "experiment", "done"),
        ("bad-one", "experiment", "failed"),
        ("waiting", "experiment", "queued"),
        ("at-work", "experiment", "running"),
    ]
    assert rows[2].params == {"latent_dim": 256, "cell": "gru", "autoencoder.kind": "dense"}


def test_metrics_of_what_is_not_done_are_never_believed():
    rows = {row.name: row for row in parse_shown(SHOWN)}
    assert rows["bad-one"].metrics == rows["at-work"].metrics == rows["waiting"].metrics == {}
    assert [row.name for row in finished(list(rows.values()))] == ["good-one", "by-hand", "main"]


def test_the_workspace_counts_only_when_it_is_all_there_is():
    assert [row.name for row in finished(parse_shown(SHOWN[:1]))] == ["workspace"]


def test_a_commit_with_the_same_params_and_metrics_as_an_experiment_is_one_model():
    shown = [SHOWN[1] | {"experiments": [group("a" * 40, "same", PARAMS, METRICS, "success")]}]
    assert [row.name for row in finished(parse_shown(shown))] == ["same"]


def test_a_revision_that_dvc_could_not_read_has_no_numbers():
    broken = {"rev": "1" * 40, "name": "old", "data": None, "error": {"msg": "broken", "type": ""}, "experiments": None}
    assert parse_shown([broken])[0].state == "failed" and not finished(parse_shown([broken]))


def test_the_queue_is_read_from_what_dvc_prints():
    printed = (
        "Task     Name        Created       Status\n"
        "ff16a9b  smart-name  12:53 AM      Failed\n"
        "9271d05  dress-ulna  Nov 21, 2026  Success\n"
        "2b19b96  frail-scud  12:53 AM      Running\n"
        "dd4616b  tabby-rite  12:53 AM      Queued\n\n"
        "Worker status: 1 active, 0 idle\n"
    )
    assert parse_queue(printed) == {
        "smart-name": "failed",
        "dress-ulna": "success",
        "frail-scud": "running",
        "tabby-rite": "queued",
    }
    assert parse_queue("No experiment tasks in the queue.\n\nWorker status: 0 active, 0 idle\n") == {}


STAGE = """
import json, pathlib, yaml
size = yaml.safe_load(open("params.yaml"))["latent_dim"]
if size == 999:
    raise SystemExit("no")
pathlib.Path("reports/metrics.json").write_text(json.dumps({"val_onset_f1": size / 1000, "val_return_fraction": None}))
pathlib.Path("reports/test.txt").write_text(f"cached {size}")
"""
PIPELINE = """
stages:
  report:
    cmd: python stage.py
    deps: [stage.py]
    params: [latent_dim]
    outs: [reports/test.txt]
    metrics:
    - reports/metrics.json: {cache: false}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A real DVC repository with one experiment that went well."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        experiments._files_at.cache_clear()
        subprocess.run(["git", "init", "-q"], check=True)
        experiments.run_dvc("init", "-q")
        experiments.run_dvc("config", "core.analytics", "false")
        (folder / "reports").mkdir()
        for name, text in {"params.yaml": "latent_dim: 128\n", "stage.py": STAGE, "dvc.yaml": PIPELINE}.items():
            (folder / name).write_text(text)
        (folder / ".gitignore").write_text("/reports/test.txt\n")
        experiments.run_dvc("repro", "-q")
        subprocess.run(["git", "add", "-A"], check=True)
        subprocess.run(["git", "commit", "-qm", "first"], check=True)
        experiments.run_dvc("exp", "run", "-q", "-S", "latent_dim=512", "-n", "larger")
        yield folder
        experiments._files_at.cache_clear()


def test_a_real_listing_and_files_at_a_revision(repository):
    rows = {row.name: row for row in experiments.show_experiments()}
    assert rows["larger"].metrics == {"val_onset_f1": 0.512}  # a null metric is not there
    assert rows["larger"].params == {"latent_dim": 512} and rows["larger"].kind == "experiment"
    commit = next(row for row in rows.values() if row.kind == "commit")
    assert experiments.read_at(rows["larger"].rev, "reports/test.txt") == "cached 512"
    assert experiments.read_at(commit.rev, "reports/test.txt") == "cached 128"
    assert experiments.read_at(commit.rev, "params.yaml") == "latent_dim: 128\n"
    assert experiments.read_at(commit.rev, "reports/nothing.txt") is None


def test_dvc_errors_are_quoted(repository):
    with pytest.raises(ValueError, match="dvc exp branch nothing-here x failed with exit code"):
        experiments.run_dvc("exp", "branch", "nothing-here", "x")
