"""Windows of frames as they might have looked, too."""

import torch

from stages.learning.augmentation import Augmentation, flipped_where, jittered, shifted, zoomed
from stages.learning.fast.dropout import seed_dropout, uniform

KEYS = torch.tensor([[True, False, False]] * 6)
NONE = {
    "shift": 0.0, "brightness": 0.0, "contrast": 0.0, "color": 0.0, "zoom": 0.0, "frame_jitter": False, "cutout_px": 0,
    "background": torch.zeros(1, 12, 20),
}  # fmt: skip


def frames() -> torch.Tensor:
    return torch.randint(0, 256, (6, 3, 1, 12, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_shift_moves_all_frames_of_a_window_and_repeats_the_edge():
    windows = frames()
    moved = shifted(windows, torch.tensor([[2, -3]] * 6))
    assert torch.equal(moved[..., 2:, :-3], windows[..., :-2, 3:])
    assert torch.equal(moved[..., 0, :-3], windows[..., 0, 3:]) and torch.equal(moved[..., 5, -1], windows[..., 3, -1])


def test_only_the_named_windows_are_mirrored():
    windows, which = frames(), torch.tensor([True, False, False, True, True, False])
    mirrored = flipped_where(windows, which)
    assert torch.equal(mirrored[which], windows[which].flip(-1)) and torch.equal(mirrored[~which], windows[~which])
    assert torch.equal(windows, frames())  # the bank's own are left alone


def test_nothing_asked_for_changes_nothing():
    assert torch.equal(Augmentation(**NONE)(frames(), KEYS)[0], frames())


def test_every_shift_up_to_the_largest_happens_and_no_other():
    column = torch.arange(20, dtype=torch.uint8).expand(500, 1, 1, 12, 20)
    seed_dropout(0)
    moved = Augmentation(**NONE | {"shift": 0.1})(column, KEYS)[0]
    assert set((10 - moved[:, 0, 0, 5, 10].int()).tolist()) == {-2, -1, 0, 1, 2}


def test_what_stands_still_is_not_shifted():
    background = torch.randint(0, 200, (1, 12, 20), generator=torch.Generator().manual_seed(1))
    windows = background.to(torch.uint8).repeat(20, 3, 1, 1, 1)
    windows[..., 5, 10] += 50  # a thing before it
    seed_dropout(0)
    moved = Augmentation(**NONE | {"shift": 0.1, "background": background / 255})(windows, KEYS)[0]
    changes = moved.int() - background
    assert ((changes == 0).sum(dim=(2, 3, 4)) == 12 * 20 - 1).all() and (changes.sum(dim=(2, 3, 4)) == 50).all()
    assert len({tuple(change[0].nonzero()[0].tolist()) for change in changes}) > 5


def test_light_changes_a_window_as_a_whole_within_its_bounds():
    grey = torch.full((200, 3, 1, 12, 20), 100, dtype=torch.uint8)
    seed_dropout(0)
    lit = Augmentation(**NONE | {"brightness": 0.1})(grey, KEYS)[0]
    assert all(len(window.unique()) == 1 for window in lit)
    change = lit[:, 0, 0, 0, 0].int() - 100
    assert change.min() < -20 and change.max() > 20 and change.abs().max() <= 26
    stronger = Augmentation(**NONE | {"contrast": 0.5})(frames(), KEYS)[0].float()
    assert torch.allclose(stronger.mean(dim=(1, 2, 3, 4)), frames().float().mean(dim=(1, 2, 3, 4)), atol=8)


def test_colours_change_each_by_itself_and_alike_in_all_frames():
    rgb = torch.full((50, 2, 3, 12, 20), 100, dtype=torch.uint8)
    seed_dropout(0)
    tinted = Augmentation(**NONE | {"color": 0.2})(rgb, KEYS)[0]
    values = tinted[:, :, :, 0, 0]
    assert torch.equal(values[:, 0], values[:, 1]) and (tinted == values[..., None, None]).all()
    assert values.min() >= 80 and values.max() <= 120 and (values[:, 0, 0] != values[:, 0, 1]).float().mean() > 0.8


def test_nearer_and_farther_the_middle_stays():
    windows = torch.zeros(2, 1, 1, 13, 21, dtype=torch.uint8)
    windows[..., 6, 10], windows[..., 6, 14] = 200, 100
    near = zoomed(windows, torch.tensor([1.0, 2.0]))
    assert torch.equal(near[0], windows[0])
    assert near[1, 0, 0, 6, 10] == 200 and near[1, 0, 0, 6, 18] == 100 and near[1, 0, 0, 6, 14] < 10


def test_what_stands_still_is_seen_nearer_as_a_whole_where_things_are_shifted_too():
    background = torch.randint(0, 200, (1, 12, 20), generator=torch.Generator().manual_seed(1))
    windows = background.to(torch.uint8).repeat(20, 3, 1, 1, 1)
    seed_dropout(0)
    shifting = Augmentation(**NONE | {"zoom": 0.2, "shift": 0.2, "background": background / 255})(windows, KEYS)[0]
    seed_dropout(0)
    uniform(20, 2)  # what the shifts were drawn with
    alone = Augmentation(**NONE | {"zoom": 0.2})(windows, KEYS)[0]
    assert torch.equal(shifting, alone) and not torch.equal(alone, windows)


def test_the_past_comes_earlier_or_later_and_the_present_stays():
    windows = torch.arange(4).expand(3, 4).reshape(3, 4, 1, 1, 1)
    assert jittered(windows, torch.tensor([-1, 0, 1])).flatten(1).tolist() == [[0, 0, 1, 3], [0, 1, 2, 3], [1, 2, 3, 3]]


def test_a_square_is_cut_out_of_all_frames_at_one_place():
    seed_dropout(0)
    cut = Augmentation(**NONE | {"cutout_px": 6})(frames(), KEYS)[0]
    gone = cut != frames()
    assert gone.any(dim=(1, 2, 3, 4)).all()
    for window in gone:
        rows, columns = window.any(dim=(0, 1, 3)).nonzero(), window.any(dim=(0, 1, 2)).nonzero()
        assert len(rows) <= 6 and len(columns) <= 6


def test_the_same_seed_draws_the_same():
    whole = Augmentation(**NONE | {"shift": 0.15, "brightness": 0.2, "contrast": 0.2, "cutout_px": 4})
    seed_dropout(3)
    first = whole(frames(), KEYS)[0]
    seed_dropout(3)
    assert torch.equal(whole(frames(), KEYS)[0], first) and not torch.equal(whole(frames(), KEYS)[0], first)


def test_in_a_mirror_picture_and_keys_swap_together_in_about_half_of_the_windows():
    windows = frames().repeat(50, 1, 1, 1, 1)
    keys = torch.tensor([[True, False, True]] * len(windows))
    seed_dropout(0)
    seen, held = Augmentation(**NONE, mirrored=torch.tensor([1, 0, 2]))(windows, keys)
    flipped = held[:, 1]
    assert torch.equal(held, torch.where(flipped[:, None], torch.tensor([False, True, True]), keys))
    assert torch.equal(seen[flipped], windows[flipped].flip(-1)) and torch.equal(seen[~flipped], windows[~flipped])
    assert 0.4 < flipped.float().mean() < 0.6
