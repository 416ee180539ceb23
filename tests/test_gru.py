"""Our GRU beside torch's: the same weights, states and gradients."""

import pytest
import torch
from torch import nn

from stages.learning.fast.gru import GRU, _Steps


def pair(inputs=5, units=4, dtype=torch.float64):
    """Ours and torch's with the same weights."""
    torch.manual_seed(0)
    ours, theirs = GRU(inputs, units).to(dtype), nn.GRU(inputs, units, batch_first=True).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(("windows", "steps"), [(3, 6), (1, 6), (3, 1), (1, 1)])
def test_states_and_gradients_are_those_of_torch(windows, steps):
    found = []
    for gru in pair():
        torch.manual_seed(1)
        x = torch.randn(windows, steps, 5, dtype=torch.float64, requires_grad=True)
        states, last = gru(x)
        assert states.shape == (windows, steps, 4) and last.shape == (1, windows, 4)
        loss = (states * torch.randn_like(states)).sum() + last.square().sum()
        found.append([states, last, *torch.autograd.grad(loss, [x, *gru.parameters()])])
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    ours, _ = pair(3, 2)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *values: _Steps.apply(torch.float64, *values), (x, *ours.parameters()))


def test_only_the_last_state_can_be_asked_for():
    """As the policy does: the gradient of all other states is a broadcast zero."""
    found = []
    for gru in pair():
        x = torch.ones(2, 3, 5, dtype=torch.float64, requires_grad=True)
        found.append(torch.autograd.grad(gru(x)[0][:, -1].sum(), [x, *gru.parameters()]))
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-12)


def test_the_gradient_given_is_left_as_it_was():
    ours, _ = pair()
    states, _ = ours(torch.randn(2, 3, 5, dtype=torch.float64))
    for given in (torch.ones_like(states), torch.ones(3, 2, 4, dtype=torch.float64).transpose(0, 1)):
        before = given.clone()
        states.backward(given, retain_graph=True)
        assert torch.equal(given, before)


def test_mixed_precision_is_near_full_precision_and_gradients_are_full():
    ours, theirs = pair(16, 12, torch.float32)
    x = torch.randn(8, 10, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states, _ = ours(x)
    full, _ = theirs(x)
    assert states.dtype == torch.bfloat16
    assert (states.float() - full).abs().max() < 0.03
    states.float().square().sum().backward()
    full.square().sum().backward()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert own.grad.dtype == torch.float32
        assert nn.functional.cosine_similarity(own.grad.flatten(), other.grad.flatten(), dim=0) > 0.999


def test_without_gradients_torch_computes():
    ours, theirs = pair()
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(ours(x)[0], theirs(x)[0])
