"""Halving and doubling maps beside torch's own: the same numbers and the same gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.learning.fast.resampling import Doubling, halved


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_halving_is_max_pooling_to_the_bit_with_ties_too(dtype, layout):
    torch.manual_seed(0)
    x = (torch.randn(3, 5, 6, 8) * 1.5).round().to(dtype).to(memory_format=layout)
    blocks = functional.unfold(x.float(), 2, stride=2).unflatten(1, (5, 4))
    assert ((blocks == blocks.amax(2, keepdim=True)).sum(2) > 1).any()  # some blocks have several maxima
    given = torch.randn(3, 5, 3, 4).to(dtype)
    found = []
    for way in (halved, lambda value: functional.max_pool2d(value, 2)):
        own = x.clone().requires_grad_()
        out = way(own)
        out.backward(given)
        found.append((out, own.grad))
    for own, other in zip(*found, strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("inputs", "outputs", "height", "width"), [(3, 2, 4, 5), (4, 1, 1, 1), (2, 3, 7, 1)])
def test_doubling_is_a_transposed_convolution(inputs, outputs, height, width, layout):
    torch.manual_seed(0)
    ours = Doubling(inputs, outputs).double()
    theirs = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, inputs, height, width, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    given = torch.randn(2, outputs, 2 * height, 2 * width, dtype=torch.float64)
    found = []
    for layer in (ours, theirs):
        out = layer(x)
        found.append([out, *torch.autograd.grad(out, [x, *layer.parameters()], given)])
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-11)


def test_maps_keep_the_channels_last():
    x = torch.randn(2, 4, 6, 8).to(memory_format=torch.channels_last)
    for out in (halved(x), Doubling(4, 3)(x)):
        assert out.is_contiguous(memory_format=torch.channels_last)
