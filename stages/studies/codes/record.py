"""Study codes, stage record: a game as its preset has it, played by its script: data/codes/<game>/episodes.zarr."""

import shutil
import sys

from stages.paths import EPISODES, SCRATCH
from stages.run import run_stage
from stages.studies.codes.inputs import CODES
from stages.studies.workspace import Workspace, preset

RUNS = ("collect", "align", "convert")  # stages that run in the workspace


def main() -> None:
    game = sys.argv[1]
    workspace = Workspace(SCRATCH / f"codes-record-{game}", preset(game))
    for stage in RUNS:
        workspace.run(stage)
    out = CODES / game
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.move(workspace.folder / EPISODES, out / EPISODES.name)
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}")


if __name__ == "__main__":
    run_stage(main)
