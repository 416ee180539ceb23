"""Study suite, stage learn: a policy learns a game from twelve minutes and plays it, as the pipeline itself does it."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from stages.episodes.store import EpisodeStore
from stages.learning.checkpoints import read_json, write_json
from stages.params import Params, read_params
from stages.paths import EPISODES, LATENTS, PLAY_BASELINES, RAW, REPORTS, SCRATCH, SUITE, TEST_REPORTS
from stages.run import run_stage
from stages.studies.workspace import Workspace, preset

RUNS = ("train_autoencoder", "extract_latents", "train_policy", "evaluate", "play")
OF_THE_LATENTS = RUNS[:2]
TRAININGS = RUNS[:3]  # those whose time is told


def main() -> None:
    params, game, policy, seed = read_params(), sys.argv[1], sys.argv[2], int(sys.argv[3])
    changes = {} if policy == params.policy else preset(policy)
    changes |= preset(game) | {
        "seed": seed, "recordings": f"{RAW.as_posix()}/{game}", "play.videos": 0,
        "play.test_episodes": params.suite.test_games,
    }  # fmt: skip
    workspace = Workspace(SCRATCH / f"suite-{game}-{policy}-{seed}", changes)
    recorded = SUITE / f"{game}_seed{seed}"
    for kept in (EPISODES, PLAY_BASELINES):
        shutil.copytree(recorded / kept.name, workspace.folder / kept, copy_function=shutil.copyfile)
    chosen = read_params(workspace.folder / "params.yaml")
    seconds = {}
    for stage in RUNS:
        if stage in OF_THE_LATENTS and Path(chosen.policy_reads) != LATENTS:
            continue
        start = time.monotonic()
        workspace.run(stage)
        seconds[stage] = time.monotonic() - start
    row = {"game": game, "policy": policy, "seed": seed, **measured(workspace.folder)}
    row["seconds"] = round(sum(seconds.get(stage, 0.0) for stage in TRAININGS), 1)
    row |= {"commit": commit(), "params": fingerprint(chosen)}
    out = SUITE / "rows" / f"{game}_{policy}_seed{seed}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, row)
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}: return_fraction {row['return_fraction']} in {params.suite.test_games} test games")


def measured(folder: Path) -> dict:
    """The figures of a row, read from what the stages wrote in its workspace."""
    store = EpisodeStore(folder / EPISODES)
    frames = {split: sum(episode.length for episode in store.episodes(split)) for split in ("train", "val")}
    play, keys = (read_json(folder / TEST_REPORTS / part / "metrics.json") for part in ("play", "policy"))
    val = read_json(folder / REPORTS / "play" / "metrics.json")
    return {
        "minutes": round(sum(frames.values()) / store.fps / 60, 2),
        "train_frames": frames["train"],
        "return": play["return"],
        "script": play["return_script"],
        "best_blind": play["return_blind"],
        **{name: play[name] for name in ("return_fraction", "return_fraction_low", "return_fraction_high")},
        "val_return_fraction": val["val_return_fraction"],
        "onset_f1": keys["onset_f1"],
        "acting_rule": read_json(folder / REPORTS / "play" / "choice.json")["acting_rule"],
    }


def commit() -> str:
    """The commit that a row was made by, with -dirty where files differ from it."""
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def fingerprint(params: Params) -> str:
    """Eight hexadecimal digits of all params of a row."""
    return hashlib.sha256(json.dumps(params.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:8]


if __name__ == "__main__":
    run_stage(main)
