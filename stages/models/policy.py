"""The policy: a window of latents in, one logit an action for its last frame out."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.learning.checkpoints import load_config, load_weights
from stages.learning.dropout import Dropout

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}
SMALL_BATCH = 64  # windows; with fewer a processor loses more by turning numbers into bf16 and back than it gains


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
        self.layers = nn.ModuleList(CELLS[cell](a, b, batch_first=True) for a, b in pairwise((size, *hidden)))
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(hidden[-1], actions)

    def forward(self, latents: Tensor) -> Tensor:
        if tuple(latents.shape[2:]) != self.latent_shape:
            raise ValueError(
                f"the policy was made for latents [B, T, {', '.join(map(str, self.latent_shape))}], "
                f"found {list(latents.shape)}; train it again (dvc repro)"
            )
        device = latents.device.type
        mixed = torch.is_autocast_enabled(device) and (device != "cpu" or len(latents) >= SMALL_BATCH)
        with torch.autocast(device, enabled=mixed):
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
