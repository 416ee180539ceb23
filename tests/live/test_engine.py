"""OpenVINO computes what torch computes: on a small agent of every kind, and chosen only where it is faster."""

import gc
import os
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from stages.commands.agent import ENGINES, load_agent, quicker, tried
from tests.agents import acting_of, write_small_agent


@pytest.fixture(params=[("dense", "gru", "gray"), ("dense", "lstm", "rgb"), ("spatial", "gru", "gray")])
def agent(request, tmp_path):
    kind, cell, color = request.param
    return write_small_agent(tmp_path / "agent", kind=kind, cell=cell, color=color, width=31)


def loaded(agent, engine):
    return load_agent(agent, engine, device="cpu", precision="no")


def test_both_engines_give_the_same_probabilities(agent):
    trials = {name: tried(loaded(agent, name)) for name in ENGINES}
    said = trials["torch"].probabilities
    assert np.ptp(said, axis=0).min() > 0.005  # it looks at the picture, else agreeing would be easy
    np.testing.assert_allclose(trials["openvino"].probabilities, said, atol=0.0005)
    assert sys.modules["openvino_telemetry"] is None  # it cannot tell anybody


def test_a_signal_is_heard_after_openvino_was_dropped(agent):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        for _ in range(3):
            by_openvino = loaded(agent, "openvino")
            tried(by_openvino)
            del by_openvino
            gc.collect()
            os.kill(os.getpid(), signal.SIGTERM)  # ended the process where its stack was freed with the agent
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] * 3


class Fixed:
    """An agent that takes its time and says the same of every picture."""

    about = SimpleNamespace(acting=acting_of([0.5] * 3), state_columns=())

    def __init__(self, seconds, logit):
        self.seconds, self.logit = seconds, logit

    def reset(self, lane):
        """It has no past."""

    def logits(self, images, states):
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
    assert quicker({"torch": torch_agent, "openvino": other}) == chosen
    assert f"computed by {chosen}" in capsys.readouterr().out
