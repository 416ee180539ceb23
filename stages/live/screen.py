"""Pictures of the screen, by mss. The only module that asks the screen for pixels."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

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
    """ValueError with what to do where no program can see the screen: Wayland, or no display at all."""
    if not platform.startswith("linux"):
        return
    if environment.get("WAYLAND_DISPLAY") or environment.get("XDG_SESSION_TYPE") == "wayland":
        raise ValueError(WAYLAND)
    if not environment.get("DISPLAY"):
        raise ValueError(NO_DISPLAY)


def _mss():
    """The library that takes pictures of the screen; ValueError with what to do when it or the display is missing."""
    require_display()
    try:
        import mss
    except ImportError:
        raise ValueError(f"mss is missing; {INSTALL}") from None
    return mss


class Camera(AbstractContextManager):
    """Takes pictures of one region. Use it in one thread, as a context manager."""

    def __init__(self, region: Region, clock: SteadyClock):
        """ValueError when there is no display or the region does not lie on the screen."""
        mss = _mss()
        self.region, self._clock, self._failed = region, clock, mss.ScreenShotError
        try:
            self._screen = mss.MSS()
        except mss.ScreenShotError as error:
            raise ValueError(f"the screen cannot be read ({error}): is DISPLAY right, is this user allowed?") from None
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
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), t

    def __exit__(self, kind, error, traceback) -> None:
        self._screen.close()


def monitor_region(number: int) -> Region:
    """A whole monitor, counted from 1; ValueError lists the monitors."""
    with _mss().MSS() as screen:
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
