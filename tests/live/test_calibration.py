"""The calibration on a real screen: presses and releases, each shown by the window and heard by the recorder."""

import numpy as np
import pytest

from stages.live.calibration import calibrate, calibration_lines


@pytest.mark.parametrize("fps", [10, 30])
def test_a_frame_shows_what_was_on_the_screen_at_its_time(display, fps):
    found = calibrate(fps, 30)
    print(*calibration_lines(found), sep="\n")
    assert (found.lost, found.invented) == (0, 0)
    assert len(found.key_error) == len(found.release_key_error) == 30
    assert len(found.effect) == len(found.release_effect) == 30
    assert min(len(found.picture_error), len(found.release_picture_error)) >= 15  # both are seen
    for key_error in (found.key_error, found.release_key_error):
        assert np.median(np.abs(key_error)) <= 5
    for picture_error in (found.picture_error, found.release_picture_error):
        assert np.median(picture_error) <= 5 and np.percentile(picture_error, 99) <= 20
    assert found.offset_low <= 5 and found.offset_high >= -5
    assert found.release_effect.min() > 0
