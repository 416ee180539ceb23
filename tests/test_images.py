import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stages.evaluation.images import (
    image_scores,
    image_sums,
    moving_pixels,
    psnr_db,
    squared_error,
    ssim_map,
)


def noisy_pair(count=3, channels=1, height=24, width=31, noise=20, seed=0):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, channels, height, width)).astype(np.uint8)
    others = np.clip(images + draw.normal(0, noise, images.shape), 0, 255).astype(np.uint8)
    return images, others


def nothing_moves(images):
    return np.zeros((len(images), *images.shape[2:]), bool)


def test_psnr_by_hand_and_as_scikit_image_has_it():
    assert psnr_db(255.0**2) == pytest.approx(0)
    assert psnr_db(1.0) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(0.0) == np.inf and np.isnan(psnr_db(np.nan))
    images, others = noisy_pair(count=1)
    expected = peak_signal_noise_ratio(images[0], others[0], data_range=255)
    assert psnr_db(squared_error(images, others).mean()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("noise", [1, 20, 90])
@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scikit_image(noise, channels):
    images, others = noisy_pair(channels=channels, noise=noise)
    for ours, image, other in zip(ssim_map(images, others), images, others, strict=True):
        expected, full = structural_similarity(image, other, channel_axis=0, data_range=255, full=True)
        assert ours.mean() == pytest.approx(expected, abs=1e-4)
        assert np.abs(ours - full.mean(axis=0)[3:-3, 3:-3]).max() < 1e-3


def test_ssim_of_flat_dark_pictures_is_that_of_scikit_image():
    images = np.full((1, 1, 16, 16), 3, np.uint8)
    others = np.full((1, 1, 16, 16), 9, np.uint8)
    expected = structural_similarity(images[0, 0], others[0, 0], data_range=255)
    assert ssim_map(images, others).mean() == pytest.approx(expected, abs=1e-3)


def test_moving_pixels_start_at_the_threshold_in_any_channel_and_do_not_wrap_round():
    before = np.full((1, 3, 1, 4), 250, np.uint8)
    now = before.copy()
    now[0, 0, 0, 1] -= 11
    now[0, 1, 0, 2] -= 12
    now[0, 2, 0, 3] = 5
    assert moving_pixels(now, before, 12).tolist() == [[[False, False, True, True]]]
    assert moving_pixels(before, now, 12).tolist() == [[[False, False, True, True]]]


def test_moving_scores_see_the_moving_pixels_alone():
    images = np.full((1, 1, 20, 20), 100, np.uint8)
    others = images.copy()
    others[0, 0, 10, 10] = 110
    moving = nothing_moves(images)
    moving[0, 10, 10:12] = True
    sums = image_sums(images, others, moving)
    assert sums["error"] == 100 and sums["pixels"] == 400
    assert sums["moving_error"] == 100 and sums["moving_pixels"] == 2
    scores = image_scores(sums, resamples=5, seed=0)
    assert scores["psnr_db"].value == pytest.approx(psnr_db(100 / 400))
    assert scores["moving_psnr_db"].value == pytest.approx(psnr_db(100 / 2))
    assert scores["moving_ssim"].value == pytest.approx(ssim_map(images, others)[0, 7, 7:9].mean(), rel=1e-5)
    assert scores["moving_ssim"].value < scores["ssim"].value < 1


def test_identity_is_perfect_and_without_motion_moving_scores_are_undefined():
    images, _ = noisy_pair()
    scores = image_scores(image_sums(images, images, nothing_moves(images)), resamples=5, seed=0)
    assert scores["psnr_db"].value == np.inf and scores["ssim"].value == pytest.approx(1)
    assert np.isnan(scores["moving_psnr_db"].value) and np.isnan(scores["moving_ssim"].value)


def test_scores_are_pooled_over_episodes_with_an_interval_around_them():
    images, others = noisy_pair(count=8)
    sums = image_sums(images, others, nothing_moves(images))
    score = image_scores(sums, resamples=200, seed=0)["psnr_db"]
    assert score.value == pytest.approx(psnr_db(squared_error(images, others).mean(dtype=np.float64)))
    assert score.low < score.value < score.high


def test_wrong_pictures_are_named():
    images, others = noisy_pair()
    with pytest.raises(ValueError, match=r"uint8 \[N, C, H, W\], found float32"):
        squared_error(images.astype(np.float32), others)
    with pytest.raises(ValueError, match="one shape"):
        squared_error(images, others[:1])
    with pytest.raises(ValueError, match="at least 7x7"):
        ssim_map(images[..., :6], others[..., :6])
