"""Regions of the screen, where there is one, and what the calibration reads from its picture."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from stages.live import screen
from stages.live.calibration import BITS, CELL_PX, HEIGHT, WIDTH, number_in
from stages.live.clock import SteadyClock
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
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "Wayland"),
        ({"DISPLAY": ":9", "WAYLAND_DISPLAY": "wayland-0"}, "linux", None),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11"}, "linux", None),
        ({}, "win32", None),
        ({}, "darwin", None),
    ],
)
def test_a_missing_display_is_told_with_what_to_do(environment, platform, words, monkeypatch):
    monkeypatch.setattr(screen, "_shows_wayland", lambda name: name == ":0")
    if words is None:
        require_display(environment, platform)
        return
    with pytest.raises(ValueError, match=words):
        require_display(environment, platform)


class Server:
    """What python-xlib says of an X server with these extensions, and one monitor of this name."""

    def __init__(self, extensions, monitor):
        self.has_extension = extensions.__contains__
        shown = SimpleNamespace(outputs=[1], config_timestamp=0)
        self.screen = lambda: SimpleNamespace(root=SimpleNamespace(xrandr_get_screen_resources=lambda: shown))
        self.xrandr_get_output_info = lambda output, timestamp: SimpleNamespace(name=monitor)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server(["RANDR", "XWAYLAND"], "eDP-1"), True),
        (Server(["RANDR"], "XWAYLAND0"), True),
        (Server(["RANDR"], "screen"), False),
        (Server([], ""), False),
        (None, True),  # it does not answer
    ],
)
def test_a_display_of_its_own_is_told_from_wayland_s(monkeypatch, server, expected):
    def opened(name):
        if server is None:
            raise OSError
        return server

    error = SimpleNamespace(DisplayError=OSError, XError=OSError)
    monkeypatch.setitem(sys.modules, "Xlib", SimpleNamespace(display=SimpleNamespace(Display=opened), error=error))
    assert screen._shows_wayland.__wrapped__(":9") is expected


class Mss:
    """mss on a screen of two dots a pixel, 64x32 px, whose left half is white."""

    monitors = [{"left": -64, "top": -32, "width": 64, "height": 32}]

    def grab(self, place):
        dots = np.zeros((place["height"] * 2, place["width"] * 2, 4), np.uint8)
        dots[:, : place["width"]] = 255
        return SimpleNamespace(raw=dots.tobytes(), width=dots.shape[1], height=dots.shape[0])


def test_a_screen_with_several_dots_a_pixel_gives_pictures_of_the_region_s_size(monkeypatch):
    monkeypatch.setattr(screen, "opened_screen", lambda: (Mss(), RuntimeError))
    region = parsed_region("-64,-32,64x32")
    image, _ = screen.Camera(region, SteadyClock()).picture()
    assert image.shape == (32, 64, 3) and image[:, :32].min() == 255 and image[:, 32:].max() == 0
    with pytest.raises(ValueError, match="-63,-32,64x32 does not lie on the screen, which is 64x32 from -64,-32"):
        screen.Camera(parsed_region("-63,-32,64x32"), SteadyClock())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Only screens of color depth 24 or 32 are supported, not 16", "set the display to 24 bits a pixel"),
        ("Unable to open display", "is DISPLAY right"),
    ],
)
def test_a_screen_that_mss_cannot_read_is_told_with_what_to_do(monkeypatch, words, told):
    class Refused(Exception):
        pass

    def refuse():
        raise Refused(words)

    monkeypatch.setitem(sys.modules, "mss", SimpleNamespace(MSS=refuse, ScreenShotError=Refused))
    monkeypatch.setattr(screen, "require_display", lambda: None)
    with pytest.raises(ValueError, match=f"{words}.*{told}"):
        screen.monitor_region(1)


@pytest.mark.parametrize("number", [0, 1, 2, 1000, 2**BITS - 1])
def test_the_calibration_reads_the_number_that_its_window_shows(number):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for i in range(BITS):
        image[:, i * CELL_PX : (i + 1) * CELL_PX] = 255 * (number >> (BITS - 1 - i) & 1)
    assert number_in(image) == number
