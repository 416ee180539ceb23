"""Regions of the screen, where there is one, and what the calibration reads from its picture."""

import numpy as np
import pytest

from stages.live.calibration import BITS, CELL_PX, HEIGHT, WIDTH, number_in
from stages.live.screen import even_region, parsed_region, require_display


def test_regions():
    region = parsed_region("10, 20, 101x81")
    assert (region.left, region.top, region.width, region.height) == (10, 20, 100, 80)
    assert region.middle == (60, 60)
    for bad in ("10,20", "1,2,3x", "a,b,cxd", "1.5,2,30x30"):
        with pytest.raises(ValueError, match="LEFT,TOP,WIDTHxHEIGHT"):
            parsed_region(bad)
    with pytest.raises(ValueError, match="too small"):
        even_region(0, 0, 15, 300)


@pytest.mark.parametrize(
    ("environment", "platform", "words"),
    [
        ({}, "linux", "no display"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "linux", "Wayland"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland"}, "linux", "Wayland"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11"}, "linux", None),
        ({}, "win32", None),
        ({}, "darwin", None),
    ],
)
def test_a_missing_display_is_told_with_what_to_do(environment, platform, words):
    if words is None:
        require_display(environment, platform)
        return
    with pytest.raises(ValueError, match=words):
        require_display(environment, platform)


@pytest.mark.parametrize("number", [0, 1, 2, 1000, 2**BITS - 1])
def test_the_calibration_reads_the_number_that_its_window_shows(number):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for i in range(BITS):
        image[:, i * CELL_PX : (i + 1) * CELL_PX] = 255 * (number >> (BITS - 1 - i) & 1)
    assert number_in(image) == number
