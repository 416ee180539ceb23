"""The policy `vit`: a transformer over patches of a stack of frames (Dosovitskiy et al. 2021, mean-pooled)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from stages.learning.fast.dropout import Dropout
from stages.models.policies.pictures import Stacked
from stages.models.policies.policy import Policy
from stages.params import Count, FitParams, Params


class VitParams(FitParams):
    frames: Count
    pixels: Count
    patch_px: Count
    size: Count
    layers: Count
    heads: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Vit(Policy):
    """Frames uint8 [B, T, C, H, W] -> logits [B, A].

    The T frames are the channels of one picture, which is padded at the right and the bottom to whole patches; each
    patch is a token with a learned place, and the mean of the last layer's tokens decides.
    """

    reads = ("frames",)
    Section = VitParams
    independent_samples = True

    def __init__(self, *, patch_px: int, size: int, layers: int, heads: int, dropout: float, **common):
        super().__init__(**common)
        if size % heads:
            raise ValueError(f"vit.size {size} does not divide into {heads} heads")
        self.config |= {"patch_px": patch_px, "size": size, "layers": layers, "heads": heads, "dropout": dropout}
        colors, height, width = self.shapes["frames"]
        self._padding = (0, -width % patch_px, 0, -height % patch_px)
        patches = -(-height // patch_px) * -(-width // patch_px)
        self.stacked = Stacked(self.shapes["frames"])
        self.patches = nn.Conv2d(self.window * colors, size, patch_px, stride=patch_px)
        self.places = nn.Parameter(torch.randn(patches, size) * 0.02)
        layer = nn.TransformerEncoderLayer(
            size, heads, 2 * size, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm, self.dropout = nn.LayerNorm(size), Dropout(dropout)
        self.decides_from(size)

    @classmethod
    def values(cls, section: VitParams, params: Params) -> dict:
        taken = {"patch_px", "size", "layers", "heads", "dropout"}
        return {**section.model_dump(include=taken), "window": section.frames}

    def features(self, frames: Tensor) -> Tensor:
        tokens = self.patches(functional.pad(self.stacked(frames), self._padding)).flatten(2).transpose(1, 2)
        return self.dropout(self.norm(self.layers(tokens + self.places)).mean(dim=1))
