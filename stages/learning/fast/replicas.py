"""One training step on several cores at once: each thread learns from its part of the batch.

torch's own threads share out every single operation and wait for each other after each, which small networks pay for:
two threads are 1.3 times as fast as one, and several times slower when anything else needs a core. Here each thread
takes part of the batch through the whole network with a copy that shares the weights and has its own gradients, and
they wait once a step.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

Learn = Callable[[nn.Module, np.ndarray], dict]  # a model and samples -> logged values; adds to the model's gradients


class Replicas:
    """A model and `count - 1` copies over the same weights; count None: the model alone, with torch's own threads.

    The samples are shared out in order and the gradients added up in order: the same count gives the same bits.
    """

    def __init__(self, model: nn.Module, count: int | None):
        self._threads = torch.get_num_threads()
        self._while_learning = self._threads if count is None else 1
        self.models = [model, *(_sharing(model) for _ in range((count or 1) - 1))]
        self._pool = ThreadPoolExecutor(count, initializer=_prepare_thread) if len(self.models) > 1 else None

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Within it torch uses one thread an operation, where there is a count: the cores belong to the replicas."""
        torch.set_num_threads(self._while_learning)
        try:
            yield
        finally:
            torch.set_num_threads(self._threads)

    def learn(self, samples: np.ndarray, learn: Learn) -> list[dict]:
        """`learn` of each replica with its part of samples [B], at once; the first one gets all gradients."""
        parts = [part for part in np.array_split(samples, len(self.models)) if len(part)]
        if self._pool is None:
            return [learn(self.models[0], samples)]
        found = list(self._pool.map(learn, self.models, parts))
        torch.clear_autocast_cache()  # the weights are about to change
        for replica in self.models[1 : len(parts)]:
            _move_gradients(replica, self.models[0])
        return found

    def release(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _prepare_thread() -> None:
    """One thread an operation, and a thread that leaves autocast no longer empties the cache of weights in bf16.

    torch has one cache for all threads. Emptied while another thread is halfway through a recurrent layer, it makes
    that thread turn its weights into bf16 a second time, and their gradient is added up in another order: other bits,
    depending on who was faster.
    """
    torch.set_num_threads(1)
    torch.autocast_increment_nesting()


def _sharing(model: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are the model's own memory; its gradients are not."""
    replica = copy.deepcopy(model)
    for own, other in (
        *zip(replica.parameters(), model.parameters(), strict=True),
        *zip(replica.buffers(), model.buffers(), strict=True),
    ):
        own.data = other.data
    return replica


@torch.no_grad()
def _move_gradients(source: nn.Module, target: nn.Module) -> None:
    for own, other in zip(source.parameters(), target.parameters(), strict=True):
        if own.grad is not None:
            other.grad = own.grad if other.grad is None else other.grad.add_(own.grad)
            own.grad = None
