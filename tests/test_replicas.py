"""Replicas: the same gradients as one model, one memory for the weights, threads that keep to one core each."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from stages.learning.fast.replicas import Replicas


def model_of():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def learning(inputs):
    """Adds the gradients of the samples' share of the mean square output."""

    def learn(model, samples):
        loss = model(inputs[samples]).square().mean() * (len(samples) / len(inputs))
        loss.backward()
        return {"loss": loss.item(), "samples": samples.tolist(), "threads": torch.get_num_threads()}

    return learn


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_gradients_are_those_of_the_whole_batch(count):
    inputs, alone, shared = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), model_of(), model_of()
    learning(inputs)(alone, np.arange(8))
    replicas = Replicas(shared, count)
    with replicas.at_work():
        found = replicas.learn(np.arange(8), learning(inputs))
    replicas.release()
    assert [sample for part in found for sample in part["samples"]] == list(range(8))
    assert len(found) == count and {part["threads"] for part in found} == {1}
    for own, other in zip(shared.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
    assert all(p.grad is None for replica in replicas.models[1:] for p in replica.parameters())


def test_a_step_of_the_optimizer_reaches_every_replica():
    replicas = Replicas(model_of(), 2)
    optimizer = torch.optim.AdamW(replicas.models[0].parameters(), lr=0.1, fused=True)
    replicas.learn(np.arange(8), learning(torch.ones(8, 3)))
    before = replicas.models[1][0].weight.clone()
    optimizer.step()
    assert not torch.equal(before, replicas.models[1][0].weight)
    assert torch.equal(replicas.models[0][0].weight, replicas.models[1][0].weight)
    replicas.release()


class Loop(nn.Module):
    """One layer eight times over in bf16, with a pause in the middle."""

    def __init__(self):
        super().__init__()
        self.layer, self.pause = nn.Linear(64, 64), lambda: None

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for step in range(8):
                if step == 4:
                    self.pause()
                x = torch.tanh(self.layer(x))
        return x


def test_a_replica_that_is_done_first_changes_no_bit_of_the_others():
    torch.manual_seed(0)
    inputs, model = torch.randn(8, 64), Loop()
    expected = []
    for part in np.arange(4), np.arange(4, 8):
        model(inputs[part]).float().square().mean().backward()
        expected.append(model.layer.weight.grad)
        model.zero_grad()
    replicas, other_is_halfway, first_is_done = Replicas(model, 2), threading.Event(), threading.Event()
    replicas.models[0].pause = lambda: other_is_halfway.wait(60)
    replicas.models[1].pause = lambda: other_is_halfway.set() or first_is_done.wait(60)

    def learn(model, samples):
        out = model(inputs[samples])
        if model is replicas.models[0]:
            first_is_done.set()
        out.float().square().mean().backward()
        return {}

    with replicas.at_work():
        replicas.learn(np.arange(8), learn)
    replicas.release()
    assert torch.equal(model.layer.weight.grad, expected[0] + expected[1])


def test_a_step_in_bf16_sees_the_weights_after_the_step_before():
    replicas, inputs = Replicas(Loop(), 2), torch.randn(8, 64)
    with replicas.at_work(), torch.no_grad():
        answers = []
        for _ in range(2):
            with torch.enable_grad():
                replicas.learn(
                    np.arange(8), lambda model, samples: answers.append(model(inputs[samples]).detach()) or {}
                )
            replicas.models[0].layer.weight.zero_()
            replicas.models[0].layer.bias.zero_()
    replicas.release()
    assert all(answer.any() for answer in answers[:2]) and not any(answer.any() for answer in answers[2:])


def test_fewer_samples_than_replicas():
    replicas = Replicas(model_of(), 3)
    found = replicas.learn(np.arange(2), learning(torch.ones(2, 3)))
    assert [part["samples"] for part in found] == [[0], [1]]
    replicas.release()


def test_an_error_in_a_thread_is_raised():
    def fail(model, samples):
        raise ValueError(f"sample {samples[0]}")

    replicas = Replicas(model_of(), 2)
    with pytest.raises(ValueError, match="sample 0"):
        replicas.learn(np.arange(4), fail)
    replicas.release()
