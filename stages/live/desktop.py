"""What the desktop knows: which window is where, which one is in front, which keys are really down.

One implementation a system, with the same methods; `open_desktop` chooses. Windows are numbers that mean
something to their system only.
"""

import sys
from collections.abc import Collection
from typing import Protocol

from stages.live.screen import Region, require_display


class Desktop(Protocol):
    """Not to be shared between threads: each opens its own."""

    def window_titled(self, title: str) -> int:
        """The visible window whose title holds `title` (upper or lower case); ValueError lists the titles."""

    def window_at(self, x: int, y: int) -> int | None:
        """The window that shows the point (x, y)."""

    def region_of(self, window: int) -> Region | None:
        """Where the inside of a window is now, None when it is closed or hidden."""

    def front(self) -> int | None:
        """The window that gets the keys now."""

    def key_states(self, keys: Collection[str]) -> dict[str, bool]:
        """Whether each of `keys` (canonical names) is down; keys whose state the system does not tell are left out."""

    def close(self) -> None: ...


def open_desktop() -> Desktop:
    """This machine's desktop; ValueError with what to do when it has none."""
    require_display()
    if sys.platform == "win32":
        from stages.live.win32 import WindowsDesktop

        return WindowsDesktop()
    if sys.platform == "darwin":
        from stages.live.macos import MacDesktop

        return MacDesktop()
    from stages.live.x11 import X11Desktop

    return X11Desktop()
