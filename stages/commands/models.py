"""The agent's folder as `dvc repro` leaves it, ready to decide."""

import argparse
from pathlib import Path

from stages.commands.engines import load_agent
from stages.learning.compute import prepare_compute
from stages.models.acting import RULES
from stages.models.agent import Agent


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent", type=Path, metavar="AGENT", help="folder of the agent, as dvc repro leaves it: data/agent"
    )


def add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rule", choices=RULES,
        help="press above the tuned threshold, press what the player more likely would than not, or draw by "
        "probability (default: what did best in validation games, else the threshold)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (%(default)s)")


def load_brain(folder: Path, engine: str = "torch") -> Agent:
    """The agent for one game; ValueError when a file or the engine is missing, or the agent reads a state."""
    agent = load_agent(folder, engine, prepare_compute("auto", "auto", threads=1, seed=0))
    if agent.reads_state:
        raise ValueError(
            f"the agent in {folder} reads what the game itself knows {list(agent.about.state_columns)}, which a screen "
            f"does not tell; train one that reads the picture alone (policy in params.yaml)"
        )
    return agent
