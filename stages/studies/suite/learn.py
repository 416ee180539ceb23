"""Study suite, stage learn: a policy learns a game from twelve minutes and plays it, as the pipeline itself does it."""

import shutil
import sys

from stages.learning.checkpoints import write_json
from stages.params import read_params
from stages.paths import EPISODES, PARAMS, PLAY_BASELINES, RAW, SCRATCH, SUITE
from stages.run import run_stage
from stages.studies.row import learned_and_played, made_by, timed
from stages.studies.suite.inputs import SuiteParams
from stages.studies.workspace import Workspace, preset

RUNS = ("train_autoencoder", "extract_latents", "train_policy", "evaluate", "play")
TRAININGS = RUNS[:3]  # those whose time is told


def main() -> None:
    params, game, policy, seed = read_params(), sys.argv[1], sys.argv[2], int(sys.argv[3])
    own = params.section("suite", SuiteParams)
    changes = preset(policy) | preset(game) | {
        "seed": seed, "recordings": f"{RAW.as_posix()}/{game}", "play.videos": 0,
        "play.test_episodes": own.test_games,
    }  # fmt: skip
    workspace = Workspace(SCRATCH / f"suite-{game}-{policy}-{seed}", changes)
    for kept in (EPISODES, PLAY_BASELINES):
        source = SUITE / f"{game}_seed{seed}" / kept.name
        shutil.copytree(source, workspace.folder / kept, copy_function=shutil.copyfile)
    chosen = read_params(workspace.folder / PARAMS)
    seconds = timed(workspace, RUNS, chosen)
    row = {"game": game, "policy": policy, "seed": seed, **learned_and_played(workspace.folder)}
    row |= {"seconds": sum(seconds.get(stage, 0.0) for stage in TRAININGS), **made_by(chosen)}
    out = SUITE / "rows" / f"{game}_{policy}_seed{seed}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, row)
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}: return_fraction {row['return_fraction']} in {own.test_games} test games")


if __name__ == "__main__":
    run_stage(main)
