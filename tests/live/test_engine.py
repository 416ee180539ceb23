"""OpenVINO computes what torch computes: on a small agent of every kind, and chosen only where it is faster."""

import gc
import os
import signal
import sys
import time

import numpy as np
import pytest
import torch
from stages.evaluation.acting import Acting
from stages.models.policy import RecurrentPolicy

from stages.commands.engines import KINDS, load_agent, quicker, tried
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.models.autoencoder import Autoencoder

ACTING = Acting(np.full(3, 0.5), np.ones(3), np.zeros(3))


@pytest.fixture(params=[("dense", "gru", 1), ("dense", "lstm", 3), ("spatial", "gru", 1)])
def model(request, tmp_path):
    """Trained files of an agent with random weights that says different things of different pictures."""
    kind, cell, colors = request.param
    torch.manual_seed(0)
    size = {"kind": kind, "channels": [4, 8], "latent_dim": 6, "height": 18, "width": 31, "in_channels": colors}
    autoencoder = Autoencoder(**size)
    head = {"latent_shape": list(autoencoder.latent_shape), "hidden": [16, 8], "cell": cell, "dropout": 0.0}
    policy = RecurrentPolicy(**head, actions=3)
    torch.nn.init.normal_(policy.output.weight, std=2.0)
    save_model(tmp_path / "autoencoder", autoencoder, size)
    save_model(tmp_path / "policy", policy, {**head, "actions": ["A", "B", "C"], "sequence_length": 4})
    return tmp_path


@pytest.fixture
def compute():
    return prepare_compute("cpu", "no", threads=1, seed=0)


def test_both_engines_give_the_same_probabilities(model, compute):
    trials = {name: tried(load_agent(model, name, compute, ACTING), ACTING) for name in KINDS}
    said = trials["torch"].probabilities
    assert np.ptp(said, axis=0).min() > 0.005  # it looks at the picture, else agreeing would be easy
    np.testing.assert_allclose(trials["openvino"].probabilities, said, atol=0.0005)
    assert sys.modules["openvino_telemetry"] is None  # it cannot tell anybody


def test_a_signal_is_heard_after_openvino_was_dropped(model, compute):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        for _ in range(3):
            agent = load_agent(model, "openvino", compute, ACTING)
            tried(agent, ACTING)
            del agent
            gc.collect()
            os.kill(os.getpid(), signal.SIGTERM)  # ended the process where its stack was freed with the agent
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] * 3


class Fixed:
    """An agent that takes its time and says the same of every picture."""

    def __init__(self, seconds, logit):
        self.seconds, self.logit = seconds, logit

    def reset(self, lane):
        """It has no past."""

    def logits(self, images):
        time.sleep(self.seconds)
        return {lane: np.full(3, self.logit, np.float32) for lane in images}


@pytest.mark.parametrize(
    ("torch_agent", "other", "chosen"),
    [
        (Fixed(0.004, 1.0), Fixed(0.001, 1.0), "openvino"),
        (Fixed(0.001, 1.0), Fixed(0.004, 1.0), "torch"),
        (Fixed(0.004, 1.0), Fixed(0.001, 1.5), "torch"),  # faster, but not the same agent
    ],
)
def test_the_faster_one_is_taken_if_it_agrees(capsys, torch_agent, other, chosen):
    assert quicker({"torch": torch_agent, "openvino": other}, ACTING) == chosen
    assert f"computed by {chosen}" in capsys.readouterr().out
