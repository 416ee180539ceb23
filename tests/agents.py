"""A small agent with random weights in a folder of its own, for the tests of what takes one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from stages.learning.checkpoints import save_model
from stages.models.acting import Acting
from stages.models.agent import About, write_agent
from stages.models.autoencoder import Autoencoder
from stages.models.policies.policy import Policy
from stages.models.policies.recurrent import Recurrent

KEYS = {"LEFT": ("Key.left",), "RIGHT": ("Key.right",), "SHOOT": ("Key.space",), "DASH": ("Key.shift",)}
WINDOW = 3
LATENT = 6


def acting_of(thresholds: Sequence[float], rule: str = "threshold") -> Acting:
    """Probabilities as the logits say them, a threshold for each action."""
    return Acting(np.array(thresholds, float), np.ones(len(thresholds)), np.zeros(len(thresholds)), rule)


def write_small_agent(
    folder: Path, *, policy: Policy | None = None, kind: str = "dense", cell: str = "gru", color: str = "gray",
    width: int = 32, **about,
) -> Path:  # fmt: skip
    """Writes an agent that says different things of different pictures, always the same one; returns `folder`.

    `policy` in place of the recurrent one; `about` are fields of About in place of those here.
    """
    torch.manual_seed(0)
    design = {"kind": kind, "channels": [4, 8], "latent_dim": LATENT, "height": 18, "width": width}
    design["in_channels"] = {"gray": 1, "rgb": 3}[color]
    encoder = Autoencoder(**design)
    encoder.set_background(torch.full_like(encoder.background, 0.5), 0.1)  # what differs from grey counts tenfold
    if policy is None:
        shapes = {"latents": encoder.latent_shape}
        policy = Recurrent(shapes=shapes, window=WINDOW, actions=len(KEYS), hidden=[16, 8], cell=cell, dropout=0.0)
        torch.nn.init.normal_(policy.output.weight, std=2.0)
    fields = {
        "actions": tuple(KEYS), "keys": KEYS, "fps": 10.0, "picture": {"width": width, "height": 18, "color": color},
        "labels": {"rule": "interval", "delay_ms": 0.0}, "state_columns": (), "learned_from": "nothing",
        "acting": acting_of([0.5] * len(KEYS)),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        save_model(Path(scratch) / "encoder", encoder, design)
        needed = Path(scratch) / "encoder" if "latents" in policy.reads else None
        write_agent(folder, About(**fields | about), policy, needed)
    return folder
