"""An inverse model with labels: what the codes' knowledge of the keys is compared with."""

from torch import Tensor, nn

from stages.models.block_matching import matched
from stages.models.inverse_model import InverseModel
from stages.models.latent_action import LatentActionModel

SAID = 32  # numbers of each transition, where several are seen


class TransitionClassifier(nn.Module):
    """The latent action model's inverse network, its last layer a class each.

    frames [B, P + 2, C, H, W] in 0..1 -> logits [B, classes]. With `reach` it sees the transitions around as well, one
    after the other, [B, (2 * reach + 1) * (P + 2), C, H, W]: the network says SAID numbers of each, from which a linear
    layer makes the logits.
    """

    independent_samples = True  # parts of a batch may be learned in threads, see learning/fast/replicas.py

    def __init__(self, like: LatentActionModel, *, classes: int, reach: int = 0):
        super().__init__()
        design = like.design
        self._past_frames, self.views, self.matching = like.past_frames, like.views, like.matching
        self._around = 2 * reach + 1
        seen = (like.past_frames + 2) * design.in_channels
        displacements = 0 if self.matching is None else len(self.matching.displacements)
        outputs = SAID if reach else classes
        self.inverse = InverseModel(seen, design.channels, outputs, displacements, design.cell_px, (1, 1))
        self.together = nn.Linear(self._around * SAID, classes) if reach else nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        each = frames.reshape(len(frames) * self._around, -1, *frames.shape[2:])
        matches = None if self.matching is None else matched(self.matching(each[:, -2], each[:, -1]))
        said = self.inverse(self.views(each, self._past_frames), matches)[:, 0]
        return self.together(said.reshape(len(frames), -1))
