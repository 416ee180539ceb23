"""Latent actions: what happened between two frames as one of a few codes, learned without any key.

An inverse model sees past, current and next frames and names the transition by one code (a pooled
vector, quantised). A forward model sees past and current frames and the code, and predicts the next
frame: the current one moved by a flow field, plus a residual; both start at zero, so training starts
at a copy of the current frame. Schmidt and Jiang 2024 (LAPO); Bruce et al. 2024 (Genie), section 2.1;
FiLM: Perez et al. 2018; the codebook: van den Oord et al. 2017, with EMA, k-means and resets of unused
codes by vector-quantize-pytorch.

What training it on a first-person game took. Frames go in as their difference from the mean picture
and from one another, each scaled to a spread of 1: in plain frames the change is so small beside what
is always there that the code stays constant. A turn moves the picture by many pixels, and the gradient
of the picture's error sees only the next one or two; so both models work with block matching, which
tries every displacement: the inverse model sees which ones match, and the forward model says with what
share each cell comes from where, which is trained by the expected mismatch (a loss that is linear in
the shares, so no displacement is too far). When the forward model sees past motion, a code need only
say "goes on" or "turns round"; for a share of the transitions, `past_dropout`, it does not see the past
in training, and the code has to tell the motion itself. The first codes come from transitions all over
the split, and only codes that hardly occur start anew: a batch holds two transitions a code, and to
renew all codes that miss a batch or two makes them equally frequent and equally meaningless.

Conventions: B transitions, P past frames; frames are float 0..1 inside, uint8 grey levels outside.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import VectorQuantize

from stages.learning.checkpoints import load_config, load_weights
from stages.learning.compute import Compute
from stages.models.block_matching import CELL, BlockMatching, matched

STRIDE = CELL  # of the first convolution: flow and residual are made cell by cell
BANDS = 3  # of rows (sky, wall, floor ...) that what matches is averaged in
HIDDEN = 128  # units between the pooled map and the vector
SPREAD_FLOOR = 1 / 255  # a still video is divided by a grey level, not by 0


class LatentActionModel(nn.Module):
    """frames [B, P + 2, C, H, W] in 0..1 -> the last frame predicted [B, C, H, W], mismatch [B, h, w], commitment loss.

    Any height and width; displacements up to `search_px` (across, down) are tried. The mismatch is what
    block matching finds for the displacements that the forward model expects: 1 is as bad as any, 0 is
    found again. The codebook and its moving averages are buffers, and so is whether codes are quantised
    yet: a checkpoint holds all of it.
    """

    def __init__(
        self,
        *,
        past_frames: int,
        codes: int,
        code_dim: int,
        commitment: float,
        dead_code_threshold: float,
        past_dropout: float,
        search_px: Sequence[int],
        channels: Sequence[int],
        height: int,
        width: int,
        in_channels: int,
    ):
        super().__init__()
        self.config = {
            "past_frames": past_frames, "codes": codes, "code_dim": code_dim, "commitment": commitment,
            "dead_code_threshold": dead_code_threshold, "past_dropout": past_dropout, "search_px": list(search_px),
            "channels": list(channels), "height": height, "width": width, "in_channels": in_channels,
        }  # fmt: skip
        self.past_frames, self.codes = past_frames, codes
        self.views = Views(in_channels, height, width)
        self.matching = BlockMatching(search_px)
        displacements = len(self.matching.displacements)
        self.inverse = InverseModel((past_frames + 2) * in_channels, channels, code_dim, displacements)
        self.forward_model = ForwardModel(
            past_frames, in_channels, channels, code_dim, height, width, past_dropout, self.matching.displacements
        )
        self.quantizer = VectorQuantize(
            code_dim, codes, use_cosine_sim=True, kmeans_init=True,
            threshold_ema_dead_code=dead_code_threshold, commitment_weight=commitment,
        )  # fmt: skip
        self.register_buffer("quantising", torch.tensor(False))

    @torch.no_grad()
    def start_quantising(self, vectors: Tensor) -> None:
        """Ends the warm-up: k-means of vectors [N, code_dim] sets the codes; many, for a batch knows few of them."""
        self.quantizer.train()
        self.quantise(vectors)
        self.quantising.fill_(True)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self._require(frames, self.past_frames + 2)
        mismatch = self.matching(frames[:, -2], frames[:, -1])
        vectors = self._vectors(frames, mismatch)
        commitment = vectors.new_zeros(())
        if self.quantising:
            vectors, _, commitment = self.quantise(vectors)
        context = frames[:, :-1]
        prediction, shares = self.forward_model(context[:, -1], self.views(context, self.past_frames), vectors)
        return prediction, (shares * mismatch).sum(dim=1), commitment

    def vectors(self, frames: Tensor) -> Tensor:
        """The transitions before quantisation: frames [B, P + 2, C, H, W] -> float32 [B, code_dim] of length 1."""
        self._require(frames, self.past_frames + 2)
        return self._vectors(frames, self.matching(frames[:, -2], frames[:, -1]))

    def _vectors(self, frames: Tensor, mismatch: Tensor) -> Tensor:
        views = self.views(frames, self.past_frames)
        return functional.normalize(self.inverse(views, matched(mismatch)).float(), dim=-1)

    def quantise(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors [B, code_dim] -> the nearest codes' vectors, their numbers int64 [B], commitment loss."""
        with torch.autocast(vectors.device.type, enabled=False):  # which code is nearest is decided in fp32
            return self.quantizer(vectors.float())

    def predict(self, context: Tensor, vectors: Tensor) -> Tensor:
        """Past and current frames [B, P + 1, C, H, W] and code vectors [B, code_dim] -> next frames, not clipped."""
        self._require(context, self.past_frames + 1)
        return self.forward_model(context[:, -1], self.views(context, self.past_frames), vectors)[0]

    def vectors_of(self, codes: Tensor) -> Tensor:
        """The codebook's vectors [B, code_dim] of codes int64 [B]."""
        return self.quantizer.codebook[codes]

    def _require(self, frames: Tensor, count: int) -> None:
        expected = (count, *self.views.background.shape)
        if tuple(frames.shape[1:]) != expected:
            raise ValueError(f"the model was made for frames [B, {expected}], found {list(frames.shape)}")


