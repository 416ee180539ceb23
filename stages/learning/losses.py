"""Losses and the weights that go into them: pure functions of tensors, computed in fp32."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMALL_PX = 18  # a small thing has so many pixels, for example 3 x 6 ...
WINDOW_PX = 15  # ... in a window of so many on a side


def bce_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy of logits [B, A] against targets [B, A] in 0..1, the weighted mean as a scalar.

    `weights` ([B, 1], [A] or [B, A]) multiply the terms; the mean divides by B * A, so weights of mean 1
    keep the scale. `smoothing` moves the targets so far towards one half (Szegedy et al. 2016, section 7).
    """
    targets = targets.float() * (1 - smoothing) + smoothing / 2
    terms = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return _mean(terms, weights)


def combination_loss(
    logits: Tensor, targets: Tensor, combinations: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of logits [..., K] of combinations [K, A] against the keys held [..., A], the weighted mean.

    Held keys that are none of the combinations count as the most alike one. `weights` [B, 1] and `smoothing` as in
    `bce_loss`; smoothed labels share theirs between all combinations.
    """
    differ = (targets.bool().unsqueeze(-2) != combinations.to(targets.device)).sum(dim=-1)
    shares = logits.float().log_softmax(dim=-1)
    right = -shares.gather(-1, differ.argmin(dim=-1, keepdim=True)).squeeze(-1)
    terms = (1 - smoothing) * right - smoothing * shares.mean(dim=-1)
    return _mean(terms, None if weights is None else weights[..., 0])


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


def pixel_weights(current: Tensor, previous: Tensor, background: Tensor, *, threshold: float, weight: float) -> Tensor:
    """Weights of the squared errors: 1, and up to `weight` more for pixels of small things; float32 [B, 1, H, W].

    current, previous uint8 [B, C, H, W], background [C, H, W] in 0..1, threshold in grey levels. What
    counts is a pixel that moves (differs from the frame before) and stands out (differs from the
    background): when the view turns every texture moves, and only what stands out can be aimed at.
    Where more than SMALL_PX such pixels lie in a window they share the weight of SMALL_PX: otherwise
    one big thing outweighs all the small ones, and a latent forgets the small ones first.
    """
    now, around = current.short(), (background * 255).round().short()
    moves = ((now - previous.short()).abs() >= threshold).any(dim=1, keepdim=True)
    stands_out = ((now - around).abs() >= threshold).any(dim=1, keepdim=True)
    counts = (moves & stands_out).float()
    return 1 + weight * counts * (SMALL_PX / _neighbours(counts).clamp(min=SMALL_PX))


def rare_window_weights(actions: Tensor, rare: list[int], factor: float) -> Tensor:
    """Weight of each window by its current frame's actions [N, A]: `factor` where one of the columns
    `rare` is active, 1 elsewhere; float32 [N]."""
    return 1 + (factor - 1) * actions[:, rare].bool().any(dim=1).float()


def key_change_weights(actions: Tensor, lengths: Sequence[int], frames: int, factor: float) -> Tensor:
    """Weight of each frame [N]: `factor` up to `frames` away from one where a key goes down or up, else 1.

    actions 0/1 [N, A], the frames of episodes with these `lengths` end to end. Most frames only go on with the keys
    of the one before, which a policy then learns to repeat; where keys change it must look (Wen et al. 2021, "Keyframe-
    focused visual imitation learning").
    """
    near = torch.zeros(len(actions), dtype=torch.bool)
    start = 0
    for length in lengths:
        held = actions[start : start + length].bool()
        changes = torch.nonzero((held[1:] != held[:-1]).any(dim=1))[:, 0] + 1
        around = (changes[:, None] + torch.arange(-frames, frames + 1)).clamp(0, max(length - 1, 0))
        near[start + around.flatten()] = True
        start += length
    return 1 + (factor - 1) * near.float()


def inverse_share_weights(actions: Tensor) -> Tensor:
    """Weight of each action [A] by the inverse of its share of active frames in actions [N, A], mean 1.

    Counts are smoothed by one active and one inactive frame: an action that never occurs stays finite.
    """
    share = (actions.sum(dim=0, dtype=torch.float64) + 1) / (len(actions) + 2)
    weights = 1 / share
    return (weights / weights.mean()).float()


def _neighbours(counts: Tensor) -> Tensor:
    """The sum over the window around each pixel; as products with band matrices, by far the fastest way."""
    half = WINDOW_PX // 2
    rows, columns = (torch.ones(n, n, device=counts.device).triu(-half).tril(half) for n in counts.shape[2:])
    return rows @ counts @ columns
