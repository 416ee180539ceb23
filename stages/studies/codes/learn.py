"""Study codes, stage learn: a latent action model of a game, with a seed of its own, judged by the pipeline."""

import shutil
import sys
from pathlib import Path

from stages.learning.checkpoints import read_json, write_json
from stages.params import read_params
from stages.paths import EPISODES, PARAMS, REPORTS, SCRATCH, TEST_REPORTS
from stages.run import run_stage
from stages.studies.codes.inputs import CODES, row_file
from stages.studies.row import made_by
from stages.studies.workspace import Workspace, preset

RUNS = ("train_latent_action", "extract_latent_actions", "evaluate_latent_action")


def main() -> None:
    game, seed = sys.argv[1], int(sys.argv[2])
    workspace = Workspace(SCRATCH / f"codes-{game}-{seed}", preset(game) | {"seed": seed})
    shutil.copytree(CODES / game / EPISODES.name, workspace.folder / EPISODES, copy_function=shutil.copyfile)
    for stage in RUNS:
        workspace.run(stage)
    row = {"game": game, "seed": seed, **judged(workspace.folder / TEST_REPORTS)}
    row |= {f"val_{name}": value for name, value in judged(workspace.folder / REPORTS).items()}
    out = row_file(game, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, row | made_by(read_params(workspace.folder / PARAMS)))
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}: information gained {row['information_gained']}")


def judged(reports: Path) -> dict[str, float | None]:
    """What the codes tell of the keys on a split, without the `lam_` of the names."""
    found = read_json(reports / "latent_action" / "metrics.json")
    kept = ("lam_information_gained", "lam_change_", "lam_probe_", "lam_gain_db", "lam_perplexity")
    return {name.removeprefix("lam_"): value for name, value in found.items() if name.startswith(kept)}


if __name__ == "__main__":
    run_stage(main)
