"""The desktop under macOS, by Quartz (which pynput brings along). A window is its program: its process id.

macOS tells which program is in front, not which of its windows.
"""

from collections.abc import Collection

from stages.live.desktop import Desktop
from stages.live.keyboard import key_code
from stages.live.screen import Region, even_region

NORMAL_LAYER = 0


class MacDesktop(Desktop):
    def __init__(self):
        import Quartz

        self._quartz = Quartz

    def _windows(self) -> list[dict]:
        """Front to back, as Quartz lists them."""
        shown = self._quartz.kCGWindowListOptionOnScreenOnly | self._quartz.kCGWindowListExcludeDesktopElements
        listed = self._quartz.CGWindowListCopyWindowInfo(shown, self._quartz.kCGNullWindowID)
        return [window for window in listed if window.get("kCGWindowLayer") == NORMAL_LAYER]

    def window_titled(self, title: str) -> int:
        names = {window["kCGWindowOwnerPID"]: _name(window) for window in reversed(self._windows())}
        found = [owner for owner, name in names.items() if title.casefold() in name.casefold()]
        if len(found) != 1:
            raise ValueError(f"{len(found)} programs are called like {title!r}; there are {sorted(names.values())}")
        return found[0]

    def window_at(self, x: int, y: int) -> int | None:
        for window in self._windows():
            box = window["kCGWindowBounds"]
            if 0 <= x - box["X"] < box["Width"] and 0 <= y - box["Y"] < box["Height"]:
                return window["kCGWindowOwnerPID"]
        return None

    def title_of(self, window: int) -> str:
        return next((_name(found) for found in self._windows() if found["kCGWindowOwnerPID"] == window), "")

    def region_of(self, window: int) -> Region | None:
        for found in self._windows():
            if found["kCGWindowOwnerPID"] == window:
                box = found["kCGWindowBounds"]
                return even_region(*(int(box[side]) for side in ("X", "Y", "Width", "Height")))
        return None

    def front(self) -> int | None:
        windows = self._windows()
        return windows[0]["kCGWindowOwnerPID"] if windows else None

    def key_states(self, keys: Collection[str]) -> dict[str, bool]:
        source = self._quartz.kCGEventSourceStateCombinedSessionState
        known = {key: code for key in keys if (code := key_code(key)) is not None}
        return {key: bool(self._quartz.CGEventSourceKeyState(source, code)) for key, code in known.items()}


def _name(window: dict) -> str:
    return f"{window.get('kCGWindowOwnerName', '')} {window.get('kCGWindowName', '')}"
