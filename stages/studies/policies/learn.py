"""Study policies, stage learn: one kind of policy on the project's recordings, judged on them and in the game.

On one thread: minutes and ms are those of one core, and two rows can be learned side by side, each by this command.
"""

import csv
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from stages.evaluation.tables import OVERALL
from stages.learning.checkpoints import read_json, write_json
from stages.learning.compute import prepare_compute
from stages.models.agent import Agent
from stages.models.policies.registry import load_policy
from stages.params import Params, read_params
from stages.paths import (
    AGENT,
    EPISODES,
    LATENTS,
    PARAMS,
    PLAY_BASELINES,
    POLICY_TRAINING,
    REPORTS,
    SCRATCH,
    TEST_REPORTS,
)
from stages.run import run_stage
from stages.studies.policies.inputs import PoliciesParams, folder_of
from stages.studies.row import learned_and_played, made_by, timed
from stages.studies.workspace import Workspace, preset

RUNS = ("train_policy", "evaluate", "play")
OF_EACH_ACTION = ("precision", "recall", "f1", "ap", "onset_f1")
WARM_UP = 20  # decisions


def main() -> None:
    params, kind, seed = read_params(), sys.argv[1], int(sys.argv[2])
    own = params.section("policies", PoliciesParams)
    if own.test_games > params.play.test_episodes:
        raise ValueError(
            f"policies.test_games is {own.test_games}, but without an agent only "
            f"{params.play.test_episodes} games were played: raise play.test_episodes or lower it"
        )
    changes = preset(kind) | {"seed": seed, "threads": 1, "workers": 1}
    changes |= {"play.videos": 0, "play.test_episodes": own.test_games}
    workspace = Workspace(SCRATCH / f"policies-{kind}-{seed}", changes)
    for kept in (EPISODES, LATENTS, PLAY_BASELINES):
        shutil.copytree(kept, workspace.folder / kept, copy_function=shutil.copyfile)
    chosen = read_params(workspace.folder / PARAMS)
    seconds = timed(workspace, RUNS, chosen)
    row = {"kind": kind, "seed": seed, **learned_and_played(workspace.folder), **judged(workspace.folder)}
    row |= size_and_speed(workspace.folder / AGENT, chosen, own.decisions)
    row |= {"seconds": seconds["train_policy"], **made_by(chosen)}
    out = folder_of(kind, seed)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_json(out / "row.json", row)
    shutil.copyfile(workspace.folder / TEST_REPORTS / "policy" / "predictions.csv", out / "predictions.csv")
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}: return_fraction {row['return_fraction']}, a decision in {row['decision_ms']} ms")


def judged(folder: Path) -> dict:
    """Scores on the recordings: of val, of test with intervals, and of test action by action."""
    val, test = (
        read_json(reports / "policy" / "metrics.json") for reports in (folder / REPORTS, folder / TEST_REPORTS)
    )
    scores = {f"{metric}{end}": test[metric + end] for metric in OVERALL for end in ("", "_low", "_high")}
    with (folder / TEST_REPORTS / "policy" / "actions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["predictor"] == "model" and row["action"] != "all"]
    actions: dict[str, dict[str, float | None]] = {}
    for row in rows:
        if row["metric"] in OF_EACH_ACTION:
            actions.setdefault(row["action"], {})[row["metric"]] = float(row["value"]) if row["value"] else None
    made = read_json(folder / POLICY_TRAINING / "training.json")["steps_made"]
    seen = {name: val[name] for name in ("train_ap", "val_ap", "train_frame_f1", "val_frame_f1")}
    return scores | seen | {"actions": actions, "steps": made}


def size_and_speed(agent: Path, params: Params, decisions: int) -> dict[str, float]:
    """The policy's weights, and the median and 99th percentile of a decision, in ms.

    From a picture as it is recorded to the logits of every action, one game at a time, the encoder included.
    """
    loaded = Agent.load(agent, prepare_compute(params.device, params.precision, params.threads, seed=0), batch=1)
    random, size = np.random.default_rng(0), (params.collect.height, params.collect.width, 3)
    picture = random.integers(0, 256, size, np.uint8)
    state = dict.fromkeys(loaded.about.state_columns, 0.0)
    times = []
    for _ in range(WARM_UP + decisions):
        start = time.perf_counter()
        loaded.logits({0: picture}, {0: state})
        times.append(1000 * (time.perf_counter() - start))
    return {
        "parameters": sum(weights.numel() for weights in load_policy(agent / "policy").parameters()),
        "decision_ms": round(float(np.median(times[WARM_UP:])), 2),
        "decision_p99_ms": round(float(np.percentile(times[WARM_UP:], 99)), 2),
    }


if __name__ == "__main__":
    run_stage(main)
