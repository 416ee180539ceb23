"""The desktop under X11, by python-xlib (which pynput brings along).

A window is a child of the root window (with most window managers the frame), so that the game's own window and
whatever decorates it count as one.
"""

import os
from collections.abc import Collection

from Xlib import X, display, error

from stages.live.desktop import Desktop
from stages.live.keyboard import key_code
from stages.live.screen import Region, even_region

GONE = (error.BadWindow, error.BadDrawable, error.BadMatch)


class X11Desktop(Desktop):
    def __init__(self):
        try:
            self._display = display.Display()
        except (error.DisplayError, OSError) as problem:
            raise ValueError(
                f"the display {os.environ.get('DISPLAY')!r} does not answer ({problem}): is it this user's desktop?"
            ) from None
        self._root = self._display.screen().root

    def window_titled(self, title: str) -> int:
        titled = {top: name for top in self._root.query_tree().children if (name := self._shown_title(top))}
        found = [top.id for top, name in titled.items() if title.casefold() in name.casefold()]
        if not found:
            raise ValueError(f"no window is called {title!r}; there are {sorted(set(titled.values())) or 'none'}")
        if len(found) > 1:
            names = sorted(titled[top] for top in titled if top.id in found)
            raise ValueError(f"{len(found)} windows are called like {title!r}: {names}; give more of the title")
        return found[0]

    def window_at(self, x: int, y: int) -> int | None:
        child = self._root.translate_coords(self._root, x, y).child
        return child.id if child else None

    def title_of(self, window: int) -> str:
        return self._shown_title(self._display.create_resource_object("window", window))

    def region_of(self, window: int) -> Region | None:
        try:
            inside = self._client(self._display.create_resource_object("window", window))
            if inside.get_attributes().map_state != X.IsViewable:
                return None
            size, corner = inside.get_geometry(), self._root.translate_coords(inside, 0, 0)
        except GONE:
            return None
        screen = self._display.screen()
        left, top = max(corner.x, 0), max(corner.y, 0)
        right = min(corner.x + size.width, screen.width_in_pixels)
        bottom = min(corner.y + size.height, screen.height_in_pixels)
        try:
            return even_region(left, top, right - left, bottom - top)
        except ValueError:
            return None

    def front(self) -> int | None:
        focus = self._display.get_input_focus().focus
        if focus in (X.PointerRoot, X.NONE) or focus.id == self._root.id:
            at = self._root.query_pointer().child  # without a focus the keys go where the pointer is
            return at.id if at and focus != X.NONE else None
        try:
            return self._top(focus)
        except GONE:
            return None

    def key_states(self, keys: Collection[str]) -> dict[str, bool]:
        down = self._display.query_keymap()
        return {key: bool(down[code // 8] >> code % 8 & 1) for key in keys if (code := self._code(key))}

    def lacking(self, keys: Collection[str]) -> list[str]:
        return [key for key in keys if not self._code(key)]

    def close(self) -> None:
        self._display.close()

    def _top(self, window) -> int:
        while True:
            parent = window.query_tree().parent
            if not parent or parent == X.NONE or parent.id == self._root.id:
                return window.id
            window = parent

    def _shown_title(self, top) -> str:
        try:
            shown = top.get_attributes().map_state == X.IsViewable
            return (self._title(self._client(top)) or self._title(top)) if shown else ""
        except GONE:
            return ""

    def _title(self, window) -> str:
        utf8 = window.get_full_text_property(self._display.intern_atom("_NET_WM_NAME"))
        name = utf8 or window.get_wm_name() or ""
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else name

    def _client(self, top):
        """The window with the content: the first below `top` that a window manager manages, else `top` itself."""
        state = self._display.intern_atom("WM_STATE")
        waiting = [top]
        while waiting:
            window = waiting.pop(0)
            if window.get_property(state, X.AnyPropertyType, 0, 1):
                return window
            waiting += window.query_tree().children
        return top

    def _code(self, key: str) -> int:
        """The keycode of a key, 0 for one that does not exist here."""
        try:
            return self._display.keysym_to_keycode(key_code(key))
        except ValueError:
            return 0
