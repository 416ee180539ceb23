"""Windows of frames as they might have looked, too."""

import torch

from stages.learning.augmentation import Augmentation, shifted
from stages.learning.fast.dropout import seed_dropout

NONE = {"shift_px": 0, "brightness": 0.0, "contrast": 0.0, "cutout_px": 0}


def frames() -> torch.Tensor:
    return torch.randint(0, 256, (6, 3, 1, 12, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_shift_moves_all_frames_of_a_window_and_repeats_the_edge():
    windows = frames()
    moved = shifted(windows, torch.tensor([[2, -3]] * 6))
    assert torch.equal(moved[..., 2:, :-3], windows[..., :-2, 3:])
    assert torch.equal(moved[..., 0, :-3], windows[..., 0, 3:]) and torch.equal(moved[..., 5, -1], windows[..., 3, -1])


def test_nothing_asked_for_changes_nothing():
    assert torch.equal(Augmentation(**NONE)(frames()), frames())


def test_every_shift_up_to_the_largest_happens_and_no_other():
    column = torch.arange(20, dtype=torch.uint8).expand(500, 1, 1, 12, 20)
    seed_dropout(0)
    moved = Augmentation(**NONE | {"shift_px": 2})(column)
    assert set((10 - moved[:, 0, 0, 5, 10].int()).tolist()) == {-2, -1, 0, 1, 2}


def test_light_changes_a_window_as_a_whole_within_its_bounds():
    grey = torch.full((200, 3, 1, 12, 20), 100, dtype=torch.uint8)
    seed_dropout(0)
    lit = Augmentation(**NONE | {"brightness": 0.1})(grey)
    assert all(len(window.unique()) == 1 for window in lit)
    change = lit[:, 0, 0, 0, 0].int() - 100
    assert change.min() < -20 and change.max() > 20 and change.abs().max() <= 26
    stronger = Augmentation(**NONE | {"contrast": 0.5})(frames()).float()
    assert torch.allclose(stronger.mean(dim=(1, 2, 3, 4)), frames().float().mean(dim=(1, 2, 3, 4)), atol=8)


def test_a_square_is_cut_out_of_all_frames_at_one_place():
    seed_dropout(0)
    cut = Augmentation(**NONE | {"cutout_px": 6})(frames())
    gone = cut != frames()
    assert gone.any(dim=(1, 2, 3, 4)).all()
    for window in gone:
        rows, columns = window.any(dim=(0, 1, 3)).nonzero(), window.any(dim=(0, 1, 2)).nonzero()
        assert len(rows) <= 6 and len(columns) <= 6


def test_the_same_seed_draws_the_same():
    whole = Augmentation(shift_px=3, brightness=0.2, contrast=0.2, cutout_px=4)
    seed_dropout(3)
    first = whole(frames())
    seed_dropout(3)
    assert torch.equal(whole(frames()), first) and not torch.equal(whole(frames()), first)
