"""Latent actions shaped by a few labels: the model learns on, from all video and from the keys of n transitions.

Codes that were learned without any key tell first of all what changes most in the picture. Few labels are enough to
turn them towards what keys do (Nikulin et al. 2025, LAOM).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stages.latent_actions.continuing import OwnContexts
from stages.latent_actions.learning import KnownKeys, LatentActionTask
from stages.latent_actions.transitions import Transitions
from stages.learning.checkpoints import save_model
from stages.learning.compute import Compute
from stages.learning.training import FitSettings, fit
from stages.models.latent_action import LatentActionModel, load_latent_action
from stages.params import LatentActionParams


@dataclass(frozen=True)
class Shaping:
    """How `model`, which has seen no key, learns on; `val` is what its best epoch is chosen by, without labels."""

    model: LatentActionModel
    train: Transitions
    val: Transitions
    section: LatentActionParams
    settings: FitSettings
    compute: Compute

    def shaped(self, known: KnownKeys, folder: Path) -> LatentActionModel:
        """The model after learning on from `known` too; it is kept in `folder`, and read from there another time."""
        if not folder.is_dir():
            save_model(folder, model := self._learned_on(known, folder), model.config)
        return load_latent_action(folder).to(self.compute.device)

    def _learned_on(self, known: KnownKeys, folder: Path) -> LatentActionModel:
        own, compute = self.section, self.compute
        torch.manual_seed(compute.seed)  # of the layer that reads keys
        model = LatentActionModel(replace(self.model.design, labels=known.held.shape[1]))
        model.load_state_dict(self.model.state_dict(), strict=False)  # all but that layer
        task = LatentActionTask(
            model, self.train, self.val, change_weight=own.change_weight, change_threshold=own.change_threshold,
            quantise_after=0, compute=compute, seed=compute.seed, known=known, label_weight=own.label_weight,
            contexts=OwnContexts(self.train, own.rollout_share, own.rollout_steps, own.frame_gap, compute),
        )  # fmt: skip
        scratch = folder.with_name(f"fit-{folder.name}")
        fit(task, self.settings, compute, live=None, scratch=scratch, name=f"shaped by {len(known.samples)}")
        return model
