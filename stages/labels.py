"""`make labels`: from latent actions to keys with few labels, and policies that play by them.

No DVC stage: it reads what the last `dvc repro` left. Two questions. How well do n labelled transitions name the keys
of all others (test sessions)? How well plays who has seen all training video and n labels, beside cloning from the same
n labels and from all of them (test games, the same seeds for all)? Nothing is fitted to a label but the n: epochs are
chosen on validation video as the decoder of the n labels names it, acting rules on that and by playing validation
seeds. What is finished stays in .resume: a second run does only what is missing.

Writes reports/labels.json and reports/labels.html.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from stages.episodes.store import EpisodeStore
from stages.evaluation.acting import RULES, Hands
from stages.evaluation.returns import compared
from stages.games.catalog import TEST_SEEDS, VALIDATION_SEEDS, game_seeds, options_of, records_bundled_game
from stages.games.rollout import AgentGames, GameSetting, Workers
from stages.latent_actions.few_label_policies import WHO, Policies, learn_codes
from stages.latent_actions.few_labels import CHOICES, absent_actions, chosen, naming_of
from stages.latent_actions.naming import WAYS, Namers, Video, read_video
from stages.latent_actions.shaping import Shaping
from stages.learning.checkpoints import load_weights, save_model, write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.ledger import Ledger
from stages.learning.training import FitSettings, scratch_folder
from stages.models.agent import Agent
from stages.models.autoencoder import load_autoencoder
from stages.models.latent_action import load_latent_action
from stages.models.policy import RecurrentPolicy
from stages.pages import page
from stages.pages.labels_page import labels_page, printed
from stages.params import Params, read_params
from stages.run import run_stage

EPISODES, LATENTS = Path("data/episodes.zarr"), Path("data/latents.zarr")
EXTRACTED, MODEL = Path("data/latent_actions.zarr"), Path("data/models/latent_action")
AUTOENCODER, PLAYED = Path("data/models/autoencoder"), Path("reports/test/play/returns.csv")
OUT, PAGE = Path("reports/labels.json"), Path("reports/labels.html")
MARKS = {"agent": "cloning from all labels", "best_blind": "best blind policy", "script": "the player"}
CHEAP = ("code", "codes", "vectors", "latents")  # ways to name keys that take seconds: told for every choice of labels


def agent_of(policy: torch.nn.Module, sequence_length: int, device: str, precision: str, lanes: int) -> Agent:
    """A policy on the trained autoencoder's latents, for so many games at a time, on one thread."""
    compute = prepare_compute(device, precision, threads=1, seed=0)
    return Agent(load_autoencoder(AUTOENCODER), policy, sequence_length=sequence_length, compute=compute, batch=lanes)


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    if params.latent_action.label_share:
        raise ValueError(
            f"latent_action.label_share is {params.latent_action.label_share}: the codes have seen more labels than "
            f"the few that they are to be named by; set it to 0 and repeat dvc repro"
        )
    for path in (EPISODES, LATENTS, EXTRACTED, MODEL, AUTOENCODER):
        if not path.exists():
            raise ValueError(f"{path} does not exist; `make labels` reads what `dvc repro` writes: run that first")
    bundled = records_bundled_game(params.recordings, params.game)
    players = read_players(params) if bundled else {}  # first: without them nothing could be compared
    inputs = [EPISODES, LATENTS, EXTRACTED, MODEL, AUTOENCODER]
    scratch = scratch_folder("labels", params.model_dump(mode="json", exclude={"workers"}), inputs)
    namers, val = read_videos(params, compute, scratch)
    ledger = Ledger(scratch)
    named = curve(params, namers, ledger)
    games = let_play(params, namers, val, ledger) if bundled else []
    drawn = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    marks = {words: float(players[name].mean()) for name, words in MARKS.items() if name in players}
    found = {"curve": named, "play": compared(games, players, **drawn), "marks": marks,
             "choice": params.labelling.choice}  # fmt: skip
    write_json(OUT, found)
    size = page.write_page(PAGE, labels_page(found))
    print(printed(found))
    print(f"wrote {OUT} and {PAGE} ({size:.1f} MB)")


def read_videos(params: Params, compute: Compute, scratch: Path) -> tuple[Namers, Video]:
    """Training and test video with all that it takes to name its keys; validation video."""
    own, head = params.labelling, params.recurrent
    model = load_latent_action(MODEL).to(compute.device)
    frames, latents, extracted = (EpisodeStore(path) for path in (EPISODES, LATENTS, EXTRACTED))
    read = partial(
        read_video, frames=frames, latents=latents, extracted=extracted, model=model, compute=compute,
        actions=params.actions, length=params.sequence_length, gap=params.latent_action.frame_gap, reach=own.reach,
        emphasis=own.emphasis,
        limit_gb=params.training.frames_in_ram_gb,
    )  # fmt: skip
    train, val, test = (read(split) for split in ("train", "val", "test"))
    make = partial(
        RecurrentPolicy, latent_shape=train.windows.bank.shape, hidden=head.hidden, cell=params.cell,
        dropout=head.dropout, actions=len(params.actions),
    )  # fmt: skip
    settings = FitSettings.from_sections(own, params.training)
    shaping = Shaping(
        model, train.transitions, val.transitions, params.latent_action,
        FitSettings.from_sections(dict(params.latent_action) | {"epochs": own.shaping_epochs}, params.training),
        compute,
    )  # fmt: skip
    return Namers(train, test, model, make, settings, own.steps, shaping, compute, scratch), val


