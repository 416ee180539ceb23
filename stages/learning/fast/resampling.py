"""Halving and doubling maps [B, C, H, W]: torch's max_pool2d and ConvTranspose2d, written so that a processor is fast.

Both expect channels_last, as every convolution here works in it; other layouts give the same numbers more slowly.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def halved(x: Tensor) -> Tensor:
    """The maximum of every 2 x 2 values, as max_pool2d(x, 2) with its gradient; height and width are even.

    On a processor half of its time, with the gradient three quarters: no map of indices is written and read, which is
    four times as large as one of bf16.
    """
    return functional.max_pool2d(x, 2) if x.device.type != "cpu" else _Halved.apply(x)


class Doubling(nn.ConvTranspose2d):
    """torch's transposed convolution of 4 x 4 with stride 2, and its state dict: maps twice as high and wide.

    On a processor it is computed in sub-pixel form (Shi et al. 2016): each of the four pixels that one becomes sees
    2 x 2 of the map, so a 2 x 2 convolution gives all four as channels, which are then laid side by side. With the
    gradient that takes three quarters of the time.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        # The kernel's rows, from the last one, belong in turn to the upper and the lower of two pixels; so its columns.
        turned = self.weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 3, 4, 5)
        kernel = turned.permute(3, 5, 1, 0, 2, 4).reshape(4 * self.out_channels, self.in_channels, 2, 2)
        quarters = functional.conv2d(
            x, kernel.contiguous(memory_format=torch.channels_last), self.bias.repeat(4), padding=1
        )
        return _SideBySide.apply(quarters)


class _Halved(torch.autograd.Function):
    """The larger of two neighbours in a row, then of two such in a column; of equal ones the first has the gradient."""

    @staticmethod
    def forward(ctx, x):
        pairs = torch.maximum(x[..., ::2], x[..., 1::2])
        ctx.save_for_backward(x, pairs)
        return torch.maximum(pairs[:, :, ::2], pairs[:, :, 1::2])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, pairs = ctx.saved_tensors
        of_pairs = torch.empty_like(pairs)
        _part(gradient, pairs[:, :, ::2], pairs[:, :, 1::2], of_pairs[:, :, ::2], of_pairs[:, :, 1::2])
        of_x = torch.empty_like(x)
        _part(of_pairs, x[..., ::2], x[..., 1::2], of_x[..., ::2], of_x[..., 1::2])
        return of_x


def _part(gradient: Tensor, first: Tensor, second: Tensor, of_first: Tensor, of_second: Tensor) -> None:
    """Writes the gradient to where the larger one of `first` and `second` is, and 0 to the other."""
    is_first = torch.ge(first, second, out=torch.empty_like(gradient))  # 1 or 0: a bool is much slower
    torch.mul(gradient, is_first, out=of_first)
    torch.sub(gradient, of_first, out=of_second)


class _SideBySide(torch.autograd.Function):
    """Quarters [B, 4 C, H + 1, W + 1] -> [B, C, 2 H, 2 W]: channels (row, column, C) of the four pixels, of which the
    lower row and the right column were computed one further on."""

    @staticmethod
    def forward(ctx, quarters):
        ctx.shape = quarters.shape
        batch, channels, height, width = quarters.shape
        pixels = quarters.new_empty(batch, height - 1, 2, width - 1, 2, channels // 4)
        for pixel, quarter in _places(pixels, quarters):
            pixel.copy_(quarter)
        return pixels.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        batch, channels, height, width = ctx.shape
        pixels = gradient.permute(0, 2, 3, 1).reshape(batch, height - 1, 2, width - 1, 2, channels // 4)
        quarters = gradient.new_zeros(batch, height, width, channels).permute(0, 3, 1, 2)
        for pixel, quarter in _places(pixels, quarters):
            quarter.copy_(pixel)
        return quarters


def _places(pixels: Tensor, quarters: Tensor):
    """Where each of the four pixels [B, H, W, C] lies in both."""
    _, height, _, width, _, channels = pixels.shape
    for number, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        own = quarters[:, number * channels : (number + 1) * channels, row : row + height, column : column + width]
        yield pixels[:, :, row, :, column], own.permute(0, 2, 3, 1)
