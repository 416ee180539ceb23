"""Record a bundled game, played by its script with a person's delay and slips, as sessions: data/raw/<game>/.

Seeds and clock are fixed, so that two runs write identical files. Sessions are made in parallel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stages.games.catalog import RECORDING_SEEDS, bundled, game_seeds, options_of
from stages.games.game import Game
from stages.games.rollout import GameSetting, Workers
from stages.games.scripts import HumanLikeScript
from stages.params import ScriptParams, read_params
from stages.paths import RAW
from stages.recordings.actions import intended_column
from stages.recordings.writer import SessionWriter
from stages.run import run_stage

FIRST_SESSION_T = 1_767_225_600.0  # 2026-01-01 00:00 UTC: recordings of a script need no real clock
BETWEEN_SESSIONS_S = 3600.0
BETWEEN_EPISODES_S = 5.0


@dataclass(frozen=True)
class Recording:
    """How sessions are recorded."""

    setting: GameSetting
    script: ScriptParams
    crf: int
    directory: Path


def main() -> None:
    params = read_params()
    collect = params.collect
    keys = tuple(bundled(params.game).keys)
    setting = GameSetting(params.game, collect.width, collect.height, keys, collect.max_episode_s, options_of(params))
    recording = Recording(setting, collect.script, collect.crf, RAW / params.game)
    seeds = game_seeds(RECORDING_SEEDS, collect.seed, collect.sessions * collect.episodes_per_session)
    episodes = [
        seeds[n * collect.episodes_per_session :][: collect.episodes_per_session] for n in range(collect.sessions)
    ]
    with Workers(params.workers) as workers:
        recorded = workers.run(
            partial(record_sessions, recording), list(enumerate(episodes)), chunk=1, title="recording"
        )
    frames = sum(count for count, _ in recorded)
    score = np.mean([score for _, scores in recorded for score in scores])
    print(f"{len(recorded)} sessions, {len(seeds)} episodes, {frames} frames; mean score {score:.1f}")
    print(f"written: {recording.directory}")


def record_sessions(recording: Recording, numbered: Sequence[tuple[int, list[int]]]) -> list[tuple[int, list[float]]]:
    """Write sessions, given as (number, the seeds of its episodes); frames and scores of each."""
    with recording.setting.start() as game:
        return [_session(recording, game, number, seeds) for number, seeds in numbered]


def _session(recording: Recording, game: Game, number: int, seeds: list[int]) -> tuple[int, list[float]]:
    setting = recording.setting
    metadata = {
        "game": setting.name,
        "keys": {action: [key] for action, key in game.keys.items()},
        "recorder": "understudy 0.2.0",
        "player": "script",
        "mirror": dict(game.mirror),
        "seeds": seeds,
    }
    frames, scores, t = 0, [], FIRST_SESSION_T + number * BETWEEN_SESSIONS_S
    with SessionWriter(
        recording.directory, f"{setting.name}_{number:03d}", width=setting.width, height=setting.height, fps=game.fps,
        metadata=metadata, crf=recording.crf, state_columns=(*game.state_columns, *map(intended_column, game.keys)),
    ) as writer:  # fmt: skip
        for seed in seeds:
            game.reset(seed)
            script = HumanLikeScript(game, recording.script, np.random.default_rng([seed, 1]))
            frames += _episode(writer, game, script, t, setting.frames(game))
            scores.append(game.score)
            writer.episode_result(game.score, game.outcome if game.done else "recording stopped")
            t += setting.max_episode_s + BETWEEN_EPISODES_S
    return frames, scores


def _episode(writer: SessionWriter, game: Game, script: HumanLikeScript, start_t: float, limit: int) -> int:
    """Record one episode from `start_t` on; returns its frames. Key events stand at the tic they happen in."""
    tic, frames = 0, 0
    down: frozenset[str] = frozenset()
    writer.marker("fight_start", start_t)
    while not game.done and frames < limit:
        state = game.state()
        held = script.keys(state)
        meant = {intended_column(action): float(action in script.intended) for action in game.keys}
        writer.frame(game.frame(), start_t + tic / game.tic_rate_hz, state={**state, **meant})
        for now in held:
            down = _press(writer, game, down, now, start_t + tic / game.tic_rate_hz)
            tic += 1
        game.step(held)
        frames += 1
    end_t = start_t + tic / game.tic_rate_hz
    _press(writer, game, down, frozenset(), end_t)
    writer.marker("fight_end", end_t)
    return frames


def _press(writer: SessionWriter, game: Game, before: frozenset[str], now: frozenset[str], t: float) -> frozenset[str]:
    """Write the key events that lead from one set of held actions to the next."""
    for action, key in game.keys.items():
        if (action in now) != (action in before):
            writer.key("keydown" if action in now else "keyup", key, t)
    return now


if __name__ == "__main__":
    run_stage(main)