def labels_of(params: Params, train: Video, choice: str, count: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """The transitions int64 [n] that are labelled in a draw, and their keys bool [n, A]."""
    samples = chosen(choice, train.vectors_around, count, seed=params.seed * 1000 + draw)
    return samples, train.keys[samples]


def curve(params: Params, namers: Namers, ledger: Ledger) -> list[dict]:
    """A row for each number of labels, way to choose them and way to name keys."""
    own, rows = params.labelling, []
    for count in own.counts:
        for choice in CHOICES:
            for way in WAYS:
                if way in CHEAP or choice == own.choice:
                    work = partial(named_row, params, namers, count, choice, way)
                    rows.append(ledger.once(f"curve-{count}-{choice}-{way}", work))
    return rows


def named_row(params: Params, namers: Namers, count: int, choice: str, way: str) -> dict:
    """How well test transitions are named, the mean over the draws of labels."""
    pressed, absent = [], []
    own = params.labelling
    for draw in range(own.draws if way in CHEAP else own.slow_draws):
        samples, held = labels_of(params, namers.train, choice, count, draw)
        pressed.append(namers.pressed(way, samples, held))
        absent += absent_actions(held, params.actions)
    episode, drawn = namers.test.transitions.episode, {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    exact, macro_f1, f1 = naming_of(namers.test.keys, pressed, episode, **drawn)
    return {
        "labels": count, "choice": choice, "way": way, **exact.as_metrics("exact"), **macro_f1.as_metrics("macro_f1"),
        "f1": dict(zip(params.actions, f1.tolist(), strict=True)), "draws": len(pressed),
        # In how many draws no label holds the action.
        "absent": {name: absent.count(name) for name in params.actions if name in absent},
    }  # fmt: skip


def let_play(params: Params, namers: Namers, val: Video, ledger: Ledger) -> list[dict]:
    """A row for each number of labels and each of WHO; its `returns` are in the order of the test seeds."""
    own, rows = params.labelling, []
    settings = FitSettings.from_sections(params.recurrent, params.training)
    policies = Policies(namers, val, settings, partial(latent_policy, params, namers, settings))
    with Workers(params.workers) as workers:
        for count in own.played:
            for who in WHO:
                work = partial(played_row, params, policies, workers, count, who)
                rows.append(ledger.once(f"play-{count}-{own.choice}-{who}", work))
    return rows


def latent_policy(
    params: Params, namers: Namers, settings: FitSettings, train: Video, val: Video, folder: Path
) -> torch.nn.Module:
    """What predicts the codes of train from past frames, trained on all its video; it is kept in `folder`."""
    own = params.labelling
    moments = 1 + own.ahead
    make = partial(namers.make, hidden=own.policy_hidden, actions=moments * namers.model.codes)
    if folder.is_dir():
        return load_weights(make(), folder).eval()
    scratch = folder.with_name(f"fit-{folder.name}")
    policy = learn_codes(make, train, val, own.ahead, settings, namers.compute, scratch=scratch)
    save_model(folder, policy, {"moments": moments, "codes": namers.model.codes})
    return policy


def played_row(params: Params, policies: Policies, workers: Workers, count: int, who: str) -> dict:
    """Learns from the first draw of labels, chooses the acting rule on validation seeds, plays the test seeds."""
    play, collect = params.play, params.collect
    samples, held = labels_of(params, policies.namers.train, params.labelling.choice, count, draw=0)
    policy, acting = policies.learned(who, samples, held)
    setting = GameSetting(
        params.game, collect.width, collect.height, params.actions, play.max_episode_s, options_of(params)
    )
    make_agent = partial(agent_of, policy.cpu(), params.sequence_length, params.device, params.precision)
    games = AgentGames(setting, make_agent, play.lanes)
    rules = {rule: Hands(rule, acting) for rule in RULES}
    val_seeds = game_seeds(VALIDATION_SEEDS, play.seed, play.val_episodes)
    tried = {
        rule: float(np.mean([game.score for game in played]))
        for rule, played in games.by_rule(workers, rules, val_seeds, title=f"{who} {count}, val").items()
    }
    rule = max(RULES, key=tried.__getitem__)
    test_seeds = game_seeds(TEST_SEEDS, play.seed, play.test_episodes)
    played = games.by_rule(workers, {rule: rules[rule]}, test_seeds, title=f"{who} {count}, test")[rule]
    returns = [game.score for game in played]
    absent = absent_actions(held, params.actions)
    return {"labels": count, "who": who, "acting_rule": rule, "mean_score_by_rule": tried, "absent": absent,
            "returns": returns}  # fmt: skip


def read_players(params: Params) -> dict[str, np.ndarray]:
    """The scores [S] on the test seeds of the players of the stage play: the agent of all labels, and two marks."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in page.read_rows(PLAYED):
        found.setdefault(row["policy"], []).append((int(row["seed"]), float(row["return"])))
    seeds = game_seeds(TEST_SEEDS, params.play.seed, params.play.test_episodes)
    for name in ("agent", "best_blind", "script"):
        if [seed for seed, _ in found.get(name, [])] != seeds:
            raise ValueError(f"{PLAYED} has not the {len(seeds)} test games of {name}; run `dvc repro` first")
    return {name: np.array([score for _, score in games]) for name, games in found.items()}


if __name__ == "__main__":
    run_stage(main)
