"""Study minutes, stage learn: an agent from the first sessions of a seed, as the pipeline itself makes it.

The sessions that follow the largest number are test for all rows. One in seven of the others is validation; of fewer
than three sessions it is the last episode of each.
"""

import csv
import shutil
import sys
from pathlib import Path

from stages.games.catalog import TEST_SEEDS, game_seeds
from stages.learning.checkpoints import write_json
from stages.params import Params, read_params
from stages.paths import MINUTES, PARAMS, PLAY_BASELINES, RAW, SCRATCH
from stages.recordings.session import session_stems
from stages.run import run_stage
from stages.studies.minutes.inputs import MinutesParams
from stages.studies.row import learned_and_played, made_by, timed
from stages.studies.workspace import Workspace

RUNS = ("align", "convert", "train_autoencoder", "extract_latents", "train_policy", "evaluate", "play")
TRAININGS = ("train_autoencoder", "extract_latents", "train_policy")  # those whose time is told


def splits(known: list[str], test: list[str], last_episode: int) -> dict[str, object]:
    """The params `split.*`: which of the `known` sessions are validation, or `last_episode` of each if they are few."""
    if len(known) < 3:
        return {"split.unit": "episode", "split.test": test, "split.val": [f"{name}:{last_episode}" for name in known]}
    return {"split.unit": "session", "split.test": test, "split.val": known[-max(1, round(len(known) / 7)) :]}


def main() -> None:
    params, count, seed = read_params(), int(sys.argv[1]), int(sys.argv[2])
    own = params.section("minutes", MinutesParams)
    if own.games > params.play.test_episodes:
        raise ValueError(
            f"minutes.games is {own.games}: script and blind policies played only "
            f"{params.play.test_episodes} test games (play.test_episodes); ask for fewer"
        )
    recorded = MINUTES / f"seed{seed}"
    names = session_stems(recorded)
    known, test = names[:count], names[-own.test_sessions :]
    workspace = Workspace(
        SCRATCH / f"minutes-{count}-{seed}",
        splits(known, test, params.collect.episodes_per_session - 1)
        | {"seed": seed, "recordings": f"{RAW.as_posix()}/{params.game}", "play.videos": 0,
           "play.test_episodes": own.games},
    )  # fmt: skip
    prepare(workspace, params, recorded, [*known, *test], own.games)
    chosen = read_params(workspace.folder / PARAMS)
    seconds = timed(workspace, RUNS, chosen)
    row = {"sessions": count, "seed": seed, **learned_and_played(workspace.folder)}
    row |= {"seconds": round(sum(seconds.get(stage, 0.0) for stage in TRAININGS), 1), **made_by(chosen)}
    out = MINUTES / "rows" / f"{count}_sessions_seed{seed}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, row)
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}: return_fraction {row['return_fraction']} in {own.games} test games")


def prepare(workspace: Workspace, params: Params, recorded: Path, names: list[str], games: int) -> None:
    """The recordings of a row, and what script and blind players earned in the games that it plays."""
    raw = workspace.folder / RAW / params.game
    raw.mkdir(parents=True)
    for path in recorded.iterdir():
        if any(path.name.startswith((f"{name}.", f"{name}_")) for name in names):
            shutil.copyfile(path, raw / path.name)
    (workspace.folder / PLAY_BASELINES).mkdir(parents=True)
    shutil.copyfile(PLAY_BASELINES / "choice.json", workspace.folder / PLAY_BASELINES / "choice.json")
    played = set(game_seeds(TEST_SEEDS, params.play.seed, games))
    with (PLAY_BASELINES / "returns.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] != "test" or int(row["seed"]) in played]
    with (workspace.folder / PLAY_BASELINES / "returns.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    run_stage(main)
