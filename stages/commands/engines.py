"""What computes the trained networks: torch, or OpenVINO where that is installed, agrees and is faster."""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stages.learning.compute import Compute
from stages.models.agent import Agent
from stages.models.openvino_agent import OpenVinoAgent

KINDS = {"torch": Agent, "openvino": OpenVinoAgent}
TRIED = 40  # decisions that the engines are compared by
MOST_APART = 0.01  # how far their probabilities may lie apart


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine", choices=("auto", *KINDS), default="auto",
        help="what computes the networks; auto: openvino where it is installed, agrees and is faster (%(default)s)",
    )  # fmt: skip


def load_agent(folder: Path, engine: str, compute: Compute) -> Agent:
    """The agent of a folder of trained files for one game; ValueError when the engine is not there or does not work."""

    def load(name: str) -> Agent:
        return KINDS[name].load(folder, compute, batch=1)

    by_torch = load("torch")  # first: what is wrong with the files themselves is no fault of OpenVINO
    installed = find_spec("openvino") is not None
    if engine == "openvino" and not installed:
        raise ValueError("OpenVINO is not installed; install it (pip install openvino) or take --engine torch")
    if engine == "torch" or not installed or (engine == "auto" and compute.device.type != "cpu"):
        return by_torch
    try:
        agents = {"torch": by_torch, "openvino": load("openvino")}
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
        said.append(agent.logits({0: picture})[0])
        seconds.append(time.perf_counter() - start)
    agent.reset(0)
    return Trial(float(np.median(seconds)) * 1000, agent.about.acting.probabilities(np.array(said)))
