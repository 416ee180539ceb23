"""The calibration on a real screen: presses and releases, each shown by the window and heard by the recorder."""

import numpy as np
import pytest

from stages.live.calibration import calibrate, calibration_lines


@pytest.mark.parametrize("fps", [10, 30])
def test_releases_are_shown_and_measured_like_presses(display, fps):
    found = calibrate(fps, 30)
    print(*calibration_lines(found), sep="\n")
    assert (found.lost, found.invented) == (0, 0)
    assert len(found.key_error) == len(found.release_key_error) == 30
    assert len(found.effect) == len(found.release_effect) == 30
    assert min(len(found.picture_error), len(found.release_picture_error)) >= 15  # both are seen
    assert np.median(np.abs(found.release_key_error)) <= 5 and np.median(found.release_picture_error) <= 5
    assert np.percentile(found.release_picture_error, 99) <= 20
    assert found.release_effect.min() > 0
