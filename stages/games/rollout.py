"""Episodes of a bundled game: by the script, by rows of keys, or by an agent that sees the frames.

A row of keys is uint8 [A], one a frame, held for all its tics. Whatever plays, the same seed gives the same
episode, however many games run at a time: an episode's randomness is drawn from its own seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from tqdm import tqdm

from stages.games.catalog import bundled
from stages.games.game import Game
from stages.games.scripts import HumanLikeScript
from stages.params import ScriptParams, Section

RowsOf = Callable[[int, int], np.ndarray]  # (seed, frames) -> keys uint8 [frames, A]
Rule = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # logits float32 [A] -> pressed bool [A]


@dataclass(frozen=True)
class GameSetting:
    """The game that is played, the size of its picture and when an episode is cut off."""

    name: str
    width: int
    height: int
    actions: tuple[str, ...]
    max_episode_s: float
    options: Section = Section()  # what the game's own class reads of params.yaml

    def start(self, *, sighted: bool = True) -> Game:
        return bundled(self.name)(width=self.width, height=self.height, sighted=sighted, options=self.options)

    def frames(self, game: Game) -> int:
        """Frames after which an episode is cut off."""
        return max(int(self.max_episode_s * game.fps), 1)


@dataclass(frozen=True)
class Played:
    """One episode: what it scored, its keys uint8 [T, A] and, for an agent, its logits float32 [T, A]."""

    seed: int
    score: float
    keys: np.ndarray
    logits: np.ndarray | None = None

    @property
    def length(self) -> int:
        """Frames."""
        return len(self.keys)


def play_script(setting: GameSetting, params: ScriptParams, seeds: Sequence[int]) -> list[Played]:
    """The script with its handicaps; a key counts for a frame in which it is down at any tic."""
    results = []
    with setting.start(sighted=False) as game:
        for seed in seeds:
            game.reset(seed)
            hands = HumanLikeScript(game, params, np.random.default_rng([seed, 1]))
            rows = []
            while not game.done and len(rows) < setting.frames(game):
                held = hands.keys(game.state())
                game.step(held)
                rows.append(_row(frozenset().union(*held), setting.actions))
            results.append(Played(seed, game.score, np.array(rows, np.uint8)))
    return results


def play_rows(setting: GameSetting, tasks: Sequence[tuple[RowsOf, int]]) -> list[Played]:
    """Keys that are fixed beforehand, whatever happens; `tasks` are pairs of a blind policy and a seed."""
    results = []
    with setting.start(sighted=False) as game:
        for rows_of, seed in tasks:
            game.reset(seed)
            rows = rows_of(seed, setting.frames(game))
            frame = 0
            while not game.done and frame < len(rows):
                game.step(_held(rows[frame], game, setting.actions))
                frame += 1
            results.append(Played(seed, game.score, rows[:frame].copy()))
    return results


def replayed_frames(setting: GameSetting, episode: Played) -> Iterator[np.ndarray]:
    """The pictures uint8 [H, W, 3] BGR of an episode, played again from its seed and keys."""
    with setting.start() as game:
        game.reset(episode.seed)
        for row in episode.keys:
            yield game.frame()
            game.step(_held(row, game, setting.actions))


class Lane:
    """One of the games that share a batch."""

    def __init__(self, setting: GameSetting):
        self._setting = setting
        self.game = setting.start()
        self._limit = setting.frames(self.game)

    def reset(self, number: int, rule: Rule, seed: int) -> None:
        self.number, self.rule, self.seed = number, rule, seed
        self.random = np.random.default_rng([seed, 2])
        self.keys: list[np.ndarray] = []
        self.logits: list[np.ndarray] = []
        self.game.reset(seed)

    def step(self, logits: np.ndarray) -> bool:
        """Hold the keys for a frame that the rule makes of the logits float32 [A]; whether the episode goes on."""
        row = self.rule(logits, self.random).astype(np.uint8)
        self.keys.append(row)
        self.logits.append(logits)
        self.game.step(_held(row, self.game, self._setting.actions))
        return not self.game.done and len(self.keys) < self._limit

    def played(self) -> Played:
        return Played(self.seed, self.game.score, np.array(self.keys), np.array(self.logits, np.float32))


def play_agent(setting: GameSetting, agent, tasks: Sequence[tuple[Rule, int]], lanes: int) -> list[Played]:
    """An agent that sees the frames, up to `lanes` games in one batch; `tasks` are pairs of an acting rule and a seed.

    `agent.reset(lane)` forgets a lane's past, `agent.logits({lane: image BGR}) -> {lane: float32 [A]}`; an agent that
    `reads_state` gets {lane: what the game knows} as well.
    """
    waiting = list(reversed(list(enumerate(tasks))))
    running: dict[int, Lane] = {}
    done: dict[int, Played] = {}
    all_lanes = [Lane(setting) for _ in range(min(lanes, len(tasks)))]

    def start(place: int, lane: Lane) -> None:
        number, (rule, seed) = waiting.pop()
        lane.reset(number, rule, seed)
        agent.reset(place)
        running[place] = lane

    try:
        for place, lane in enumerate(all_lanes):
            start(place, lane)
        while running:
            frames = {place: lane.game.frame() for place, lane in running.items()}
            if agent.reads_state:
                logits = agent.logits(frames, {place: lane.game.state() for place, lane in running.items()})
            else:
                logits = agent.logits(frames)
            for place, lane in list(running.items()):
                if lane.step(logits[place]):
                    continue
                done[lane.number] = lane.played()
                if waiting:
                    start(place, lane)
                else:
                    del running[place]
    finally:
        for lane in all_lanes:
            lane.game.close()
    return [done[number] for number in range(len(tasks))]


class Workers(AbstractContextManager):
    """Processes that play games in parallel, kept from one piece of work to the next; a context manager."""

    def __init__(self, count: int):
        self.count = count
        self._pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))

    def run(self, work: Callable[[Sequence], list], items: Sequence, *, title: str, chunk: int | None = None) -> list:
        """`work(items)` in pieces of `chunk` items, by default four pieces a worker; results in the items' order.

        `work` must be picklable, and its result for an item must not depend on the others of its piece. (Every piece
        starts a game; with fewer pieces a worker waits for the other at the end.)
        """
        if chunk is None:
            chunk = max(-(-len(items) // (4 * self.count)), 1)
        pieces = [items[start : start + chunk] for start in range(0, len(items), chunk)]
        results: list = []
        with tqdm(total=len(items), desc=title, unit="episode", leave=False) as bar:
            for piece in self._pool.map(work, pieces):
                results += piece
                bar.update(len(piece))
        return results

    def __exit__(self, kind, error, traceback) -> None:
        self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class AgentGames:
    """Episodes of an agent, shared out; picklable, since every worker makes its own agent by `make_agent(lanes)`."""

    setting: GameSetting
    make_agent: Callable
    lanes: int

    def __call__(self, tasks: Sequence[tuple[Rule, int]]) -> list[Played]:
        return play_agent(self.setting, self.make_agent(self.lanes), tasks, self.lanes)

    def by_rule(
        self, workers: Workers, rules: Mapping[str, Rule], seeds: Sequence[int], *, title: str
    ) -> dict[str, list[Played]]:
        """Every seed by every acting rule, in the seeds' order; one piece a worker, whose lanes stay full for long."""
        tasks = [(rule, seed) for seed in seeds for rule in rules.values()]
        played = workers.run(self, tasks, chunk=-(-len(tasks) // workers.count), title=title)
        return {name: played[place :: len(rules)] for place, name in enumerate(rules)}


def _row(held: frozenset[str], actions: tuple[str, ...]) -> np.ndarray:
    return np.array([name in held for name in actions], np.uint8)


def _held(row: np.ndarray, game: Game, actions: tuple[str, ...]) -> list[frozenset[str]]:
    held = frozenset(name for name, on in zip(actions, row, strict=True) if on)
    return [held] * game.tics_per_frame
