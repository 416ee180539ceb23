"""An inverse model with labels: what the codes' knowledge of the keys is compared with."""

from torch import Tensor, nn

from stages.models.block_matching import matched
from stages.models.latent_action import InverseModel, LatentActionModel


class TransitionClassifier(nn.Module):
    """The latent action model's inverse network, its last layer a class each.

    frames [B, P + 2, C, H, W] in 0..1 -> logits [B, classes]. With `whole` False it sees the current
    frame and nothing else of the transition.
    """

    def __init__(self, like: LatentActionModel, *, whole: bool, classes: int):
        super().__init__()
        self._whole, self._past_frames, self._in_channels = whole, like.past_frames, len(like.views.background)
        self.views, self.matching = like.views, like.matching
        seen = self._past_frames + 2 if whole else 1
        displacements = len(like.matching.displacements) if whole else 0
        self.inverse = InverseModel(seen * self._in_channels, like.config["channels"], classes, displacements)

    def forward(self, frames: Tensor) -> Tensor:
        views = self.views(frames, self._past_frames)
        if not self._whole:
            return self.inverse(views[:, : self._in_channels])
        return self.inverse(views, matched(self.matching(frames[:, -2], frames[:, -1])))
