"""`make grid`: a grid of experiments through DVC's queue, then the comparison page.

Latent sizes by cells with the focal loss and weights for rare actions, and two naive rows (the spatial latent, plain
cross entropy, no weights) to hold the rest against. One worker: shared stages run once and come from DVC's run-cache
afterwards. What is done or queued already with the same params is not queued again, so a stopped grid goes on where
it was.

    python -m stages.commands.grid                            the grid as it stands
    python -m stages.commands.grid loss=focal,bce seed=0,1,2  with further axes, or other values of one
"""

import argparse
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tqdm import tqdm

from stages.pages.experiments import Experiment, queue_states, run_dvc, show_experiments, start_worker
from stages.paths import RAW
from stages.run import run_stage

AXES = {"latent_dim": "128,256,512,1024", "cell": "lstm,gru", "loss": "focal", "rare_factor": "6"}
NAIVE = {"autoencoder.kind": "spatial", "loss": "bce", "rare_factor": "1", "class_weights": "false"}
ASK_S = 180  # between questions to DVC how the queue stands: an answer takes seconds of a core that the trainings want
IDLE_S = 60  # the same while nothing runs
LOOK_S = 5  # until a result of the worker is seen
RESULTS = Path(".dvc/tmp/exps/celery/result")  # the worker's: a file for each experiment that ended
LOG_LINES = 25  # of a failed experiment


def combinations(axes: Mapping[str, str], *, naive: bool) -> list[dict[str, str]]:
    """The settings of each experiment: every value of every axis with every other, then the naive rows.

    A naive row takes all axes but the latent size (the spatial latent has none) and those that it fixes itself.
    """
    grids = [dict(axes)]
    if naive:
        free = {key: values for key, values in axes.items() if key not in NAIVE and key != "latent_dim"}
        grids.append({**free, **NAIVE})
    return [
        dict(zip(grid, values, strict=True))
        for grid in grids
        for values in itertools.product(*map(_values, grid.values()))
    ]


def _values(words: str) -> list[str]:
    """The values between the commas that stand outside brackets: "1,2" or "[16,32],[32,64]"."""
    values, depth = [""], 0
    for letter in words:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            values.append("")
        else:
            values[-1] += letter
    return values


def missing(wanted: Sequence[dict[str, str]], rows: Sequence[Experiment]) -> list[dict[str, str]]:
    """Those of `wanted` that no experiment on the current commit has: neither done nor queued nor running."""
    there = [row.params for row in rows if row.kind == "experiment" and row.state != "failed"]
    return [settings for settings in wanted if expected_params(settings, rows) not in there]


def expected_params(settings: Mapping[str, str], rows: Sequence[Experiment]) -> dict[str, Any]:
    """The flat params of an experiment: the workspace's with `settings` laid over; ValueError for an unknown key."""
    params = dict(next(row.params for row in rows if row.kind == "workspace"))
    for key, value in settings.items():
        if key not in params:
            raise ValueError(f"params.yaml has no {key!r}; an axis is KEY=VALUE,VALUE, like recurrent.steps=500,1000")
        params[key] = YAML(typ="safe", pure=True).load(value)  # as DVC reads it
    return params


def require_committed(recordings: Path, game: str) -> None:
    """ValueError for recordings that a queued experiment, which runs in a copy of the commit, would not find there.

    Those of the bundled `game` it makes itself. What is in git's index, committed or not, comes along.
    """
    if recordings == RAW / game:
        return
    # DVC adds no folder that is a link; git keeps the link.
    add = f"git add {recordings}" if recordings.is_symlink() else f"dvc add {recordings}, then git add -A"
    save = f"{add} and git commit"
    files = [folder.with_name(f"{folder.name}.dvc") for folder in (recordings, *recordings.parents) if folder.name]
    kept_by = [path for path in files if path.is_file()]
    if not _in_git(kept_by[0] if kept_by else recordings):
        raise ValueError(
            f"{recordings} is not in the commit, and a queued experiment runs in a copy of that: it would find no "
            f"recordings there. First: {save}"
        )
    if kept_by and recordings.exists() and "{}" != run_dvc("status", "--json", str(kept_by[0])).strip():
        raise ValueError(
            f"{recordings} is not what {kept_by[0]} says (recordings that are new, changed or gone), and a queued "
            f"experiment would take what that says. First: {save}"
        )


