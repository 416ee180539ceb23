"""Tests of stages.learning.losses."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.learning.losses import (
    SMALL_PX,
    bce_loss,
    combination_loss,
    focal_loss,
    inverse_share_weights,
    pixel_weights,
    rare_window_weights,
    weighted_mse,
)

LOGITS = torch.tensor([[0.0, 2.0], [-1.0, 30.0], [-30.0, 0.5]])
TARGETS = torch.tensor([[1, 0], [0, 0], [1, 1]], dtype=torch.bool)


def test_bce_is_torchs():
    expected = functional.binary_cross_entropy_with_logits(LOGITS, TARGETS.float())
    assert bce_loss(LOGITS, TARGETS).item() == pytest.approx(expected.item())
    assert bce_loss(torch.zeros(1, 1), torch.ones(1, 1)).item() == pytest.approx(math.log(2))


def test_bce_weights_multiply_the_terms():
    rows = torch.tensor([[2.0], [1.0], [0.0]])
    terms = functional.binary_cross_entropy_with_logits(LOGITS, TARGETS.float(), reduction="none")
    assert bce_loss(LOGITS, TARGETS, weights=rows).item() == pytest.approx((terms * rows).mean().item())
    columns = torch.tensor([0.5, 1.5])
    assert bce_loss(LOGITS, TARGETS, weights=columns).item() == pytest.approx((terms * columns).mean().item())
    assert bce_loss(LOGITS, TARGETS, weights=torch.ones(3, 1)).item() == pytest.approx(bce_loss(LOGITS, TARGETS).item())


def test_smoothed_labels_are_so_far_from_certain():
    by_hand = -(0.95 * math.log(0.8) + 0.05 * math.log(0.2))
    assert bce_loss(torch.tensor([[math.log(4)]]), torch.ones(1, 1), smoothing=0.1).item() == pytest.approx(by_hand)


def test_combinations_by_hand():
    table = torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.bool)
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]))
    held = torch.tensor([[True, False], [False, False]])
    assert combination_loss(logits, held, table).item() == pytest.approx(-(math.log(0.5) + math.log(0.6)) / 2)
    both = torch.tensor([[True, True], [False, False]])  # no combination: the first one that differs in one key
    assert combination_loss(logits, both, table).item() == pytest.approx(-(math.log(0.5) + math.log(0.6)) / 2)
    weighed = combination_loss(logits, held, table, weights=torch.tensor([[2.0], [0.0]]))
    assert weighed.item() == pytest.approx(-math.log(0.5))
    smooth = combination_loss(logits[:1], held[:1], table, smoothing=0.3)
    spread = -(math.log(0.2) + math.log(0.5) + math.log(0.3)) / 3
    assert smooth.item() == pytest.approx(-0.7 * math.log(0.5) + 0.3 * spread)


def test_focal_by_hand():
    # p = .8 for an active action: .25 * .2^2 * -log .8; p = .2 for an idle one: .75 * .2^2 * -log .8
    logit = math.log(4)
    active = focal_loss(torch.tensor([[logit]]), torch.ones(1, 1), gamma=2, alpha=0.25)
    idle = focal_loss(torch.tensor([[-logit]]), torch.zeros(1, 1), gamma=2, alpha=0.25)
    assert active.item() == pytest.approx(-0.25 * 0.04 * math.log(0.8), rel=1e-5)
    assert idle.item() == pytest.approx(-0.75 * 0.04 * math.log(0.8), rel=1e-5)


def test_focal_without_focus_is_half_the_cross_entropy():
    found = focal_loss(LOGITS, TARGETS, gamma=0, alpha=0.5)
    assert found.item() == pytest.approx(bce_loss(LOGITS, TARGETS).item() / 2)


def test_focal_is_finite_with_finite_gradients_far_out():
    logits = torch.tensor([[80.0, -80.0, 0.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([[0, 1, 1]]), gamma=2, alpha=0.25)
    loss.backward()
    assert math.isfinite(loss.item()) and logits.grad.isfinite().all()
    assert focal_loss(torch.tensor([[60.0]]), torch.ones(1, 1), gamma=2, alpha=0.25).item() == 0


def test_losses_of_bf16_logits_are_fp32():
    assert bce_loss(LOGITS.bfloat16(), TARGETS).dtype == torch.float32
    assert focal_loss(LOGITS.bfloat16(), TARGETS, gamma=2, alpha=0.25).dtype == torch.float32


def test_weighted_mse():
    prediction, target = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]])
    assert weighted_mse(prediction, target).item() == 2.5
    assert weighted_mse(prediction, target, torch.tensor([[7.0, 7.0]])).item() == 2.5
    assert weighted_mse(prediction, target, torch.tensor([[3.0, 1.0]])).item() == pytest.approx((3 * 1 + 1 * 4) / 4)
    rows = torch.tensor([[1.0], [0.0]])
    found = weighted_mse(torch.tensor([[1.0, 3.0], [9.0, 9.0]]), torch.zeros(2, 2), rows)
    assert found.item() == 5.0  # a weight a row counts for every column of it


def weights_of(things, moved=True, **options):
    """Weights where `things` (bool [H, W]) are 100 levels brighter than a black background."""
    now = (torch.from_numpy(things)[None, None] * 100).byte()
    before = torch.zeros_like(now) if moved else now
    return pixel_weights(now, before, torch.zeros(1, *things.shape), **{"threshold": 12, "weight": 8.0, **options})


def test_weights_by_hand():
    thing = np.zeros((40, 40), bool)
    thing[5:11, 20:23] = True
    assert thing.sum() == SMALL_PX
    weights = weights_of(thing)
    assert weights.shape == (1, 1, 40, 40)
    assert torch.equal(weights[0, 0], torch.from_numpy(1 + 8.0 * thing).float())
    assert torch.equal(weights_of(thing, moved=False), torch.ones(1, 1, 40, 40))
    assert torch.equal(weights_of(thing, threshold=101), torch.ones(1, 1, 40, 40))
    assert torch.equal(weights_of(thing, weight=0.0), torch.ones(1, 1, 40, 40))


def test_what_moves_away_uncovers_the_background_and_weighs_nothing():
    before = torch.full((1, 1, 9, 9), 200, dtype=torch.uint8)
    now = torch.full((1, 1, 9, 9), 50, dtype=torch.uint8)
    weights = pixel_weights(now, before, torch.full((1, 9, 9), 50 / 255), threshold=12, weight=8.0)
    assert torch.equal(weights, torch.ones(1, 1, 9, 9))


def test_big_things_share_the_weight_of_a_small_one():
    weights = weights_of(np.ones((60, 60), bool))[0, 0]
    assert weights[30, 30] == pytest.approx(1 + 8 * SMALL_PX / 15**2)
    assert weights[0, 0] == pytest.approx(1 + 8 * SMALL_PX / 8**2)


def test_dark_and_bright_changes_weigh_alike_in_any_channel():
    now = torch.full((1, 3, 5, 5), 128, dtype=torch.uint8)
    before = now.clone()
    now[0, 1, 2, 2] = 108
    now[0, 2, 2, 3] = 148
    weights = pixel_weights(now, before, torch.full((3, 5, 5), 128 / 255), threshold=12, weight=2.0)
    assert weights.sum() == 25 + 2 * 2.0 and weights[0, 0, 2, 2] == weights[0, 0, 2, 3] == 3


def test_rare_windows_weigh_factor_times_as_much_and_the_mean_is_one():
    actions = torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1]], dtype=torch.uint8)
    weights = rare_window_weights(actions, [1], 6.0)
    assert weights.tolist() == pytest.approx([6, 1, 1, 6])
    assert rare_window_weights(actions, [0, 1], 3.0).tolist() == pytest.approx([3, 3, 1, 3])
    assert rare_window_weights(actions, [], 6.0).tolist() == [1, 1, 1, 1]


def test_inverse_share_weights():
    actions = torch.zeros(98, 3, dtype=torch.bool)
    actions[:49, 0] = True  # share (49 + 1) / 100
    actions[:24, 1] = True  # share (24 + 1) / 100; the third never occurs: 1 / 100
    weights = inverse_share_weights(actions)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights / weights[0]).tolist() == pytest.approx([1, 2, 50])
