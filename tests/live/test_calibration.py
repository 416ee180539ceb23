"""The calibration on a real screen: presses and releases, each shown by the window and heard by the recorder."""

import numpy as np
import pytest

from stages.live.calibration import calibrate, calibration_lines


@pytest.mark.parametrize("fps", [10, 30])
def test_a_frame_shows_what_was_on_the_screen_at_its_time(display, fps):
    found = calibrate(fps, 30)
    print(*calibration_lines(found), sep="\n")
    assert (found.lost, found.invented) == (0, 0)
    assert len(found.at_presses.key) == len(found.at_releases.key) == 30
    assert len(found.at_presses.effect) == len(found.at_releases.effect) == 30
    assert min(len(found.at_presses.picture), len(found.at_releases.picture)) >= 15  # both are seen
    for key_error in (found.at_presses.key, found.at_releases.key):
        assert np.median(np.abs(key_error)) <= 5
    for picture_error in (found.at_presses.picture, found.at_releases.picture):
        assert np.median(picture_error) <= 5 and np.percentile(picture_error, 99) <= 20
    assert found.offset_low <= 5 and found.offset_high >= -5
    assert found.at_releases.effect.min() > 0
