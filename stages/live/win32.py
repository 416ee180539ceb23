"""The desktop under Windows, by the system's own user32.

A game that runs as administrator neither shows its keys to a program that does not nor takes any from it:
start the terminal as administrator too, or the game without.
"""

import ctypes
import sys
from collections.abc import Collection

from stages.live.desktop import Desktop
from stages.live.keyboard import key_code
from stages.live.screen import Region, even_region

ROOT_ANCESTOR = 2


class WindowsDesktop(Desktop):
    def __init__(self):
        assert sys.platform == "win32"
        from ctypes import wintypes

        self._user32, self._types = ctypes.windll.user32, wintypes
        _count_real_pixels()
        self._user32.GetForegroundWindow.restype = wintypes.HWND
        self._user32.WindowFromPoint.restype = self._user32.GetAncestor.restype = wintypes.HWND
        self._user32.WindowFromPoint.argtypes = [wintypes.POINT]

    def window_titled(self, title: str) -> int:
        titled: dict[int, str] = {}

        @ctypes.WINFUNCTYPE(ctypes.c_bool, self._types.HWND, self._types.LPARAM)
        def visit(window, _):
            name = self.title_of(window)
            if name and self._user32.IsWindowVisible(window):
                titled[window] = name
            return True

        self._user32.EnumWindows(visit, 0)
        found = [window for window, name in titled.items() if title.casefold() in name.casefold()]
        if len(found) != 1:
            names = sorted({titled[window] for window in found} or set(titled.values()))
            raise ValueError(f"{len(found)} windows are called like {title!r}; choose one of {names}")
        return found[0]

    def window_at(self, x: int, y: int) -> int | None:
        window = self._user32.WindowFromPoint(self._types.POINT(x, y))
        return self._user32.GetAncestor(window, ROOT_ANCESTOR) if window else None

    def title_of(self, window: int) -> str:
        text = ctypes.create_unicode_buffer(512)
        self._user32.GetWindowTextW(window, text, 512)
        return text.value

    def region_of(self, window: int) -> Region | None:
        if not self._user32.IsWindowVisible(window) or self._user32.IsIconic(window):
            return None
        inside, corner = self._types.RECT(), self._types.POINT(0, 0)
        self._user32.GetClientRect(window, ctypes.byref(inside))
        self._user32.ClientToScreen(window, ctypes.byref(corner))
        try:
            return even_region(corner.x, corner.y, inside.right, inside.bottom)
        except ValueError:
            return None

    def front(self) -> int | None:
        return self._user32.GetForegroundWindow() or None

    def key_states(self, keys: Collection[str]) -> dict[str, bool]:
        return {key: bool(self._user32.GetAsyncKeyState(key_code(key)) & 0x8000) for key in keys}


def _count_real_pixels() -> None:
    """Otherwise regions are in scaled px, pictures in real ones; on each monitor by its own scale, as mss has it."""
    try:
        ctypes.windll.shcore.SetProcessDpiAwareness(2)  # PROCESS_PER_MONITOR_DPI_AWARE
    except (AttributeError, OSError):  # before Windows 8.1
        ctypes.windll.user32.SetProcessDPIAware()
