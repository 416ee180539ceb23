"""A plain X window that takes keys and writes down which it got."""

from Xlib import X, display


class PlainWindow:
    """At (x, y) of the screen, in px; a context manager."""

    def __init__(self, x: int, y: int, width: int, height: int, name: str = "plain"):
        self._display = display.Display()
        root = self._display.screen().root
        mask = X.KeyPressMask | X.KeyReleaseMask | X.StructureNotifyMask
        self._window = root.create_window(x, y, width, height, 0, X.CopyFromParent, event_mask=mask)
        self._window.set_wm_name(name)

    def __enter__(self) -> "PlainWindow":
        self._window.map()
        self._display.sync()
        while self._display.next_event().type != X.MapNotify:
            pass
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._display.close()

    @property
    def id(self) -> int:
        return self._window.id

    def take_focus(self) -> None:
        """What a click on it would do."""
        self._window.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self._display.sync()

    def key_presses(self) -> int:
        """How many KeyPress events it has got since it was last asked."""
        self._display.sync()
        count = 0
        while self._display.pending_events():
            count += self._display.next_event().type == X.KeyPress
        return count
