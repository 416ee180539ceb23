"""The autoencoder that squeezes a frame into a latent: what every later model sees of the game.

Frames are float [B, C, H, W] in 0..1. A background (the per-pixel median of the training frames) is
subtracted on the way in and added on the way out, so the network spends itself on what differs from
it; the last layer starts at zero, so training starts at the background image. Without this a frame
that is mostly dark stays at the loss of a constant picture.

The decoder upsamples by 4x4 transposed convolutions of stride 2, which are nearest-neighbour
upsampling followed by a 3x3 convolution with 2.25 times fewer multiplications (sub-pixel form,
Shi et al. 2016); pooling comes before the ReLU, which is the same function on a quarter of the values.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.learning.checkpoints import load_config, load_weights
from stages.learning.compute import Compute
from stages.learning.fast.resampling import Doubling, halved

KINDS = ("dense", "spatial")
BATCH = 64  # frames a pass outside of training


class Autoencoder(nn.Module):
    """frames [B, C, H, W] in 0..1 -> the same frames again, by way of their latents.

    kind "dense": latents [B, latent_dim]. kind "spatial": latents [B, channels[-1], h, w], the map after
    the last pooling (latent_dim is not used). Any height and width: the inside works on a multiple of
    2 ** len(channels), padded at the right and the bottom and cropped again.
    """

    independent_samples = True  # parts of a batch may be learned in threads, see learning/fast/replicas.py

    def __init__(
        self, *, kind: str, channels: Sequence[int], latent_dim: int, height: int, width: int, in_channels: int
    ):
        super().__init__()
        _check(kind, channels, latent_dim, height, width, in_channels)
        self.config = {
            "kind": kind, "channels": list(channels), "latent_dim": latent_dim,
            "height": height, "width": width, "in_channels": in_channels,
        }  # fmt: skip
        cell = 2 ** len(channels)
        grid = (math.ceil(height / cell), math.ceil(width / cell))
        self._padding = (0, grid[1] * cell - width, 0, grid[0] * cell - height)
        self._map = (channels[-1], *grid)
        self.latent_shape = (latent_dim,) if kind == "dense" else self._map
        self.register_buffer("background", torch.zeros(in_channels, height, width))
        self.register_buffer("scale", torch.ones(()))

        sizes = [in_channels, *channels]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes, sizes[1:], strict=False))
        self.up = nn.ModuleList(Doubling(b, a) for a, b in reversed(list(zip(sizes, sizes[1:], strict=False))))
        if kind == "dense":
            self.squeeze = nn.Linear(math.prod(self._map), latent_dim)
            self.unsqueeze = nn.Linear(latent_dim, math.prod(self._map))
        nn.init.zeros_(self.up[-1].weight)
        nn.init.zeros_(self.up[-1].bias)
        self.to(memory_format=torch.channels_last)

    def set_background(self, background: Tensor, scale: float) -> None:
        """Background [C, H, W] in 0..1, and the standard deviation of the training frames around it."""
        self.background.copy_(background)
        self.scale.fill_(scale)

    def encode(self, frames: Tensor) -> Tensor:
        """frames [B, C, H, W] in 0..1 -> latents [B, latent_dim] or [B, c, h, w]."""
        expected = tuple(self.background.shape)
        if frames.ndim != 4 or tuple(frames.shape[1:]) != expected:
            raise ValueError(f"the autoencoder was made for frames [B, {expected}], found {list(frames.shape)}")
        x = functional.pad((frames - self.background) / self.scale, self._padding)
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.down:
            x = functional.relu(halved(layer(x)))
        return self.squeeze(x.flatten(1)) if self.config["kind"] == "dense" else x

    def decode(self, latents: Tensor) -> Tensor:
        """Latents -> frames [B, C, H, W]; not clipped to 0..1, so that gradients pass everywhere."""
        x = latents
        if self.config["kind"] == "dense":
            x = functional.relu(self.unsqueeze(x)).unflatten(1, self._map)
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.up[:-1]:
            x = functional.relu(layer(x))
        x = self.up[-1](x)[..., : self.config["height"], : self.config["width"]]
        return self.background + self.scale * x

    def keep_encoder_in(self, dtype: torch.dtype) -> None:
        """Turns the encoder's weights into `dtype` for good: autocast does it anew for every batch, with the same bits.

        For playing frame by frame, where that is half of the time; a model that is trained or saved keeps fp32.
        """
        for layer in (*self.down, self.squeeze) if self.config["kind"] == "dense" else self.down:
            layer.to(dtype)

    def forward(self, frames: Tensor) -> Tensor:
        """frames [B, C, H, W] in 0..1 -> reconstructions of the same shape."""
        return self.decode(self.encode(frames))


def load_autoencoder(directory: str | Path) -> Autoencoder:
    """The autoencoder of a saved folder, on the CPU, in eval mode, its weights frozen."""
    model = Autoencoder(**load_config(directory))
    load_weights(model, directory)
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def encode_frames(model: Autoencoder, frames: np.ndarray, compute: Compute) -> np.ndarray:
    """Frames uint8 [N, C, H, W] -> latents float32 [N, *latent_shape], in batches."""
    latents = np.empty((len(frames), *model.latent_shape), np.float32)
    for start in range(0, len(frames), BATCH):
        latents[start : start + BATCH] = _encoded(model, frames[start : start + BATCH], compute).cpu().numpy()
    return latents


@torch.inference_mode()
def reconstruct_frames(model: Autoencoder, frames: np.ndarray, compute: Compute) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 [N, C, H, W] -> latents float32 [N, *latent_shape] and reconstructions uint8 [N, C, H, W]."""
    latents = np.empty((len(frames), *model.latent_shape), np.float32)
    pictures = np.empty_like(frames)
    for start in range(0, len(frames), BATCH):
        batch = _encoded(model, frames[start : start + BATCH], compute)
        with compute.autocast():
            decoded = model.decode(batch).float()
        latents[start : start + BATCH] = batch.cpu().numpy()
        pictures[start : start + BATCH] = (decoded.clamp(0, 1) * 255).round().byte().cpu().numpy()
    return latents, pictures


def _encoded(model: Autoencoder, frames: np.ndarray, compute: Compute) -> Tensor:
    with compute.autocast():
        return model.encode(torch.from_numpy(frames).to(compute.device).float() / 255).float()


def _check(kind: str, channels: Sequence[int], latent_dim: int, height: int, width: int, in_channels: int) -> None:
    if kind not in KINDS:
        raise ValueError(f"autoencoder.kind is {kind!r}, expected one of {list(KINDS)}")
    sizes = {"latent_dim": latent_dim, "height": height, "width": width, "in_channels": in_channels}
    for name, value in [*sizes.items(), *(("autoencoder.channels", c) for c in channels)]:
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    if not channels:
        raise ValueError("autoencoder.channels is empty, expected at least one number of channels")
