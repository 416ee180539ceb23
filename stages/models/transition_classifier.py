"""An inverse model with labels: what the codes' knowledge of the keys is compared with."""

from torch import Tensor, nn

from stages.models.block_matching import matched
from stages.models.inverse_model import InverseModel
from stages.models.latent_action import LatentActionModel


class TransitionClassifier(nn.Module):
    """The latent action model's inverse network, its last layer a class each.

    frames [B, P + 2, C, H, W] in 0..1 -> logits [B, classes].
    """

    independent_samples = True  # parts of a batch may be learned in threads, see learning/fast/replicas.py

    def __init__(self, like: LatentActionModel, *, classes: int):
        super().__init__()
        design = like.design
        self._past_frames, self.views, self.matching = like.past_frames, like.views, like.matching
        seen = (like.past_frames + 2) * design.in_channels
        displacements = 0 if self.matching is None else len(self.matching.displacements)
        self.inverse = InverseModel(seen, design.channels, classes, displacements, design.cell_px, (1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        matches = None if self.matching is None else matched(self.matching(frames[:, -2], frames[:, -1]))
        return self.inverse(self.views(frames, self._past_frames), matches)[:, 0]
