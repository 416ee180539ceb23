"""Dropout, and other random numbers of a training step, that belong to the thread that learns.

torch's threads share one generator: of replicas that learn at the same time, the faster one would draw first.
"""

import threading

import torch
from torch import Tensor, nn
from torch.nn import functional

_own = threading.local()


def seed_dropout(seed: int) -> None:
    """What this thread's `Dropout` layers and `uniform` draw from here on, on the processor."""
    _own.generator = torch.Generator().manual_seed(seed)


def uniform(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Numbers in 0..1; on the processor from the thread's generator, if that is seeded."""
    generator = getattr(_own, "generator", None) if torch.device(device).type == "cpu" else None
    return torch.rand(shape, generator=generator, device=device)


class Dropout(nn.Module):
    """torch's dropout (Srivastava et al. 2014); on the processor it draws from the thread's generator, if that is
    seeded."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        generator = getattr(_own, "generator", None)
        if not self.training or x.device.type != "cpu" or generator is None:
            return functional.dropout(x, self.probability, self.training)
        kept = torch.empty(x.shape).uniform_(generator=generator).ge_(self.probability)  # a third of bernoulli_'s time
        return x * kept.to(x.dtype) / (1 - self.probability)
