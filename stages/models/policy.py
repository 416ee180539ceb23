"""The policy: a window of latents in, one logit an action for its last frame out."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn

from stages.learning.checkpoints import load_config, load_weights
from stages.learning.dropout import Dropout
from stages.models.gru import GRU

CELLS = {"gru": GRU, "lstm": partial(nn.LSTM, batch_first=True)}


class RecurrentPolicy(nn.Module):
    """Latents [B, T, *latent_shape] -> logits [B, A] of the actions held in the window's last frame.

    LayerNorm on each latent (spatial ones [c, h, w] are flattened first), recurrent layers of the sizes
    `hidden`, each followed by dropout, and a linear layer on the last step. The hidden state starts at
    zero in every window: what the policy does depends on these T frames and on nothing before them.
    """

    def __init__(self, *, latent_shape: Sequence[int], hidden: Sequence[int], cell: str, dropout: float, actions: int):
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}, expected one of {sorted(CELLS)}")
        self.latent_shape = tuple(latent_shape)
        size = math.prod(self.latent_shape)
        self.norm = nn.LayerNorm(size)
        self.layers = nn.ModuleList(CELLS[cell](a, b) for a, b in pairwise((size, *hidden)))
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(hidden[-1], actions)

    def forward(self, latents: Tensor) -> Tensor:
        if tuple(latents.shape[2:]) != self.latent_shape:
            raise ValueError(
                f"the policy was made for latents [B, T, {', '.join(map(str, self.latent_shape))}], "
                f"found {list(latents.shape)}; train it again (dvc repro)"
            )
        x = self.norm(latents.flatten(2))
        for layer in self.layers[:-1]:
            x = self.dropout(layer(x)[0])
        return self.output(self.dropout(self.layers[-1](x)[0][:, -1]))


def load_policy(directory: str | Path) -> tuple[RecurrentPolicy, dict]:
    """The saved policy in eval mode and its config: the constructor's values with the names of the
    `actions`, and `sequence_length`. ValueError when weights and config do not fit together."""
    config = load_config(directory)
    policy = RecurrentPolicy(
        latent_shape=config["latent_shape"],
        hidden=config["hidden"],
        cell=config["cell"],
        dropout=config["dropout"],
        actions=len(config["actions"]),
    )
    return load_weights(policy, directory).eval(), config
