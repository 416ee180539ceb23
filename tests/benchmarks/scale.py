"""`make bench-scale`: time and peak memory of every stage as the recordings grow -> reports/benchmark.md.

Runs the stages one by one in a temporary copy of the working tree, with as many sessions as asked for and a few steps a
training: a training's length does not depend on how much was recorded, what it loads and holds in memory does.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from tests.benchmarks import page

FACTORS = (1, 3, 10)
LIMIT_GB = 4.0
SAMPLE_S = 0.2
# Play does not depend on how much was recorded: a few episodes show its memory.
SHORT = {("play", "val_episodes"): 16, ("play", "test_episodes"): 16, ("latent_action", "probe_steps"): 40}
STEPS = 40  # of every training, evaluated half way and at the end


@dataclass(frozen=True)
class Cost:
    """What a stage took: `seconds` by the clock, `peak_gb` of it and its worker processes together."""

    seconds: float
    peak_gb: float


def copy_tree(folder: Path, factor: int) -> None:
    """The working tree as it is, without ignored files, with `factor` times the sessions."""
    list_files = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(list_files, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if Path(name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, folder / name)
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["collect"]["sessions"] *= factor
    for section in params.values():
        if isinstance(section, dict) and "steps" in section:
            section |= {"steps": STEPS, "evaluate_every": STEPS // 2}
    for (section, key), value in SHORT.items():
        params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "b"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def run_stage(name: str, folder: Path) -> Cost:
    """Runs a stage in the copy; RuntimeError with the end of its output when it fails."""
    start, log = time.perf_counter(), folder / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", f"stages.{name}"], cwd=folder, stdout=output, stderr=output)
        peak = [0.0]
        watcher = threading.Thread(target=watch, args=(process.pid, peak))
        watcher.start()
        code = process.wait()
        watcher.join()
    if code:
        raise RuntimeError(f"stage {name} ended with {code}:\n{log.read_text()[-3000:]}")
    return Cost(time.perf_counter() - start, peak[0])


def watch(pid: int, peak: list[float]) -> None:
    """Keeps the highest memory in GB of a process and its descendants in peak[0] until it ends."""
    try:
        root = psutil.Process(pid)
        while root.status() != psutil.STATUS_ZOMBIE:
            tree = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(map(memory_bytes, tree)) / 1e9)
            time.sleep(SAMPLE_S)
    except psutil.NoSuchProcess:
        return


def memory_bytes(process: psutil.Process) -> int:
    """Resident memory; on Linux pages that several processes share are shared out among them (PSS)."""
    try:
        if sys.platform.startswith("linux"):
            return process.memory_full_info().pss
        return process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def frames_of(folder: Path) -> int:
    """Recorded frames, as align counted them: a line of a timeline each."""
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in (folder / "data" / "timelines").glob("*.csv"))


def measure(factor: int, stages: list[str], scratch: str | None) -> tuple[int, dict[str, Cost]]:
    """Frames and costs of the pipeline at a factor."""
    with tempfile.TemporaryDirectory(prefix=f"understudy-{factor}x-", dir=scratch) as name:
        folder, costs = Path(name), {}
        copy_tree(folder, factor)
        for stage in stages:
            costs[stage] = run_stage(stage, folder)
            cost = costs[stage]
            print(f"{factor}x {stage}: {cost.seconds:.1f} s, {cost.peak_gb:.2f} GB", flush=True)
        return frames_of(folder), costs


def rows(stages: list[str], found: dict[int, tuple[int, dict[str, Cost]]]) -> list[list[str]]:
    """A row a stage: seconds and peak memory at each factor, and how the seconds grew."""
    table = []
    for stage in stages:
        costs = [costs[stage] for _, costs in found.values()]
        growth = f"{costs[1].seconds / costs[0].seconds:.1f}x" if len(costs) > 1 else ""
        worst = max(cost.peak_gb for cost in costs)
        cells = [f"{cost.seconds:.1f} s, {cost.peak_gb:.2f} GB" for cost in costs]
        table.append([stage, *cells, growth, "yes" if worst < LIMIT_GB else "**no**"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, nargs="+", default=FACTORS, help="times the default sessions")
    parser.add_argument("--scratch", help="folder on a disk with room for the copies (10x: some GB)")
    options = parser.parse_args()
    stages = list(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"])
    found = {factor: measure(factor, stages, options.scratch) for factor in options.factors}
    heads = [f"{factor}x: {frames:,} frames" for factor, (frames, _) in found.items()]
    growth = f"{options.factors[1]}x / {options.factors[0]}x" if len(options.factors) > 1 else ""
    note = (
        f"Each stage by itself with the params of params.yaml, but {STEPS} steps a training and 16 episodes of play "
        f"a player. Memory is the highest of a stage and its worker processes together; the limit is {LIMIT_GB:g} GB."
    )
    header = ["Stage", *heads, growth, f"under {LIMIT_GB:g} GB"]
    page.write_part("Growth", [note, "", *page.table(header, rows(stages, found))])
    print(f"wrote {page.PAGE}")


if __name__ == "__main__":
    main()
