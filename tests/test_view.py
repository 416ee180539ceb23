"""Does the view move? Told from pictures, as for games seen in first person, from a fixed place, and scrolling."""

import numpy as np
import pytest

from stages.episodes.store import EpisodeInfo
from stages.episodes.view import view_moves


class Store:
    """Frames [N, C, H, W] of training episodes of these lengths, as an EpisodeStore gives them."""

    def __init__(self, frames, lengths):
        self.parts = dict(enumerate(np.split(frames, np.cumsum(lengths)[:-1])))

    def episodes(self, split):
        assert split == "train"
        return [EpisodeInfo(name, "s", name, split, len(part), None, None) for name, part in self.parts.items()]

    def read(self, name, array, start, stop):
        return self.parts[name][start:stop]


def wall(width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 90, (1, 36, width), dtype=np.uint8)


@pytest.mark.parametrize(
    ("speed", "share", "moves"),
    [(3, 1.0, True), (3, 0.4, True), (3, 0.2, False), (0, 1.0, False)],  # px a frame, in so many of the frames
)
def test_a_turning_view_changes_everywhere_often_enough(speed, share, moves):
    at = np.cumsum(speed * (np.arange(60) % 10 < 10 * share))
    frames = np.stack([wall(400)[..., x : x + 64] for x in at])
    assert view_moves(Store(frames, [60])) is moves


def test_small_things_before_a_still_view_and_the_noise_of_a_video_do_not_count():
    frames = np.repeat(wall(64)[None], 60, axis=0)
    noise = np.random.default_rng(1).integers(-2, 3, frames.shape)
    frames = (frames + noise).astype(np.uint8)
    for number, frame in enumerate(frames):
        frame[0, 20:23, number : number + 3] = 255
    assert not view_moves(Store(frames, [60]))


def test_the_cut_between_episodes_is_no_movement():
    frames = np.stack([np.full((1, 36, 64), 200 * (number % 2), np.uint8) for number in range(20)])
    assert view_moves(Store(frames, [20])) and not view_moves(Store(frames, [1] * 20))


def test_a_picture_smaller_than_the_cells():
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.full((1, 1, 4, 5), 20, np.uint8)
    assert view_moves(Store(frames, [10]))
