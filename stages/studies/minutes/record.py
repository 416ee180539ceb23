"""Study minutes, stage record: the sessions of one seed, data/minutes/seed<seed>/."""

import shutil
import sys
from pathlib import Path

from stages.games.catalog import records_bundled_game
from stages.params import read_params
from stages.paths import MINUTES, RAW, SCRATCH
from stages.run import run_stage
from stages.studies.minutes.inputs import MinutesParams
from stages.studies.workspace import Workspace

RUNS = ("collect",)  # stages that run in the workspace


def main() -> None:
    params, seed = read_params(), int(sys.argv[1])
    own = params.section("minutes", MinutesParams)
    if not records_bundled_game(params.recordings, params.game):
        raise ValueError(
            f"{params.recordings} holds no bundled game: the study minutes lets agents play, and cannot here"
        )
    sessions = max(own.sessions) + own.test_sessions
    changes = {"collect.sessions": sessions, "collect.seed": seed, "recordings": f"{RAW.as_posix()}/{params.game}"}
    workspace = Workspace(SCRATCH / f"minutes-record-{seed}", changes)
    workspace.run(RUNS[0])
    out = Path(MINUTES / f"seed{seed}")
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(workspace.folder / RAW / params.game, out)
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}: {sessions} sessions")


if __name__ == "__main__":
    run_stage(main)
