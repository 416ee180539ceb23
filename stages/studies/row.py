"""What a row of a study tells of the agent that stages of the pipeline made in a workspace."""

import hashlib
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from stages.episodes.store import EpisodeStore
from stages.learning.checkpoints import read_json
from stages.params import Params
from stages.paths import EPISODES, LATENTS, REPORTS, TEST_REPORTS
from stages.studies.workspace import Workspace

OF_LATENTS = ("train_autoencoder", "extract_latents")


def timed(workspace: Workspace, stages: Sequence[str], chosen: Params) -> dict[str, float]:
    """Runs the stages and tells the seconds of each; those that make latents only where the policy reads latents."""
    seconds = {}
    for stage in stages:
        if stage in OF_LATENTS and Path(chosen.policy_reads) != LATENTS:
            continue
        start = time.monotonic()
        workspace.run(stage)
        seconds[stage] = round(time.monotonic() - start, 1)
    return seconds


def learned_and_played(folder: Path) -> dict:
    """How much was recorded, and what came of it in the game and on the test recordings."""
    store = EpisodeStore(folder / EPISODES)
    frames = {split: sum(episode.length for episode in store.episodes(split)) for split in ("train", "val")}
    play, keys = (read_json(folder / TEST_REPORTS / part / "metrics.json") for part in ("play", "policy"))
    return {
        "minutes": round(sum(frames.values()) / store.fps / 60, 2),
        "train_frames": frames["train"],
        "return": play["return"],
        "script": play["return_script"],
        "best_blind": play["return_blind"],
        **{name: play[name] for name in ("return_fraction", "return_fraction_low", "return_fraction_high")},
        "val_return_fraction": read_json(folder / REPORTS / "play" / "metrics.json")["val_return_fraction"],
        "onset_f1": keys["onset_f1"],
        **{name: play[name] for name in ("episode_s", "survived_share")},
        "acting_rule": read_json(folder / REPORTS / "play" / "choice.json")["acting_rule"],
    }


def made_by(chosen: Params) -> dict[str, str]:
    """The commit, with -dirty where files differ from it, and eight hexadecimal digits of all params of the row."""
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    values = json.dumps(chosen.model_dump(mode="json"), sort_keys=True)
    return {
        "commit": told.stdout.strip() or "unknown",
        "params": hashlib.sha256(values.encode()).hexdigest()[:8],
    }
