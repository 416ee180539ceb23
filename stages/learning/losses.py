"""Losses and the weights that go into them: pure functions of tensors, computed in fp32."""

import torch
from torch import Tensor
from torch.nn import functional


def bce_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of logits [B, A] against targets [B, A] in 0..1, the weighted mean as a scalar.

    `weights` ([B, 1], [A] or [B, A]) multiply the terms; the mean divides by B * A, so weights of mean 1
    keep the scale.
    """
    terms = functional.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    return _mean(terms, weights)


def focal_loss(logits: Tensor, targets: Tensor, gamma: float, alpha: float, weights: Tensor | None = None) -> Tensor:
    """Focal loss -alpha_t (1 - p_t)^gamma log p_t, mean over [B, A]; weights as in `bce_loss`.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5: alpha weighs the active
    class, 1 - alpha the inactive one. gamma 0 and alpha .5 give half the cross-entropy.
    """
    logits, targets = logits.float(), targets.float()
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    missing = torch.sigmoid(logits * (1 - 2 * targets))  # 1 - p_t, without the loss of digits near p_t = 1
    balance = alpha * targets + (1 - alpha) * (1 - targets)
    return _mean(balance * missing**gamma * cross_entropy, weights)


def _mean(terms: Tensor, weights: Tensor | None) -> Tensor:
    return terms.mean() if weights is None else (terms * weights).mean()


def weighted_mse(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Squared error averaged with `weight` (broadcastable to the target): sum(w e^2) / sum(w), a scalar.

    Equal weights give the plain mean, so the loss keeps its unit whatever the weights' scale.
    """
    error = (prediction.float() - target).square()
    if weight is None:
        return error.mean()
    weight = weight.expand_as(error)
    return (error * weight).sum() / weight.sum()


def change_weights(current: Tensor, previous: Tensor, threshold: float, weight: float) -> Tensor:
    """1 where a pixel stays, 1 + weight where it moves by more than threshold; float32, shape of `current`.

    Both images uint8 (threshold in grey levels) or both float (threshold in their unit).
    """
    if current.shape != previous.shape or current.dtype != previous.dtype:
        raise ValueError(
            f"change_weights compares like with like, found {tuple(current.shape)} {current.dtype} "
            f"and {tuple(previous.shape)} {previous.dtype}"
        )
    # The difference of the larger and the smaller cannot wrap round in uint8.
    moved = torch.maximum(current, previous) - torch.minimum(current, previous) > threshold
    return 1 + weight * moved.float()


def rare_window_weights(actions: Tensor, rare: list[int], factor: float) -> Tensor:
    """Weight of each window by its current frame's actions [N, A]: `factor` where one of the columns
    `rare` is active, 1 elsewhere, scaled to mean 1; float32 [N]."""
    holds_one = actions[:, rare].bool().any(dim=1)
    weights = 1 + (factor - 1) * holds_one.float()
    return weights / weights.mean()


def inverse_share_weights(actions: Tensor) -> Tensor:
    """Weight of each action [A] by the inverse of its share of active frames in actions [N, A], mean 1.

    Counts are smoothed by one active and one inactive frame: an action that never occurs stays finite.
    """
    share = (actions.sum(dim=0, dtype=torch.float64) + 1) / (len(actions) + 2)
    weights = 1 / share
    return (weights / weights.mean()).float()
