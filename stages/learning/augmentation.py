"""Windows of frames as they might have looked, too: the same keys are right. One draw a window, never a frame.

Random shift: Kostrikov et al. 2021 (DrQ), section 3.1. Random numbers: fast/dropout.py's, so that threads do not share.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from stages.learning.fast.dropout import uniform


@dataclass(frozen=True)
class Augmentation:
    """The params `augment`: the largest shift as a share of the longer side, changes of brightness, contrast, colours
    and size, whether the past comes a frame earlier or later, the square in px.

    `background` [C, H, W] in 0..1 stays where it is: a shift moves what differs from it.
    `mirrored` int64 [A]: half of the windows are seen in a mirror, and each action is that of this column; None: none.
    """

    shift: float
    brightness: float
    contrast: float
    color: float
    zoom: float
    frame_jitter: bool
    cutout_px: int
    background: Tensor
    mirrored: Tensor | None = None

    def __call__(self, frames: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Frames uint8 [B, T, C, H, W] and actions [B, A], or those of several moments -> the same types and shapes."""
        if self.mirrored is not None:
            flipped = uniform(len(frames)) < 0.5
            frames = flipped_where(frames, flipped)
            by_moment = actions.unflatten(1, (-1, len(self.mirrored)))
            actions = torch.where(flipped[:, None], by_moment[..., self.mirrored].flatten(1), actions)
        if self.frame_jitter:
            frames = jittered(frames, self._whole(len(frames), 1, -1, 1)[:, 0])
        if largest := round(self.shift * max(frames.shape[-2:])):
            background = (self.background * 255).round().to(torch.int16)
            changes = shifted(frames - background, self._whole(len(frames), 2, -largest, largest))
            frames = (background + changes).clamp_(0, 255).to(torch.uint8)
        if self.zoom:
            frames = zoomed(frames, 1 + (2 * uniform(len(frames)) - 1) * self.zoom)
        if self.cutout_px:
            frames = self._cut_out(frames)
        if self.brightness or self.contrast or self.color:
            frames = self._lit(frames)
        return frames, actions

    def _whole(self, windows: int, numbers: int, low: int, high: int) -> Tensor:
        """int64 [windows, numbers] from low..high, both included."""
        return (low + uniform(windows, numbers) * (high - low + 1)).floor().long().clamp_(low, high)

    def _lit(self, frames: Tensor) -> Tensor:
        per_window = (len(frames), 1, 1, 1, 1)
        brighter = (2 * uniform(*per_window) - 1).to(frames.device) * self.brightness * 255
        stronger = 1 + (2 * uniform(*per_window) - 1).to(frames.device) * self.contrast
        values = frames.float()
        if self.color:
            colors = frames.shape[2]
            tint = 1 + (2 * uniform(len(frames), 1, colors, 1, 1) - 1).to(frames.device) * self.color
            values = values * tint
        mean = values.mean(dim=(1, 2, 3, 4), keepdim=True)
        return ((values - mean) * stronger + mean + brighter).round_().clamp_(0, 255).to(torch.uint8)

    def _cut_out(self, frames: Tensor) -> Tensor:
        """A square of the mean colour, anywhere in the picture and partly beyond it (DeVries and Taylor 2017)."""
        height, width = frames.shape[-2:]
        frames = frames.clone()
        middles = uniform(len(frames), 2) * torch.tensor([height, width])
        for window, (y, x) in zip(frames, middles.tolist(), strict=True):
            top, left = round(y - self.cutout_px / 2), round(x - self.cutout_px / 2)
            rows, columns = (slice(max(start, 0), start + self.cutout_px) for start in (top, left))
            window[..., rows, columns] = window.float().mean().round().to(torch.uint8)
        return frames


def jittered(frames: Tensor, by: Tensor) -> Tensor:
    """Windows [B, T, ...] whose past is so many frames later (int64 [B]; < 0: earlier); the last one is the present.

    Where the window has no such frame, its nearest one stands in.
    """
    last = frames.shape[1] - 1
    at = (torch.arange(last + 1) + by[:, None]).clamp(0, last)
    at[:, last] = last
    return frames[torch.arange(len(frames))[:, None], at]


def zoomed(frames: Tensor, by: Tensor) -> Tensor:
    """Windows uint8 [B, T, C, H, W], each seen so much nearer (float [B] > 1) or farther, its middle in place."""
    height, width = frames.shape[-2:]
    seen = torch.empty_like(frames)
    for target, window, scale in zip(seen, frames, by.tolist(), strict=True):
        middle = ((width - 1) / 2 * (1 - scale), (height - 1) / 2 * (1 - scale))
        matrix = np.array([[scale, 0, middle[0]], [0, scale, middle[1]]])
        for into, picture in zip(target.flatten(0, 1).numpy(), window.flatten(0, 1).numpy(), strict=True):
            cv2.warpAffine(
                picture, matrix, (width, height), dst=into, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
    return seen


def flipped_where(frames: Tensor, which: Tensor) -> Tensor:
    """Those of the windows uint8 [B, T, C, H, W] that bool [B] names, from right to left."""
    frames = frames.clone()
    for window in which.nonzero().flatten().tolist():
        for picture in frames[window].flatten(0, 1).numpy():
            cv2.flip(picture, 1, dst=picture)  # torch's own takes ten times as long
    return frames


def shifted(frames: Tensor, by: Tensor) -> Tensor:
    """Each window [T, C, H, W] of [B, ...] moved by int64 [B, 2] px down and to the right; its edges are repeated."""
    moved = torch.empty_like(frames)
    for target, window, (down, right) in zip(moved, frames, by.tolist(), strict=True):
        target.copy_(_moved(_moved(window, down, -2), right, -1))
    return moved


def _moved(window: Tensor, by: int, dim: int) -> Tensor:
    size = window.shape[dim]
    kept = window.narrow(dim, max(-by, 0), size - abs(by))
    edge = window.narrow(dim, 0 if by > 0 else size - 1, 1)
    beyond = edge.expand(*(abs(by) if at == dim % window.dim() else -1 for at in range(window.dim())))
    return torch.cat([beyond, kept] if by > 0 else [kept, beyond], dim)
