"""Pictures of the screen, by mss. The only module that asks the screen for pixels."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from functools import lru_cache

import cv2
import numpy as np

from stages.live.clock import SteadyClock

INSTALL = "install what screen and keyboard need: make live (or: pip install --no-deps -r requirements-live.lock)"
WAYLAND = (
    "this desktop runs on Wayland, which lets no program see the screen or the keys of another one; "
    'log out, choose the session "... on Xorg" (or X11) at the login screen, and start again'
)
NO_DISPLAY = (
    "there is no display here (DISPLAY is not set): start this in a terminal on the desktop where the game runs, "
    "or set DISPLAY to it; over ssh there is none"
)
COLOURS = (
    "set the display to 24 bits a pixel and start again (xorg.conf: DefaultDepth 24; Xvfb: -screen 0 1280x800x24; "
    "a remote desktop: true colour)"
)


@dataclass(frozen=True)
class Region:
    """A rectangle of the screen in px; width and height are even, as video needs them."""

    left: int
    top: int
    width: int
    height: int

    @property
    def middle(self) -> tuple[int, int]:
        return self.left + self.width // 2, self.top + self.height // 2


def even_region(left: int, top: int, width: int, height: int) -> Region:
    """The region with an odd last column or row left off; ValueError when nothing to see is left."""
    if width < 16 or height < 16:
        raise ValueError(f"{width}x{height} px is too small a region; expected at least 16x16")
    return Region(left, top, width - width % 2, height - height % 2)


def parsed_region(text: str) -> Region:
    """`LEFT,TOP,WIDTHxHEIGHT`, for example 100,80,1280x720; ValueError for anything else."""
    found = re.fullmatch(r"(-?\d+),(-?\d+),(\d+)x(\d+)", text.replace(" ", ""))
    if not found:
        raise ValueError(f"region {text!r} is not LEFT,TOP,WIDTHxHEIGHT, for example 100,80,1280x720")
    return even_region(*map(int, found.groups()))


def require_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> None:
    """ValueError with what to do where no program can see the screen: Wayland, or no display at all.

    A display that is no part of the Wayland session (Xephyr, Xvfb, a second Xorg) can be seen from inside one.
    """
    if not platform.startswith("linux"):
        return
    display = environment.get("DISPLAY", "")
    if environment.get("WAYLAND_DISPLAY") or environment.get("XDG_SESSION_TYPE") == "wayland":
        if not display or _shows_wayland(display):
            raise ValueError(WAYLAND)
    if not display:
        raise ValueError(NO_DISPLAY)


@lru_cache
def _shows_wayland(display_name: str) -> bool:
    """Whether an X display is Xwayland's, which knows its own windows only; True where nobody can ask it.

    By its extension XWAYLAND (since Xwayland 23.1), or what it calls its monitors.
    """
    try:
        from Xlib import display, error
    except ImportError:
        return True
    try:
        with closing(display.Display(display_name)) as server:
            if server.has_extension("XWAYLAND"):
                return True
            if not server.has_extension("RANDR"):
                return False
            shown = server.screen().root.xrandr_get_screen_resources()
            names = [server.xrandr_get_output_info(each, shown.config_timestamp).name for each in shown.outputs]
    except (error.DisplayError, error.XError, OSError):
        return True
    return any(str(name).startswith("XWAYLAND") for name in names)


class Camera(AbstractContextManager):
    """Takes pictures of one region. Use it in one thread, as a context manager."""

    def __init__(self, region: Region, clock: SteadyClock):
        """ValueError when there is no display or the region does not lie on the screen."""
        self.region, self._clock = region, clock
        self._screen, self._failed = opened_screen()
        whole = self._screen.monitors[0]
        if not _inside(region, whole):
            raise ValueError(
                f"{_words(region)} does not lie on the screen, "
                f"which is {whole['width']}x{whole['height']} from {whole['left']},{whole['top']}"
            )

    def picture(self) -> tuple[np.ndarray, float]:
        """The region now, uint8 BGR [H, W, 3], and when it was taken, s: the moment before the screen was asked.

        Measured by `understudy doctor --calibrate`: the server answers within a fraction of the copying time, so
        the beginning of a grab is nearer to what the picture shows than its end. ValueError when there is none: the
        screen has become smaller, or its server is gone.
        """
        t = self._clock.now()
        try:
            shot = self._screen.grab(asdict(self.region))
        except self._failed as error:
            raise ValueError(
                f"no picture can be taken any more ({error}): does {_words(self.region)} still lie on the screen?"
            ) from None
        image = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        size = (self.region.width, self.region.height)
        if (shot.width, shot.height) != size:  # a screen with several dots a pixel (Retina) may give all of them
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), t

    def __exit__(self, kind, error, traceback) -> None:
        self._screen.close()


def opened_screen():
    """mss on this display, and the class of its errors; ValueError with what to do where it cannot be read."""
    require_display()
    try:
        import mss
    except ImportError:
        raise ValueError(f"mss is missing; {INSTALL}") from None
    try:
        return mss.MSS(), mss.ScreenShotError
    except mss.ScreenShotError as error:
        todo = COLOURS if "depth" in str(error) or "bpp" in str(error) else "is DISPLAY right, is this user allowed?"
        raise ValueError(f"the screen cannot be read ({error}): {todo}") from None


def monitor_region(number: int) -> Region:
    """A whole monitor, counted from 1; ValueError lists the monitors."""
    screen, _ = opened_screen()
    with screen:
        monitors = screen.monitors[1:]
    if not 1 <= number <= len(monitors):
        sizes = ", ".join(f"{n}: {m['width']}x{m['height']}" for n, m in enumerate(monitors, start=1))
        raise ValueError(f"there is no monitor {number}; found {sizes or 'none'}")
    chosen = monitors[number - 1]
    return even_region(chosen["left"], chosen["top"], chosen["width"], chosen["height"])


def _words(region: Region) -> str:
    return f"the region {region.left},{region.top},{region.width}x{region.height}"


def _inside(region: Region, whole: Mapping[str, int]) -> bool:
    return (
        whole["left"] <= region.left
        and whole["top"] <= region.top
        and region.left + region.width <= whole["left"] + whole["width"]
        and region.top + region.height <= whole["top"] + whole["height"]
    )