def _in_git(path: Path) -> bool:
    listed = subprocess.run(["git", "ls-files", "--", f":(literal){path}"], capture_output=True)
    return bool(listed.stdout)


def read_axes(words: Sequence[str]) -> dict[str, str]:
    """The default axes with those of the command line ("seed=0,1") added or in their place."""
    axes = dict(AXES)
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not values:
            raise ValueError(f"{word!r} is no axis; write KEY=VALUE,VALUE, for example seed=0,1,2")
        axes[key] = values
    return axes


def wait_for(names: set[str]) -> list[str]:
    """Wait until the queue is through with the experiments `names`; returns the names of those that failed."""
    bar = tqdm(total=len(names), desc="experiments", unit="exp")
    idle_polls = 0
    while True:
        results = _results()
        states = {name: state for name, state in queue_states().items() if name in names}
        running = [name for name, state in states.items() if state == "running"]
        left = len(running) + sum(state == "queued" for state in states.values())
        bar.n = len(names) - left
        bar.set_postfix_str(", ".join(f"{name}: {_current_stage(name)}" for name in running))
        if not left:
            bar.close()
            return [name for name, state in states.items() if state == "failed"]
        idle_polls = 0 if running else idle_polls + 1
        if idle_polls % 2 == 1:  # a worker that was about to stop when it was asked may be gone
            start_worker()
        if idle_polls > 5:
            raise ValueError("the queue's worker does not take up the experiments; see `dvc queue status`")
        next_question = time.monotonic() + (ASK_S if running else IDLE_S)
        while time.monotonic() < next_question and _results() == results:
            time.sleep(LOOK_S)


def _results() -> set[str]:
    return {path.name for path in RESULTS.glob("*")}


def _current_stage(name: str) -> str:
    """The stage a running experiment is in, by the last "Running stage" of its log."""
    try:
        stages = re.findall(r"^Running stage '(.+)'", run_dvc("queue", "logs", name), re.MULTILINE)
    except ValueError:  # there is no log yet, or no longer
        stages = []
    return stages[-1] if stages else "starting"


def _queue(wanted: Sequence[dict[str, str]]) -> None:
    for settings in tqdm(wanted, desc="queueing", unit="exp"):
        overrides = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
        run_dvc("exp", "run", "--queue", *overrides)


def _report_failures(names: Sequence[str]) -> None:
    for name in names:
        print(f"\nfailed: {name}, the end of `dvc queue logs {name}`:")
        print("\n".join(run_dvc("queue", "logs", name).splitlines()[-LOG_LINES:]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axes", nargs="*", metavar="KEY=VALUE,VALUE", help="an axis to add, or other values for one")
    parser.add_argument("--no-naive", action="store_true", help="leave the two naive rows out")
    parser.add_argument("--dry-run", action="store_true", help="say what would be queued, and stop")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    wanted = combinations(read_axes(arguments.axes), naive=not arguments.no_naive)
    rows = show_experiments()
    to_queue = missing(wanted, rows)
    print(f"{len(wanted)} experiments, {len(wanted) - len(to_queue)} of them done or queued already")
    for settings in to_queue:
        print("  " + " ".join(f"{key}={value}" for key, value in settings.items()))
    if to_queue:
        params = [expected_params(settings, rows) for settings in to_queue]
        for recordings, game in sorted({(str(each["recordings"]), str(each["game"])) for each in params}):
            require_committed(Path(recordings), game)
    if arguments.dry_run:
        return
    failed_before = {row.name for row in rows if row.state == "failed"}  # these stay in the listing
    _queue(to_queue)
    rows = show_experiments()
    expected = [expected_params(settings, rows) for settings in wanted]
    names = {row.name for row in rows if row.kind == "experiment" and row.params in expected} - failed_before
    if any(row.state in ("queued", "running") for row in rows if row.name in names):
        start_worker()
    try:
        failures = wait_for(names)
    except KeyboardInterrupt:
        sys.exit("\nthe queue goes on in the background; `dvc queue stop --kill` stops it, `dvc queue status` shows it")
    _report_failures(failures)
    compared = subprocess.run([sys.executable, "-m", "stages.commands.compare"])
    sys.exit(1 if failures else compared.returncode)


if __name__ == "__main__":
    run_stage(main)
