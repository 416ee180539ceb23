"""The agent of a folder, ready to decide, and what is asked of it in the same words by several commands.

What computes its networks is torch, or OpenVINO where that is installed, agrees and is faster.
"""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stages.learning.compute import prepare_compute
from stages.models.acting import RULES, Acting
from stages.models.agent import About, Agent
from stages.models.openvino_agent import OpenVinoAgent

ENGINES = {"torch": Agent, "openvino": OpenVinoAgent}
TRIED = 40  # decisions that the engines are compared by
MOST_APART = 0.01  # how far their probabilities may lie apart


def add_agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent", type=Path, metavar="AGENT", help="the agent's folder: data/agent, which dvc repro writes, or a copy"
    )


def add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rule", choices=RULES,
        help="press above the tuned threshold, press what the player more likely would than not, or draw by "
        "probability (default: the agent's own, which did best in validation games, else the threshold)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (%(default)s)")


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=("auto", *ENGINES), default="auto",
        help="what computes the networks; auto: openvino where it is installed, agrees and is faster (%(default)s)",
    )  # fmt: skip


def acting_of(options: argparse.Namespace, about: About) -> Acting:
    """How its logits become keys: by --rule, without it by the agent's own rule."""
    return about.acting.by(options.rule or about.acting.rule)


def load_agent(
    folder: Path, engine: str = "torch", *, device: str = "auto", precision: str = "auto", told_state: bool = False
) -> Agent:
    """The agent for one game; ValueError when a file is missing, the engine does not work, or it reads a state that
    nothing tells (`told_state`)."""
    compute = prepare_compute(device, precision, threads=1, seed=0)
    by_torch = ENGINES["torch"].load(folder, compute, batch=1)  # first: damaged files are no fault of OpenVINO
    if by_torch.reads_state and not told_state:
        raise ValueError(
            f"the agent in {folder} reads what the game itself knows {list(by_torch.about.state_columns)}, which a "
            f"screen does not tell: play with --state-from COMMAND, or train one that reads the picture alone "
            f"(state.columns: [])"
        )
    installed = find_spec("openvino") is not None
    if engine == "openvino" and not installed:
        raise ValueError("OpenVINO is not installed; install it (pip install openvino) or take --engine torch")
    if engine == "torch" or not installed or (engine == "auto" and compute.device.type != "cpu"):
        return by_torch
    try:
        agents = {"torch": by_torch, "openvino": ENGINES["openvino"].load(folder, compute, batch=1)}
        return agents[quicker(agents) if engine == "auto" else engine]
    except Exception as error:  # a library that is only half there fails in any way it likes
        broken = f"OpenVINO is installed, but does not work ({type(error).__name__}: {error})"
        if engine == "openvino":
            raise ValueError(f"{broken}; install it again (pip install openvino) or take --engine torch") from error
        print(f"computed by torch: {broken}", flush=True)
        return by_torch


def quicker(agents: dict[str, Agent]) -> str:
    """Which of torch and openvino decides faster here; torch when they do not agree. Says so."""
    trials = {name: tried(agent) for name, agent in agents.items()}
    apart = float(np.abs(trials["torch"].probabilities - trials["openvino"].probabilities).max())
    faster = min(trials, key=lambda name: trials[name].median_ms)
    chosen = faster if apart <= MOST_APART else "torch"
    took = ", ".join(f"{name} {trial.median_ms:.1f} ms" for name, trial in trials.items())
    print(f"computed by {chosen}: a decision takes {took}; probabilities differ by {apart:.4f} at most", flush=True)
    return chosen


class Trial(NamedTuple):
    """Median time of a decision, and the calibrated probabilities float64 [TRIED, A]."""

    median_ms: float
    probabilities: np.ndarray


def tried(agent: Agent) -> Trial:
    """What an agent says of TRIED random pictures in a row, the same for every agent, and how fast."""
    generator, seconds, said = np.random.default_rng(0), [], []
    agent.reset(0)
    for _ in range(TRIED):
        picture = cv2.resize(generator.integers(0, 256, (9, 16, 3), np.uint8), (1280, 720))
        start = time.perf_counter()
        said.append(agent.logits({0: picture}, {0: dict.fromkeys(agent.about.state_columns, 0.0)})[0])
        seconds.append(time.perf_counter() - start)
    agent.reset(0)
    return Trial(float(np.median(seconds)) * 1000, agent.about.acting.probabilities(np.array(said)))
