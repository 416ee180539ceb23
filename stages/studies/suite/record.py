"""Study suite, stage record: a game played by its script, and by who sees nothing: data/suite/<game>_seed<seed>/.

Training and validation are the fewest sessions that reach `suite.minutes` together, the last of them, with about a
seventh of these minutes, validation; the next session is test. What is kept: episodes.zarr and play_baselines.
"""

import shutil
import sys
from collections.abc import Mapping

from stages.learning.checkpoints import read_json
from stages.params import read_params
from stages.paths import EPISODES, PLAY_BASELINES, RAW, SCRATCH, SUITE, TIMELINES
from stages.run import run_stage
from stages.studies.suite.inputs import SuiteParams
from stages.studies.workspace import Workspace, preset

VALIDATION = 1 / 7  # of the minutes
RUNS = ("collect", "align", "convert", "play_baselines")  # stages that run in the workspace


def main() -> None:
    params, game, seed = read_params(), sys.argv[1], int(sys.argv[2])
    own = params.section("suite", SuiteParams)
    changes = {
        "seed": seed, "collect.seed": seed, "recordings": f"{RAW.as_posix()}/{game}", "split.unit": "session",
        "play.test_episodes": own.test_games,
    }  # fmt: skip
    workspace = Workspace(SCRATCH / f"suite-record-{game}-{seed}", preset(game) | changes)
    for stage in RUNS[:2]:
        workspace.run(stage)
    minutes = minutes_of(read_json(workspace.folder / TIMELINES / "alignment.json")["sessions"])
    chosen = splits(minutes, own.minutes, game)
    workspace.change(chosen)
    for name in list(minutes)[list(minutes).index(*chosen["split.test"]) + 1 :]:
        for path in (workspace.folder / RAW / game).glob(f"{name}[._]*"):
            path.unlink()
    for stage in RUNS[1:]:
        workspace.run(stage)
    out = SUITE / f"{game}_seed{seed}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for kept in (EPISODES, PLAY_BASELINES):
        shutil.move(workspace.folder / kept, out / kept.name)
    shutil.rmtree(workspace.folder)
    print(f"wrote {out}")


def minutes_of(sessions: Mapping[str, Mapping]) -> dict[str, float]:
    """Minutes of episodes of each session, from the `sessions` of alignment.json."""
    return {
        name: found["frames_in_episodes"] * found["interval_ms"]["median"] / 60_000 for name, found in sessions.items()
    }


def splits(minutes: Mapping[str, float], wanted: float, game: str) -> dict[str, list[str]]:
    """The params `split.val` and `split.test`; ValueError when the recordings are too few."""
    names, known, total = list(minutes), [], 0.0
    while (total < wanted or len(known) < 2) and len(known) < len(names) - 1:
        total += minutes[names[len(known)]]
        known.append(names[len(known)])
    if total < wanted or len(known) < 2:
        raise ValueError(
            f"the suite wants {wanted:g} minutes of {game} and a session more, its preset records "
            f"{sum(minutes.values()):.1f} in {len(names)} sessions; raise collect.sessions there"
        )
    held = {count: sum(minutes[name] for name in known[-count:]) for count in range(1, len(known))}
    val = min(held, key=lambda count: abs(held[count] - total * VALIDATION))
    return {"split.val": known[-val:], "split.test": [names[len(known)]]}


if __name__ == "__main__":
    run_stage(main)
