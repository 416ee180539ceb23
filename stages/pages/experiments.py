"""Experiments as DVC knows them: what `dvc exp show --json` says, and files read at an experiment's revision.

Measured with dvc 3.67.1: an experiment that failed is listed with the metrics of the commit it started from, so the
state has to be asked before its numbers are believed. A metric that is null is left out of the listing.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.paths import METRICS, PARAMS


@dataclass(frozen=True)
class Experiment:
    """One row of the listing. `kind`: workspace, commit or experiment; `state`: done, queued, running or failed.

    `params` is flat with dotted keys; `metrics` is empty unless `state` is done.
    """

    name: str
    rev: str
    kind: str
    state: str
    params: dict[str, Any]
    metrics: dict[str, float]


def run_dvc(*arguments: str) -> str:
    """What a dvc command prints; ValueError with its complaint when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        env=_environment(), capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip()
        raise ValueError(f"dvc {' '.join(arguments)} failed with exit code {done.returncode}:\n{complaint}")
    return done.stdout


def start_worker() -> None:
    """Start the one worker of DVC's queue; it goes on in the background."""
    # Its output is not captured: the worker inherits the pipe and would keep this call waiting until it ends.
    command = [sys.executable, "-m", "dvc", "queue", "start", "-j", "1"]
    subprocess.run(command, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def _environment() -> dict[str, str]:
    """Ours, with the interpreter's folder first on PATH: DVC starts its worker and the stages by name."""
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": folder + os.pathsep + os.environ.get("PATH", "")}


def show_experiments(*, all_commits: bool = False) -> list[Experiment]:
    """The workspace, the current commit and its experiments (those of every commit with `all_commits`)."""
    flags = ["-A"] if all_commits else []
    for pause in (1, 3, 9):
        try:
            return parse_shown(json.loads(run_dvc("exp", "show", "--json", *flags)))
        except ValueError:  # dvc stumbles when a running experiment ends meanwhile and its folder is gone
            time.sleep(pause)
    return parse_shown(json.loads(run_dvc("exp", "show", "--json", *flags)))


def queue_states() -> dict[str, str]:
    """The state of every experiment in DVC's queue by name: queued, running, success or failed."""
    return parse_queue(run_dvc("queue", "status"))


def parse_queue(printed: str) -> dict[str, str]:
    """The names and states of what `dvc queue status` prints."""
    rows = re.findall(r"^[0-9a-f]{7}\s+(\S+)\s.*\s(Queued|Running|Success|Failed)\s*$", printed, re.MULTILINE)
    return {name: state.lower() for name, state in rows}


def parse_shown(shown: Sequence[dict]) -> list[Experiment]:
    """The rows of `dvc exp show --json`, commits before their experiments."""
    rows = []
    for baseline in shown:
        if baseline["rev"] == "workspace":
            rows.append(_row(baseline, "workspace", "workspace", None))
        else:
            rows.append(_row(baseline, baseline.get("name") or baseline["rev"][:7], "commit", None))
        for group in baseline.get("experiments") or []:
            last = group["revs"][0]  # the newest revision of the experiment
            name = group.get("name") or last.get("name") or last["rev"][:7]
            rows.append(_row(last, name, "experiment", group.get("executor")))
    return rows


def _row(entry: dict, name: str, kind: str, executor: dict | None) -> Experiment:
    data = entry.get("data") or {}
    params = _file_data(data.get("params"), PARAMS)
    metrics = _file_data(data.get("metrics"), METRICS)
    state = "failed" if entry.get("error") else (executor or {}).get("state") or "done"
    state = "done" if state == "success" else state
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    return Experiment(name, entry["rev"], kind, state, flat(params), numbers if state == "done" else {})


def _file_data(files: dict | None, path: Path) -> dict:
    return ((files or {}).get(path.as_posix()) or {}).get("data") or {}


def flat(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Nested params as one level with dotted keys: {"recurrent": {"steps": 3}} becomes {"recurrent.steps": 3}."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            leaves.update(flat(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def finished(rows: Sequence[Experiment]) -> list[Experiment]:
    """The rows that carry metrics, one for each set of params and metrics (an experiment before its commit).

    The workspace counts only where nothing else has metrics.
    """
    done = [row for row in rows if row.state == "done" and row.metrics]
    kept: list[Experiment] = []
    for kind in ("experiment", "commit"):
        for row in done:
            if row.kind == kind and not any(
                (row.params, row.metrics) == (other.params, other.metrics) for other in kept
            ):
                kept.append(row)
    return kept or [row for row in done if row.kind == "workspace"]


def changed_params(rows: Sequence[Experiment]) -> list[str]:
    """The params that differ between the rows, in the order in which params.yaml names them."""
    names = dict.fromkeys(name for row in rows for name in row.params)
    return [name for name in names if any(row.params.get(name) != rows[0].params.get(name) for row in rows)]


def ranked(rows: Sequence[Experiment], criteria: Sequence[str]) -> list[Experiment]:
    """Best first by the first criterion, ties by the next ones; rows that lack a criterion come last."""
    return sorted(rows, key=lambda row: [-row.metrics.get(name, float("-inf")) for name in criteria])


@lru_cache(maxsize=64)
def _files_at(rev: str):
    from dvc.api import DVCFileSystem  # imported late: it takes a second, and only comparisons need it

    return DVCFileSystem(".") if rev == "workspace" else DVCFileSystem(".", rev=rev)


def read_at(rev: str, path: str) -> str | None:
    """The text of a file, tracked by git or in DVC's cache, as it was at `rev`; None where it does not exist."""
    files = _files_at(rev)
    return files.read_text(path, encoding="utf-8") if files.exists(path) else None
