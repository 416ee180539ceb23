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
from stages.models.agent import Agent
from stages.models.autoencoder import Autoencoder
from stages.models.policy import RecurrentPolicy

# OpenVINO has signals handled on a stack of its own and frees that with the network, but the thread goes on pointing
# there: the next signal would end the process (signal 11 instead of a polite end). So no network is ever freed.
_for_good: list = []


class OpenVinoAgent(Agent):
    """An Agent whose networks are compiled; ImportError where OpenVINO is not installed."""

    def __init__(
        self, autoencoder: Autoencoder, policy: RecurrentPolicy, *, sequence_length: int, compute: Compute, batch: int
    ):
        in_fp32 = replace(compute, precision="no", device=torch.device("cpu"))
        super().__init__(autoencoder, policy, sequence_length=sequence_length, compute=in_fp32, batch=batch)
        self._encoder = _compiled(_Encoder(autoencoder), (batch, *autoencoder.background.shape))
        self._decider = _compiled(policy, (batch, sequence_length, *autoencoder.latent_shape))

    def _encoded(self, frames: np.ndarray) -> np.ndarray:
        return self._encoder(frames.astype(np.float32) / 255)[0]

    def _answered(self, windows: np.ndarray) -> np.ndarray:
        return self._decider(windows)[0]


class _Encoder(nn.Module):
    """The encoder alone."""

    def __init__(self, autoencoder: Autoencoder):
        super().__init__()
        self._autoencoder = autoencoder

    def forward(self, frames: Tensor) -> Tensor:
        return self._autoencoder.encode(frames)


def _compiled(network: nn.Module, shape: tuple[int, ...]):
    """The network for inputs of this shape, a function of a float32 array."""
    # It reports its use to its makers where this package is there; nothing of ours leaves the machine.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer: the shapes that the networks check are fixed here
        traced = openvino.convert_model(network.eval(), example_input=torch.zeros(shape), input=list(shape))
    core = openvino.Core()
    compiled = core.compile_model(traced, "CPU", settings)
    _for_good.append((core, compiled))
    return compiled
