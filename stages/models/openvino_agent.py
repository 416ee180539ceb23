"""The trained agent by OpenVINO, where that is installed: the same answers up to rounding, in less time.

The networks are compiled for this machine's processor when the agent is made, from the trained files as they lie, in
fp32 and on one thread.
"""

import sys
import warnings
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from stages.learning.compute import Compute
from stages.models.agent import About, Agent
from stages.models.autoencoder import Autoencoder
from stages.models.policies.policy import Policy

# OpenVINO has signals handled on a stack of its own and frees that with the network, but the thread goes on pointing
# there: the next signal would end the process (signal 11 instead of a polite end). So no network is ever freed.
_for_good: list = []


class OpenVinoAgent(Agent):
    """An Agent whose networks are compiled; ImportError where OpenVINO is not installed."""

    def __init__(self, about: About, policy: Policy, encoder: Autoencoder | None, compute: Compute, *, batch: int):
        in_fp32 = replace(compute, precision="no", device=torch.device("cpu"))
        super().__init__(about, policy, encoder, in_fp32, batch=batch)
        if encoder is not None:
            frames = torch.zeros(batch, *encoder.background.shape)
            self._compiled_encoder = _compiled(_Encoder(encoder), [frames])
        kind = {"frames": torch.uint8}
        windows = [
            torch.zeros(batch, policy.spans.get(name, policy.window), *shape, dtype=kind.get(name, torch.float32))
            for name, shape in policy.shapes.items()
        ]
        self._compiled_policy = _compiled(policy, windows)

    def _encoded(self, frames: np.ndarray) -> np.ndarray:
        return self._compiled_encoder(frames.astype(np.float32) / 255)[0]

    def _answered(self, windows: list[np.ndarray]) -> np.ndarray:
        return self._compiled_policy(windows)[0]


class _Encoder(nn.Module):
    """The encoder alone."""

    def __init__(self, autoencoder: Autoencoder):
        super().__init__()
        self._autoencoder = autoencoder

    def forward(self, frames: Tensor) -> Tensor:
        return self._autoencoder.encode(frames)


def _compiled(network: nn.Module, example: list[Tensor]):
    """The network for inputs of these shapes and types, a function of as many arrays in a list (or of one array)."""
    # It reports its use to its makers where this package is there; nothing of ours leaves the machine.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer: the shapes that the networks check are fixed here
        traced = openvino.convert_model(
            network.eval(), example_input=tuple(example), input=[list(each.shape) for each in example]
        )
    core = openvino.Core()
    compiled = core.compile_model(traced, "CPU", settings)
    _for_good.append((core, compiled))
    return compiled
