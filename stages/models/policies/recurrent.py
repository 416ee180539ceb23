"""The policy `recurrent`: recurrent layers over a window of latents."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from stages.learning.fast.dropout import Dropout
from stages.learning.fast.gru import GRU
from stages.models.policies.policy import Policy
from stages.params import Channels, FitParams, Params

CELLS = {"gru": GRU, "lstm": partial(nn.LSTM, batch_first=True)}


class RecurrentParams(FitParams):
    hidden: Channels
    dropout: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Recurrent(Policy):
    """Latents [B, T, *shape] -> logits [B, A].

    LayerNorm on each latent (spatial ones [c, h, w] are flattened first), recurrent layers of the sizes
    `hidden`, each followed by dropout, and a linear layer on the last step. The hidden state starts at
    zero in every window: what the policy does depends on these T frames and on nothing before them.
    """

    reads = ("latents",)
    Section = RecurrentParams
    independent_samples = True

    def __init__(self, *, hidden: Sequence[int], cell: str, dropout: float, **common):
        super().__init__(**common)
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}, expected one of {sorted(CELLS)}")
        self.config |= {"hidden": list(hidden), "cell": cell, "dropout": dropout}
        size = math.prod(self.shapes["latents"])
        self.norm = nn.LayerNorm(size)
        self.layers = nn.ModuleList(CELLS[cell](a, b) for a, b in pairwise((size, *hidden)))
        self.dropout = Dropout(dropout)
        self.decides_from(hidden[-1])

    @classmethod
    def values(cls, section: RecurrentParams, params: Params) -> dict:
        return {
            "hidden": section.hidden, "dropout": section.dropout,
            "cell": params.cell, "window": params.sequence_length,
        }  # fmt: skip

    def features(self, latents: Tensor) -> Tensor:
        x = self.norm(latents.flatten(2))
        for layer in self.layers[:-1]:
            x = self.dropout(layer(x)[0])
        return self.dropout(self.layers[-1](x)[0][:, -1])
