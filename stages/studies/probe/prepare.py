"""Study probe, stage prepare: the recordings of a game, their latents and a policy that has learned from them."""

import shutil

from stages.params import read_params
from stages.paths import EPISODES, LATENTS, PARAMS, POLICY, SCRATCH
from stages.run import run_stage
from stages.studies.probe.inputs import RECORDED, ProbeParams
from stages.studies.workspace import Workspace, preset

RUNS = ("collect", "align", "convert", "train_autoencoder", "extract_latents", "train_policy")


def main() -> None:
    game = read_params().section("probe", ProbeParams).game
    workspace = Workspace(SCRATCH / "probe-prepare", preset(game))
    for stage in RUNS:
        workspace.run(stage)
    shutil.rmtree(RECORDED, ignore_errors=True)
    RECORDED.mkdir(parents=True)
    for kept in (EPISODES, LATENTS, POLICY, PARAMS):
        shutil.move(workspace.folder / kept, RECORDED / kept.name)
    shutil.rmtree(workspace.folder)
    print(f"wrote {RECORDED}")


if __name__ == "__main__":
    run_stage(main)
