"""The forward model on its own: codes drive it, and what it predicts is what it sees next.

Conventions: M roll-outs of S steps, P past frames; frames uint8 [C, H, W].
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from stages.latent_actions.transitions import PredictNext, Transitions
from stages.learning.compute import Compute
from stages.learning.dropout import uniform
from stages.models.latent_action import LatentActionModel, codes_of, predict_next


def continued(context: np.ndarray, codes: np.ndarray, predict: PredictNext) -> np.ndarray:
    """Frames uint8 [M, S, C, H, W] that follow context [M, P + 1, C, H, W] when codes [M, S] or [M, S, n] drive."""
    film, seen = context, context.shape[1]
    for step in range(codes.shape[1]):
        following = predict(film[:, -seen:], codes[:, step]).round().astype(np.uint8)
        film = np.concatenate([film, following[:, None]], axis=1)
    return film[:, seen:]


@dataclass(frozen=True)
class OwnContexts:
    """The frames that the forward model continues in training: for a share of the transitions those that it predicts
    itself, when it starts a few steps earlier in the same episode and the codes of the true frames drive it.

    A model that has seen true frames alone adds error to error when it runs on. No gradient goes back through the
    earlier steps (Bengio et al. 2015, scheduled sampling; Brandstetter et al. 2022, the pushforward trick).
    """

    transitions: Transitions
    share: float
    steps: int
    gap: int  # frames between the frames of a transition
    compute: Compute

    def __call__(self, model: LatentActionModel, samples: np.ndarray, true: Tensor) -> Tensor:
        """uint8 [B, P + 1, C, H, W] of transitions `samples` [B], whose true contexts are `true`."""
        if not self.share or not model.codebook.started:
            return true
        chosen = uniform(len(samples)).numpy() < self.share
        starts = samples - self.steps * self.gap
        chosen &= (starts >= 0) & (self.transitions.episode[starts] == self.transitions.episode[samples])
        if not chosen.any():
            return true
        contexts = true.clone()
        contexts[torch.from_numpy(chosen)] = torch.from_numpy(self._predicted(model, starts[chosen])).to(true.device)
        return contexts

    def _predicted(self, model: LatentActionModel, starts: np.ndarray) -> np.ndarray:
        """The last P + 1 frames after all steps from transitions `starts` [M]."""
        was_training = model.training
        model.eval()
        ahead = starts[:, None] + np.arange(self.steps) * self.gap
        codes = codes_of(model, self.transitions.take(ahead.ravel()), self.compute)
        context = self.transitions.take(starts)[:, :-1]
        predict = partial(predict_next, model, compute=self.compute)
        film = continued(context, codes.reshape(*ahead.shape, *codes.shape[1:]), predict)
        model.train(was_training)
        return np.concatenate([context, film], axis=1)[:, -context.shape[1] :]
