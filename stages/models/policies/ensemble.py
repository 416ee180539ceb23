"""Several policies of one kind, learned side by side, whose logits are averaged.

Each differs in what it began with and in its dropout, so each errs elsewhere (Lakshminarayanan et al. 2017, "Simple and
scalable predictive uncertainty estimation using deep ensembles").
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.models.policies.policy import Policy


class Composed(nn.Module):
    """Made of policies that read the same windows: an agent asks it what it asks any policy."""

    def __init__(self, policies: Sequence[Policy]):
        super().__init__()
        self.policies = nn.ModuleList(policies)
        first = policies[0]
        self.reads, self.shapes, self.window = first.reads, first.shapes, first.window
        self.step, self.spans, self.ahead = first.step, first.spans, first.ahead
        self.chunk, self.combinations, self.choices = first.chunk, first.combinations, first.choices
        self.independent_samples = first.independent_samples


class Ensemble(Composed):
    """The mean of the policies' logits [B, A]; in training those of each [members, B, ...], for each learns alone."""

    def forward(self, *inputs: Tensor) -> Tensor:
        logits = torch.stack([policy(*inputs) for policy in self.policies])
        return logits if self.training else logits.mean(dim=0)
