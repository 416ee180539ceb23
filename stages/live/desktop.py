"""What the desktop knows: which window is where, which one is in front, which keys are really down.

One implementation a system; `open_desktop` chooses. Windows are numbers that mean
something to their system only.
"""

import sys
from collections.abc import Collection
from typing import Protocol

from stages.live.screen import INSTALL, Region, require_display


class Desktop(Protocol):
    """Not to be shared between threads: each opens its own."""

    def window_titled(self, title: str) -> int:
        """The visible window whose title holds `title` (upper or lower case); ValueError lists the titles."""

    def window_at(self, x: int, y: int) -> int | None:
        """The window that shows the point (x, y)."""

    def title_of(self, window: int) -> str:
        """What a window is called; empty when it has no name, or is closed."""

    def region_of(self, window: int) -> Region | None:
        """Where the inside of a window is now, None when it is closed or hidden."""

    def front(self) -> int | None:
        """The window that gets the keys now."""

    def key_states(self, keys: Collection[str]) -> dict[str, bool]:
        """Whether each of `keys` (canonical names) is down; keys whose state the system does not tell are left out."""

    def lacking(self, keys: Collection[str]) -> list[str]:
        """Those of `keys` that no key of this keyboard makes; none where the system does not tell."""
        return []

    def close(self) -> None:
        """Where something was opened."""


def require_made(desktop: Desktop, keys: Collection[str]) -> None:
    """ValueError for a key that no key of this keyboard makes: it cannot be pressed."""
    if lacking := sorted(desktop.lacking(set(keys))):
        raise ValueError(f"{lacking} cannot be pressed: this keyboard's layout has no such key; choose another")


def open_desktop() -> Desktop:
    """This machine's desktop; ValueError with what to do when it has none, or its library is not installed."""
    require_display()
    try:
        return _desktop_of(sys.platform)
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing; {INSTALL}") from None


def _desktop_of(platform: str) -> Desktop:
    if platform == "win32":
        from stages.live.win32 import WindowsDesktop

        return WindowsDesktop()
    if platform == "darwin":
        from stages.live.macos import MacDesktop

        return MacDesktop()
    from stages.live.x11 import X11Desktop

    return X11Desktop()
