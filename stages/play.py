"""Stage play: the trained agent in the bundled game, and how far it comes on the way from blind (0) to the player (1).

The acting rule is chosen on validation seeds. Test seeds are played once, with the rule chosen, and compared
seed by seed with the players of play_baselines and with the agent shown another episode's frames.
reports/play/ (validation) and reports/test/play/ (test, with videos), null where no bundled game was recorded, and
data/agent/: the agent with the acting rule chosen, all that `understudy play` needs.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stages.evaluation.blind import KeysOfOther
from stages.evaluation.figures import style
from stages.evaluation.figures.play import returns_figure
from stages.evaluation.intervals import Interval, finite, mean_interval, paired_difference
from stages.evaluation.overlay import overlay_frames, write_video
from stages.evaluation.returns import chosen_elsewhere, return_fraction
from stages.games.catalog import TEST_SEEDS, VALIDATION_SEEDS, agent_can_play, game_seeds, options_of
from stages.games.rollout import AgentGames, GameSetting, Played, Workers, play_rows, replayed_frames
from stages.learning.checkpoints import write_json
from stages.learning.compute import prepare_compute
from stages.models.acting import RULES, Acting
from stages.models.agent import Agent, copy_agent, read_about
from stages.params import Params, read_params
from stages.paths import AGENT, PLAY_BASELINES, POLICY, REPORTS, TEST_REPORTS
from stages.run import run_stage

VAL, TEST = REPORTS / "play", TEST_REPORTS / "play"


def load_agent(device: str, precision: str, lanes: int) -> Agent:
    """The trained agent, for so many games at a time, on one thread."""
    return Agent.load(POLICY, prepare_compute(device, precision, threads=1, seed=0), batch=lanes)


def main() -> None:
    params = read_params()
    for folder in (VAL, TEST):
        folder.mkdir(parents=True, exist_ok=True)
    if not agent_can_play(params):
        write_json(VAL / "metrics.json", {"val_return_fraction": None})
        write_json(TEST / "metrics.json", {"return_fraction": None})
        copy_agent(POLICY, AGENT, rule=RULES[0])
        print(
            f"{params.recordings} was not recorded from a bundled game: nobody can play it here, its metrics are null"
        )
        return
    with Workers(params.workers) as workers:
        let_play(params, workers)
    print(f"written: {VAL}, {TEST} and {AGENT}, ready for `understudy play`")


def let_play(params: Params, workers: Workers) -> None:
    """Chooses the acting rule on validation seeds, plays the test seeds with it and writes both reports."""
    play, collect = params.play, params.collect
    setting = GameSetting(
        params.game, collect.width, collect.height, params.actions, play.max_episode_s, options_of(params)
    )
    acting = read_about(POLICY).acting
    baselines = read_returns(PLAY_BASELINES / "returns.csv", {"val": play.val_episodes, "test": play.test_episodes})
    bootstrap = {"resamples": params.evaluate.bootstrap, "seed": params.seed}

    games = AgentGames(setting, partial(load_agent, params.device, params.precision), play.lanes)
    rules = {rule: acting.by(rule).keys for rule in RULES}
    val_seeds = game_seeds(VALIDATION_SEEDS, play.seed, play.val_episodes)
    tried = games.by_rule(workers, rules, val_seeds, title="agent, val")
    rule = max(RULES, key=lambda name: scores(tried[name]).mean())
    val = {"agent": chosen_elsewhere([scores(episodes) for episodes in tried.values()]), **baselines["val"]}
    write_json(VAL / "metrics.json", fraction_metrics(val, "val_", bootstrap))
    style.save(returns_figure(val), VAL / "returns.png")
    means = {name: float(scores(episodes).mean()) for name, episodes in tried.items()}
    blind = json.loads((PLAY_BASELINES / "choice.json").read_text(encoding="utf-8"))
    choice = {"acting_rule": rule, "mean_score_by_rule": means, "blind_policy": blind["blind_policy"]}
    write_json(VAL / "choice.json", choice)
    print("validation: " + ", ".join(f"{name} {mean:.2f}" for name, mean in means.items()) + f"; acting rule: {rule}")

    copy_agent(POLICY, AGENT, rule=rule)
    test_seeds = game_seeds(TEST_SEEDS, play.seed, play.test_episodes)
    episodes = games.by_rule(workers, {rule: rules[rule]}, test_seeds, title="agent, test")[rule]
    blindfolded = KeysOfOther(tuple(episode.keys for episode in episodes), tuple(test_seeds))
    tasks = [(blindfolded, seed) for seed in test_seeds]
    shown_others = workers.run(partial(play_rows, setting), tasks, title="blindfolded")
    test = {"agent": scores(episodes), **baselines["test"], "blindfolded": scores(shown_others)}
    write_test(test, choice, test_seeds, how_long(setting, episodes, bootstrap), bootstrap)
    write_videos(setting, acting, episodes, play.videos, workers)


def how_long(setting: GameSetting, episodes: Sequence[Played], bootstrap: Mapping) -> dict[str, float | None]:
    """episode_s, how long games last in s, and survived_share, the share of games that last until they are cut off."""
    with setting.start(sighted=False) as game:
        fps, limit = game.fps, setting.frames(game)
    frames = np.array([episode.length for episode in episodes])
    found = mean_interval(frames / fps, **bootstrap).as_metrics("episode_s")
    return found | mean_interval(frames >= limit, **bootstrap).as_metrics("survived_share")


def scores(episodes: Sequence[Played]) -> np.ndarray:
    """float64 [episodes]"""
    return np.array([episode.score for episode in episodes], float)


def read_returns(path: Path, games: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """{split: {policy: scores [episodes]}} of play_baselines' returns.csv, the first so many `games` of each split."""
    found: dict[str, dict[str, list[float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["split"], {}).setdefault(row["policy"], []).append(float(row["return"]))
    return {
        split: {name: np.array(values[: games[split]]) for name, values in policies.items()}
        for split, policies in found.items()
    }


def fraction_metrics(returns: Mapping[str, np.ndarray], prefix: str, bootstrap: Mapping) -> dict[str, float | None]:
    """return_fraction with its interval, and the mean return of every player."""
    metrics = return_fraction(returns, **bootstrap).as_metrics(f"{prefix}return_fraction")
    named = {"best_blind": "blind"}
    for name, values in returns.items():
        suffix = "" if name == "agent" else f"_{named.get(name, name)}"
        metrics |= mean_interval(values, **bootstrap).as_metrics(f"{prefix}return{suffix}")
    return metrics


def write_test(
    returns: Mapping[str, np.ndarray], choice: Mapping, seeds: Sequence[int], further: Mapping, bootstrap: Mapping
) -> None:
    """metrics.json (with `further` metrics), summary.json, returns.csv and returns.png of the test seeds."""
    paired = {
        f"agent - {name.replace('_', ' ')}": paired_difference(returns["agent"], returns[name], **bootstrap)
        for name in ("best_blind", "blindfolded", "script")
    }
    metrics = fraction_metrics(returns, "", bootstrap) | dict(further)
    metrics |= paired["agent - best blind"].as_metrics("gain_over_blind")
    metrics |= paired["agent - blindfolded"].as_metrics("gain_over_blindfolded")
    write_json(TEST / "metrics.json", metrics)
    policies = {name: described(mean_interval(values, **bootstrap), len(values)) for name, values in returns.items()}
    summary = {"policies": policies, "paired": {name: described(ends, len(seeds)) for name, ends in paired.items()}}
    write_json(TEST / "summary.json", {**summary, **choice})
    with (TEST / "returns.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["policy", "seed", "return"])
        for name, values in returns.items():
            table.writerows([name, seed, value] for seed, value in zip(seeds, values.tolist(), strict=True))
    style.save(returns_figure(returns), TEST / "returns.png")


def described(interval: Interval, episodes: int) -> dict[str, float | None]:
    ends = {"mean": interval.value, "low": interval.low, "high": interval.high}
    return {name: finite(value) for name, value in ends.items()} | {"episodes": episodes}


def write_videos(
    setting: GameSetting, acting: Acting, episodes: Sequence[Played], count: int, workers: Workers
) -> None:
    """best.mp4, median.mp4 and worst.mp4: the picture with the keys and their probabilities beside it."""
    order = sorted(episodes, key=lambda episode: episode.score)
    chosen = {"median": order[len(order) // 2], "best": order[-1], "worst": order[0]}
    work: Callable = partial(write_video_of, setting, acting)
    workers.run(work, list(chosen.items())[:count], chunk=1, title="videos")


def write_video_of(setting: GameSetting, acting: Acting, named: Sequence[tuple[str, Played]]) -> list[None]:
    """Plays episodes again from their keys and writes the videos; [None] an episode."""
    for name, episode in named:
        probabilities = acting.probabilities(episode.logits)
        frames = overlay_frames(replayed_frames(setting, episode), setting.actions, None, probabilities, episode.keys)
        with setting.start() as game:
            fps = game.fps
        write_video(TEST / f"{name}.mp4", frames, fps)
    return [None] * len(named)


if __name__ == "__main__":
    run_stage(main)