class Views(nn.Module):
    """What both models look at: the current frame against the mean picture, and each change, scaled to spread 1."""

    def __init__(self, in_channels: int, height: int, width: int):
        super().__init__()
        self.register_buffer("background", torch.zeros(in_channels, height, width))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("change", torch.ones(()))
        self._padding = (0, -width % STRIDE, 0, -height % STRIDE)

    def set_statistics(self, background: Tensor, spread: float, change: float) -> None:
        """Mean picture [C, H, W], the frames' deviation from it and the root mean square change, all of 0..1."""
        self.background.copy_(background)
        self.spread.fill_(max(spread, SPREAD_FLOOR))
        self.change.fill_(max(change, SPREAD_FLOOR))

    def forward(self, frames: Tensor, current: int) -> Tensor:
        """frames [B, T, C, H, W] -> [B, T * C, h, w]: frame `current`, then the T - 1 changes; padded by zeros."""
        still = (frames[:, current] - self.background) / self.spread
        changes = (frames[:, 1:] - frames[:, :-1]) / self.change
        views = torch.cat([still, changes.flatten(1, 2)], dim=1)
        return functional.pad(views, self._padding).contiguous(memory_format=torch.channels_last)


class Down(nn.Module):
    """[B, in, h, w] -> maps [B, c, h / 4, w / 4], [B, c', h / 8, w / 8], ... (rounded up after the first)."""

    def __init__(self, in_channels: int, channels: Sequence[int]):
        super().__init__()
        stem = nn.Conv2d(in_channels, channels[0], 2 * STRIDE, STRIDE, STRIDE // 2)
        self.layers = nn.ModuleList([stem, *(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(channels))])
        self.norms = nn.ModuleList(_norm(c) for c in channels)

    def forward(self, x: Tensor, beside: Tensor | None = None) -> list[Tensor]:
        """`beside` [B, c, h / 4, w / 4] is added to the first map."""
        maps = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = layer(x)
            if beside is not None and not maps:
                x = x + beside
            x = functional.silu(norm(x))
            maps.append(x)
        return maps


class InverseModel(nn.Module):
    """Views of a transition and what matched [B, K, h, w] -> [B, outputs], averaged over the picture.

    With `displacements` 0 (K) it sees no matches.
    """

    def __init__(self, views: int, channels: Sequence[int], outputs: int, displacements: int):
        super().__init__()
        self.down = Down(views, channels)
        self.motion = nn.Conv2d(displacements, channels[0], 1) if displacements else None
        self.norm = nn.LayerNorm(BANDS * displacements) if displacements else None
        self.mix = nn.Conv2d(channels[-1], HIDDEN, 3, padding=1)
        pooled = HIDDEN + BANDS * displacements
        self.output = nn.Sequential(nn.Linear(pooled, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs))

    def forward(self, views: Tensor, matches: Tensor | None = None) -> Tensor:
        if matches is None:
            return self.output(self._pooled(views, None))
        # Shares of K displacements are about 1 / K each; the convolution wants them of size 1.
        pooled = self._pooled(views, self.motion(matches * matches.shape[1] ** 0.5))
        # What matches in most cells is how the camera moved: it need not find its way through the convolutions.
        bands = functional.adaptive_avg_pool2d(matches, (BANDS, 1)).flatten(1)
        return self.output(torch.cat([pooled, self.norm(bands)], dim=1))

    def _pooled(self, views: Tensor, beside: Tensor | None) -> Tensor:
        return functional.silu(self.mix(self.down(views, beside)[-1])).mean(dim=(2, 3))


class ForwardModel(nn.Module):
    """The current frame moved by a flow field plus a residual; the code scales and shifts the features (FiLM)."""

    def __init__(
        self, past_frames: int, in_channels: int, channels: Sequence[int], code_dim: int,
        height: int, width: int, past_dropout: float, displacements: Tensor,
    ):  # fmt: skip
        super().__init__()
        self._channels, self._size, self._past_dropout = in_channels, (height, width), past_dropout
        self.down = Down((past_frames + 1) * in_channels, channels)
        up = channels[::-1]
        self.mix = nn.Conv2d(up[0], up[0], 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(a + b, b, 3, padding=1) for a, b in pairwise(up))
        self.norms = nn.ModuleList(_norm(c) for c in up[1:])
        self.films = nn.ModuleList(nn.Linear(code_dim, 2 * c) for c in up)
        # Two heads in one convolution: a fine dx, dy, and the residual of the 4 x 4 pixels of a cell.
        self.head = nn.Conv2d(channels[0], 2 + in_channels * STRIDE**2, 3, padding=1)
        self.source = nn.Conv2d(channels[0], len(displacements), 1)
        for layer in (self.head, self.source):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        half_size = torch.tensor([width, height]) / 2  # the unit of `grid_sample`
        self.register_buffer("displacements", displacements / half_size, persistent=False)
        for name, pixels in (("rows", height), ("columns", width)):
            self.register_buffer(name, _enlarging(math.ceil(pixels / STRIDE), pixels), persistent=False)
        self.register_buffer("grid", _grid(height, width), persistent=False)

    def forward(self, current: Tensor, views: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """current [B, C, H, W], views [B, V, h, w], vectors [B, code_dim] -> next frames, shares [B, K, h', w']."""
        maps = self.down(self._without_past(views))
        x = functional.silu(_film(self.mix(maps[-1]), self.films[0](vectors)))
        for layer, norm, film, skip in zip(self.up, self.norms, self.films[1:], maps[-2::-1], strict=True):
            x = torch.cat([functional.interpolate(x, skip.shape[-2:], mode="nearest"), skip], dim=1)
            x = functional.silu(_film(norm(layer(x)), film(vectors)))
        flow, residual = self.head(x).float().split([2, self._channels * STRIDE**2], dim=1)
        height, width = self._size
        residual = functional.pixel_shuffle(residual, STRIDE)[..., :height, :width]
        shares = torch.softmax(self.source(x).float(), dim=1)
        with torch.autocast(flow.device.type, enabled=False):
            flow = flow + torch.einsum("bkhw,kd->bdhw", shares, self.displacements)
        return self._moved(current, flow) + residual, shares

    def _without_past(self, views: Tensor) -> Tensor:
        if not self.training or not self._past_dropout:
            return views
        shown = torch.rand(len(views), 1, 1, 1, device=views.device) >= self._past_dropout
        return torch.cat([views[:, : self._channels], views[:, self._channels :] * shown], dim=1)

    def _moved(self, current: Tensor, flow: Tensor) -> Tensor:
        """The frame sampled where flow [B, 2, h, w] points to, in units of half the picture's width and height."""
        with torch.autocast(flow.device.type, enabled=False):
            # Enlarged by matrices: bilinear `interpolate` of two channels takes ten times as long.
            flow = self.rows @ flow.contiguous() @ self.columns.T
            where = self.grid + flow.permute(0, 2, 3, 1)
            return functional.grid_sample(current.float(), where, padding_mode="border", align_corners=False)


def load_latent_action(directory: str | Path) -> LatentActionModel:
    """The model of a saved folder, on the CPU, in eval mode, its weights frozen."""
    model = LatentActionModel(**load_config(directory))
    load_weights(model, directory)
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def codes_of(model: LatentActionModel, frames: np.ndarray, compute: Compute) -> np.ndarray:
    """Transitions uint8 [B, P + 2, C, H, W] -> their codes int64 [B]. The model is in eval mode."""
    with compute.autocast():
        vectors = model.vectors(_floats(frames, compute))
    return model.quantise(vectors)[1].cpu().numpy()


@torch.inference_mode()
def predict_next(model: LatentActionModel, context: np.ndarray, codes: np.ndarray, compute: Compute) -> np.ndarray:
    """Past and current frames uint8 [B, P + 1, C, H, W] and codes [B] -> next frames float32 [B, C, H, W], 0..255."""
    vectors = model.vectors_of(torch.from_numpy(np.asarray(codes, np.int64)).to(compute.device))
    with compute.autocast():
        frames = model.predict(_floats(context, compute), vectors)
    return (frames.float().clamp(0, 1) * 255).cpu().numpy()


def _floats(frames: np.ndarray, compute: Compute) -> Tensor:
    return torch.from_numpy(frames).to(compute.device).float() / 255


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels) if channels > 8 else 1, channels)


def _film(x: Tensor, scale_and_shift: Tensor) -> Tensor:
    scale, shift = scale_and_shift[:, :, None, None].chunk(2, dim=1)
    return x * (1 + scale) + shift


def _enlarging(cells: int, pixels: int) -> Tensor:
    """The matrix [pixels, cells] that enlarges a row of cells linearly; the last cell may reach past the picture."""
    unit = torch.eye(cells)[:, None]
    return functional.interpolate(unit, scale_factor=STRIDE, mode="linear")[:, 0, :pixels].T.contiguous()


def _grid(height: int, width: int) -> Tensor:
    """Where `grid_sample` finds each pixel itself, x before y: [1, H, W, 2]."""
    rows, columns = ((torch.arange(n) * 2 + 1) / n - 1 for n in (height, width))
    return torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], dim=-1)[None]
