"""Work on one part of the data after the other, several parts at a time.

torch's own threads share out every single operation and wait for each other after each; a whole part a thread keeps
the cores busy, with what numpy and OpenCV do between the operations as well.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch


def in_threads(work: Callable, parts: Sequence) -> Iterator:
    """work(part) of every part, in the parts' order; as many at a time as torch has threads, each with one of them.

    A part should be small and be read by `work` itself: what is done is kept until its turn.
    """
    count = min(torch.get_num_threads(), len(parts))
    if count <= 1:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(work, parts)
