import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from stages.evaluation import probe
from stages.evaluation.intervals import UNDEFINED
from stages.evaluation.probe import (
    detection_ap,
    fit_object_probe,
    held_back,
    location_error_px,
    object_state,
    probe_rows,
    raw_features,
    raw_size,
)


def seen_objects(frames=600, features=5, episodes=6, seed=0):
    """Features that tell in view by the first, x by the second; the rest is noise."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(frames, features)).astype(np.float32)
    in_view = (values[:, 0] + 0.3 * draw.normal(size=frames) > 0).astype(float)
    x_px = np.where(in_view > 0, 160 + 50 * values[:, 1] + 3 * draw.normal(size=frames), np.nan)
    return values, in_view, x_px, np.arange(frames) * episodes // frames


def test_the_probe_finds_what_is_there_on_frames_it_has_not_seen():
    fitted = fit_object_probe(*seen_objects(seed=0), seed=0)
    features, in_view, x_px, episode = seen_objects(seed=1)
    ap = detection_ap(in_view, fitted.detector.predict(features), episode, resamples=100, seed=0)
    error = location_error_px(x_px, fitted.locator.predict(features), episode, resamples=100, seed=0)
    assert 0.9 < ap.low <= ap.value <= ap.high <= 1
    assert error.value == pytest.approx(3 * np.sqrt(2 / np.pi), abs=0.4)  # the mean |deviation| of the noise
    assert error.low < error.value < error.high


def test_the_probe_finds_nothing_in_noise():
    _, in_view, x_px, episode = seen_objects()
    noise = np.random.default_rng(5).normal(size=(600, 40)).astype(np.float32)
    fitted = fit_object_probe(noise[:300], in_view[:300], x_px[:300], episode[:300], seed=0)
    ap = detection_ap(in_view[300:], fitted.detector.predict(noise[300:]), episode[300:] - 3, resamples=10, seed=0)
    assert ap.value == pytest.approx(np.mean(in_view[300:]), abs=0.12)
    assert fitted.detector.penalty == fitted.locator.penalty == max(probe.PENALTIES)


@pytest.mark.parametrize("frames", [200, 12])
def test_ridge_is_that_of_scikit_learn_with_more_and_with_fewer_frames_than_features(frames):
    draw = np.random.default_rng(0)
    features, target = draw.normal(size=(frames, 20)), draw.normal(size=frames) + 7
    for penalty, (weights, bias) in zip((0.01, 1.0), probe._ridge(features, target, (0.01, 1.0)), strict=True):
        expected = Ridge(alpha=penalty * frames).fit(features, target)
        assert weights == pytest.approx(expected.coef_, abs=1e-6)
        assert bias == pytest.approx(expected.intercept_, abs=1e-6)


def test_logistic_regression_is_that_of_scikit_learn():
    features, in_view, _, _ = seen_objects(frames=200)
    features = features.astype(np.float64)
    for penalty, (weights, bias) in zip((0.01, 1.0), probe._logistic(features, in_view, (0.01, 1.0)), strict=True):
        expected = LogisticRegression(C=1 / (penalty * len(features)), tol=1e-8).fit(features, in_view)
        assert weights == pytest.approx(expected.coef_[0], abs=2e-3)
        assert bias == pytest.approx(expected.intercept_[0], abs=2e-3)


def test_without_both_cases_there_is_no_detector_and_without_objects_no_locator():
    features, in_view, x_px, episode = seen_objects()
    never = fit_object_probe(features, np.zeros(600), np.full(600, np.nan), episode, seed=0)
    assert never.detector is None and never.locator is None
    always = fit_object_probe(features, np.ones(600), np.nan_to_num(x_px), episode, seed=0)
    assert always.detector is None and always.locator is not None
    assert detection_ap(np.zeros(600), features[:, 0], episode, resamples=5, seed=0) is UNDEFINED
    nowhere = location_error_px(np.full(600, np.nan), features[:, 0], episode, resamples=5, seed=0)
    assert np.isnan(nowhere).all()


def test_frames_of_unknown_state_are_left_out():
    features, in_view, x_px, episode = seen_objects()
    score = features[:, 0].astype(float)
    known = detection_ap(in_view[100:], score[100:], episode[100:] - 1, resamples=5, seed=0)
    in_view[:100], x_px[:100] = np.nan, np.nan
    score[:100] = 99.0
    assert detection_ap(in_view, score, episode, resamples=5, seed=0).value == known.value
    full = fit_object_probe(features, in_view, x_px, episode, seed=0)
    part = fit_object_probe(features[100:], in_view[100:], x_px[100:], episode[100:], seed=0)
    assert full.detector.predict(features) == pytest.approx(part.detector.predict(features), abs=1e-5)


def test_held_back_episodes_are_whole_and_of_a_single_episode_it_is_the_end():
    episode = np.repeat(np.arange(10), 7)
    held = held_back(episode, seed=3).reshape(10, 7)
    assert held.all(axis=1).sum() == 2 and held.any(axis=1).sum() == 2
    assert np.array_equal(held_back(episode, seed=3), held.ravel())
    assert held_back(np.zeros(10, int), seed=0).tolist() == [False] * 8 + [True] * 2


def test_state_columns_are_looked_up_by_name_and_x_is_undefined_out_of_view():
    state = np.array([[5, 1, 120], [6, 0, 33], [7, np.nan, 44]], np.float32)
    in_view, x_px = object_state(state, ["health", "enemy_in_view", "enemy_x_px"], "enemy")
    assert in_view[:2].tolist() == [1, 0] and np.isnan(in_view[2])
    assert x_px[0] == 120 and np.isnan(x_px[1:]).all()


def test_raw_features_are_the_shrunken_frame():
    frames = np.full((2, 1, 72, 128), 51, np.uint8)
    features = raw_features(frames)
    assert features.shape == (2, 27 * 48) and features == pytest.approx(0.2)
    assert raw_size((3, 160, 210)) == raw_features(np.zeros((1, 3, 160, 210), np.uint8)).shape[1]
    small = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    assert raw_features(small) * 255 == pytest.approx(np.arange(6)[None])


def test_probe_rows_are_spread_evenly_and_fewer_for_wide_features():
    assert probe_rows(100, 10).tolist() == list(range(100))
    rows = probe_rows(20_000, 128)
    assert len(rows) == 8192 and rows[0] == 0 and rows[-1] >= 19_997 and set(np.diff(rows)) == {2, 3}
    assert len(probe_rows(20_000, 2**14)) == 1024


def test_a_constant_feature_does_no_harm():
    features, in_view, x_px, episode = seen_objects()
    features[:, 3] = 7
    fitted = fit_object_probe(features, in_view, x_px, episode, seed=0)
    assert np.isfinite(fitted.detector.predict(features)).all()
