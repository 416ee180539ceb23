"""The trained files as `dvc repro` leaves them, ready to decide."""

import argparse
import json
from pathlib import Path

from stages.commands.engines import load_agent
from stages.episodes.store import EpisodeStore
from stages.evaluation.acting import RULES, Acting, read_acting
from stages.learning.checkpoints import read_json
from stages.learning.compute import prepare_compute
from stages.models.agent import Agent

STORE = Path("data/episodes.zarr")
TRAINED = Path("data/models")
CHOICE = Path("reports/play/choice.json")


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder of the trained files, as dvc repro leaves them: data/models"
    )


def add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rule", choices=RULES,
        help="press above the tuned threshold, press what the player more likely would than not, or draw by "
        "probability (default: for data/models what did best in validation games, else the threshold)",
    )  # fmt: skip


def rule_of(options: argparse.Namespace) -> str:
    """The acting rule asked for; else, for the project's own agent, the one that the stage play chose; else the first.

    Another folder's agent was not played here: what was chosen for this one says nothing about it.
    """
    if options.rule:
        return options.rule
    if options.model.resolve() != TRAINED.resolve() or not CHOICE.is_file():
        return RULES[0]
    return json.loads(CHOICE.read_text(encoding="utf-8")).get("acting_rule", RULES[0])


def load_brain(model: Path, engine: str = "torch") -> tuple[Acting, Agent, tuple[str, ...]]:
    """Acting rule, agent for one game and its actions; ValueError when a file or the engine is missing."""
    if not (model / "policy" / "config.json").is_file():
        raise ValueError(f"{model} holds no trained agent (no {model / 'head' / 'config.json'}); run dvc repro first")
    actions = tuple(read_json(model / "policy" / "config.json")["actions"])
    compute = prepare_compute("auto", "auto", threads=1, seed=0)
    acting = read_acting(model / "policy" / "acting.json", actions)
    return acting, load_agent(model, engine, compute, acting), actions


def recorded_fps(model: Path) -> float:
    """Frames a second of the episodes that an agent learned from; ValueError where nothing says it.

    The episodes of this project say it of its own agent only, not of one from another folder.
    """
    said = read_json(model / "policy" / "config.json").get("fps")
    if said:
        return float(said)
    if model.resolve() == TRAINED.resolve() and STORE.exists():
        return EpisodeStore(STORE).fps
    raise ValueError(f"nothing says at how many frames a second the agent in {model} learned: give --fps")
