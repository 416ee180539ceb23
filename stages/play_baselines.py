"""Play the bundled game without an agent, on validation and test seeds: the script, and who sees nothing.

The best of all who see nothing is chosen on validation seeds by halving: many candidates on few seeds, the better ones
on more. None of this depends on what was learned, so experiments share it. reports/play_baselines/: returns.csv (a row
an episode) and choice.json; null in choice.json when the recordings come from no bundled game.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stages.episodes.store import EpisodeStore, action_columns
from stages.evaluation.baselines import MatchedRandom, PlayedSplit, best_metronome, press_statistics
from stages.evaluation.blind import Independent, Nothing, Replay, candidates
from stages.evaluation.onsets import episode_index
from stages.games.catalog import TEST_SEEDS, VALIDATION_SEEDS, agent_can_play, game_seeds, options_of, require_fitting
from stages.games.rollout import GameSetting, Played, Workers, play_rows, play_script
from stages.params import Params, read_params
from stages.paths import EPISODES
from stages.paths import PLAY_BASELINES as OUT
from stages.run import run_stage

HALVING = ((2, 1 / 12), (6, 1 / 6))  # (seeds a candidate, the share that goes on)


def main() -> None:
    params = read_params()
    OUT.mkdir(parents=True, exist_ok=True)
    if not agent_can_play(params):
        write_choice(None)
        print(f"{params.recordings} holds no bundled game: nothing to play")
        return
    if params.play.elsewhere:
        require_fitting(params, EpisodeStore(EPISODES).fps)
        print(f"{params.recordings} was recorded elsewhere: the player beside the agent is the script of {params.game}")
    setting = GameSetting(
        params.game, params.collect.width, params.collect.height, params.actions, params.play.max_episode_s,
        options_of(params),
    )  # fmt: skip
    seeds = {
        "val": game_seeds(VALIDATION_SEEDS, params.play.seed, params.play.val_episodes),
        "test": game_seeds(TEST_SEEDS, params.play.seed, params.play.test_episodes),
    }
    with Workers(params.workers) as workers:
        play_all(params, setting, seeds, workers)


def play_all(params: Params, setting: GameSetting, seeds: Mapping[str, Sequence[int]], workers: Workers) -> None:
    """Finds the best blind policy, lets everybody play the seeds of each split and writes what they scored."""
    blind = partial(play_blind, setting, workers=workers)
    recorded, play = recordings_of(EpisodeStore(EPISODES), params.actions), params.play
    named = {
        "random": Independent((0.5,) * len(params.actions)),
        "matched_random": MatchedRandom(press_statistics(recorded.truth, recorded.episode)),
        "nothing": Nothing(len(params.actions)),
    }
    grid = [
        *named.values(),
        Replay(recorded.by_episode()),
        best_metronome(recorded, params.evaluate.onset_tolerance_s),
        *candidates(len(params.actions), play.blind_shares, play.blind_periods, play.blind_taps),
    ]
    best, finalists = best_blind(blind, grid, seeds["val"])
    policies = {"best_blind": best, **named}
    script = partial(play_script, setting, params.collect.script)
    results = {}
    for split, some in seeds.items():
        results[split, "script"] = workers.run(script, some, title=f"script, {split}")
        episodes = blind([(policy, seed) for policy in policies.values() for seed in some], title=f"blind, {split}")
        for number, name in enumerate(policies):
            results[split, name] = episodes[number * len(some) :][: len(some)]
    write_returns(OUT / "returns.csv", results)
    write_choice(
        {
            "blind_policy": best.described(params.actions),
            "candidates": len(grid),
            "finalists": {policy.described(params.actions): score for policy, score in finalists},
        }
    )
    for (split, name), episodes in results.items():
        print(f"{split:<4} {name:<14} mean score {np.mean([episode.score for episode in episodes]):.2f}")


def play_blind(setting: GameSetting, tasks: Sequence, *, workers: Workers, title: str) -> list[Played]:
    """Episodes of blind policies, given as (policy, seed)."""
    return workers.run(partial(play_rows, setting), tasks, title=title)


def recordings_of(store: EpisodeStore, actions: Sequence[str]) -> PlayedSplit:
    """The keys of the recorded training episodes."""
    values, lengths = store.concatenated("actions", "train")
    times, _ = store.concatenated("t", "train")
    held = values[:, action_columns(store, actions)].astype(bool)
    return PlayedSplit(tuple(actions), held, times, episode_index(lengths))


def best_blind(blind: Callable, grid: list, seeds: Sequence[int]) -> tuple[Callable, list[tuple[Callable, float]]]:
    """The candidate with the highest mean score on all `seeds`, and the finalists with theirs."""
    for count, share in HALVING:
        order = np.argsort(-mean_scores(blind, grid, seeds[:count]), kind="stable")
        grid = [grid[i] for i in order[: max(int(len(grid) * share), 3)]]
    scores = mean_scores(blind, grid, seeds)
    return grid[int(np.argmax(scores))], list(zip(grid, scores.tolist(), strict=True))


def mean_scores(blind: Callable, grid: list, seeds: Sequence[int]) -> np.ndarray:
    """The mean score of each policy over the seeds, float64 [policies]."""
    episodes = blind([(policy, seed) for policy in grid for seed in seeds], title=f"{len(grid)} blind policies")
    return np.array([episode.score for episode in episodes], float).reshape(len(grid), len(seeds)).mean(axis=1)


def write_returns(path: Path, results: Mapping[tuple[str, str], Sequence[Played]]) -> None:
    """returns.csv: a row an episode; results {(split, policy): episodes}."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["split", "policy", "seed", "return", "length"])
        for (split, name), episodes in results.items():
            table.writerows([split, name, each.seed, each.score, each.length] for each in episodes)


def write_choice(choice: dict | None) -> None:
    """choice.json: the best blind policy in words; null when there is no game to play."""
    (OUT / "choice.json").write_text(json.dumps(choice, indent=2) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run_stage(main)
