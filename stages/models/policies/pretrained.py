"""The policy `pretrained`: where things are in each frame, found by a frozen network that has learned from photographs.

The network is EfficientNet-Lite0, trained on ImageNet (Tan and Le 2019, "EfficientNet", table 1; the Lite variant has
no squeeze-and-excitation, and ReLU6), as far as a map at an eighth or a sixteenth of the frame. Its batch
normalisations always stand still, and are part of the convolutions before them. The weights are a file that `python -m
stages.commands.pretrained` makes once; training starts from it, and a trained policy holds them itself.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from stages.learning.checkpoints import copy_tensors, load_tensors
from stages.learning.fast.dropout import Dropout
from stages.models.policies.pictures import Pooled, dense
from stages.models.policies.policy import Policy
from stages.params import Channels, Count, FitParams, Params
from stages.paths import PRETRAINED

STEM = 32  # channels
STAGES = (  # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
)  # fmt: skip
STAGES_TO = {8: 3, 16: 5}  # px of the frame a cell of the map: so many of them


class PretrainedParams(FitParams):
    frames: Count
    pixels: Count
    stride: Annotated[Count, Field(ge=8, le=16, multiple_of=8)]
    points: Count
    dense: Channels
    dropout: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Pretrained(Policy):
    """Frames uint8 [B, T, C, H, W], RGB or gray (which is shown as all three colours) -> logits [B, A].

    Of each frame's map a 1 x 1 convolution makes `points` channels, and `soft_argmax` tells of each where it is largest
    and how large. Those of the last frame, and how they differ from those of each before it (moves are small beside
    places), go through dense layers.
    """

    reads = ("frames",)
    Section = PretrainedParams
    independent_samples = True

    def __init__(self, *, stride: int, points: int, dense_sizes: Sequence[int], dropout: float, **common):
        super().__init__(**common)
        self.config |= {"stride": stride, "points": points, "dense_sizes": list(dense_sizes), "dropout": dropout}
        self.encoder = EfficientNetLite0(stride)
        self.points = nn.Conv2d(self.encoder.channels, points, 1)
        height, width = self.shapes["frames"][1:]
        self.pooled = Pooled("soft_argmax", points, -(-height // stride), -(-width // stride))
        self.dense = dense((self.window * self.pooled.size, *dense_sizes), Dropout(dropout))
        self.decides_from(dense_sizes[-1])

    @classmethod
    def values(cls, section: PretrainedParams, params: Params) -> dict:
        taken = section.model_dump(include={"stride", "points", "dropout"})
        return {**taken, "dense_sizes": section.dense, "window": section.frames}

    def begin(self) -> None:
        """The encoder's weights from their file; ValueError where it is missing or another one."""
        if not PRETRAINED.is_file():
            raise ValueError(f"policy is pretrained, but {PRETRAINED} is missing: python -m stages.commands.pretrained")
        own, saved = self.encoder.state_dict(), load_tensors(PRETRAINED)
        copy_tensors(own, {name: saved[name] for name in own.keys() & saved.keys()}, PRETRAINED)

    def features(self, frames: Tensor) -> Tensor:
        pictures = frames.flatten(0, 1).expand(-1, 3, -1, -1)
        places = self.pooled(self.points(self.encoder(pictures))).unflatten(0, frames.shape[:2])
        return self.dense(torch.cat([places[:, -1:] - places[:, :-1], places[:, -1:]], dim=1).flatten(1))


class EfficientNetLite0(nn.Module):
    """RGB uint8 [N, 3, H, W] -> a map [N, channels, ceil(H / stride), ceil(W / stride)]; its weights never change.

    ValueError for a stride other than 8 (40 channels) and 16 (112).
    """

    def __init__(self, stride: int):
        super().__init__()
        if stride not in STAGES_TO:
            raise ValueError(f"stride is {stride}, expected 8 or 16")
        self.stem = Convolution(3, STEM, 3, 2)
        self.blocks, self.channels = nn.ModuleList(), STEM
        for kernel, step, expansion, channels, count in STAGES[: STAGES_TO[stride]]:
            for index in range(count):
                self.blocks.append(Block(self.channels, channels, kernel, 1 if index else step, expansion))
                self.channels = channels
        self.requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = functional.relu6(self.stem((pictures.float() - 127) / 128))
        for block in self.blocks:
            x = block(x)
        return x


class Block(nn.Module):
    """Wider, each channel by itself, and narrow again (Sandler et al. 2018, "MobileNetV2", section 3.3).

    What came in is added where it has the same shape.
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = before * expansion
        self.expand = Convolution(before, wide, 1) if expansion > 1 else None
        self.depthwise = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, after, 1)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x))
        narrow = self.project(functional.relu6(self.depthwise(wide)))
        return x + narrow if self.adds else narrow


class Convolution(nn.Conv2d):
    """A convolution with an odd kernel, stride 1 or 2 and zeros around as TensorFlow's "SAME" puts them.

    At stride 2 a side that is even gets one less at the left or the top.
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, *, groups: int = 1):
        self.reach = kernel // 2
        super().__init__(before, after, kernel, stride, self.reach if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            height, width = x.shape[-2:]
            first = self.reach - 1
            x = functional.pad(x, (first + width % 2, self.reach, first + height % 2, self.reach))
        return super().forward(x)
