"""Keys held together as one choice: a policy with `action_head: combinations` says a logit for each combination.

Whether LEFT, RIGHT or neither is held is one decision: keys decided one by one can all be too unlikely for it.
Conventions: K combinations of A actions; arrays of logits end in [..., K] or, a logit a key, in [..., A].
"""

from collections.abc import Sequence

import numpy as np

TINY = 1e-9  # a probability, so that logarithms stay finite


def combinations_of(held: np.ndarray) -> np.ndarray:
    """The combinations that occur in bool [N, A], each once: bool [K, A]."""
    return np.unique(np.asarray(held, bool), axis=0)


def of_keys(logits: np.ndarray, combinations: Sequence | np.ndarray | None) -> np.ndarray:
    """Logits of combinations [..., K] -> logits that each key is held [..., A]; without combinations they are those."""
    if combinations is None or not len(combinations):
        return logits
    shares, with_key = softmax(logits), np.asarray(combinations, float)
    return np.log(shares @ with_key + TINY) - np.log(shares @ (1 - with_key) + TINY)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 [..., K], without overflow."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    shares = np.exp(shifted)
    return shares / shares.sum(axis=-1, keepdims=True)
