"""The window of the game: where it is, and the one that the game makes after it, for its next round."""

from dataclasses import dataclass, replace

from stages.live.desktop import Desktop
from stages.live.screen import Camera, Region

GONE = "the window was closed or hidden"
MOVED = "the window was moved or resized"


@dataclass
class FollowedWindow:
    """A window by its number, its title and its place; another of that title and size takes over when it is gone.

    `gone_since`: s of the clock that `look` is asked by; None while it is there. `patience_s`: how long it may be gone.
    """

    window: int
    title: str
    place: Region | None
    patience_s: float
    gone_since: float | None = None

    def __post_init__(self):
        self.called = self.title  # the title that it has now

    def in_front(self, desktop: Desktop) -> bool:
        """Whether keys go to it. The number of a closed window may be that of another one: `look` finds that out."""
        return self.gone_since is None and desktop.front() == self.window

    def look(self, desktop: Desktop, camera: Camera, now: float) -> str | None:
        """Where it is now; the camera goes along to a new one. In words why it cannot go on, None where it can."""
        at, called = desktop.region_of(self.window), desktop.title_of(self.window)
        # The number of a closed window is given to another one.
        if at is None or self.gone_since is not None or (at != self.place and called != self.called):
            self.gone_since = now if self.gone_since is None else self.gone_since
            return self._came_back(desktop, camera, now)
        if at != self.place:
            return MOVED
        self.called = called
        return None

    def _came_back(self, desktop: Desktop, camera: Camera, now: float) -> str | None:
        try:
            window = desktop.window_titled(self.title) if self.title else None
        except ValueError:  # none, or several
            window = None
        at = None if window is None else desktop.region_of(window)
        if at is None:
            return f"{GONE}, and none called {self.title!r} came" if now - self.gone_since >= self.patience_s else None
        if self.place is None or (at.width, at.height) != (self.place.width, self.place.height):
            return f"{GONE}, and the one that came has another size"
        left, top = at.left - self.place.left, at.top - self.place.top
        camera.region = replace(camera.region, left=camera.region.left + left, top=camera.region.top + top)
        self.window, self.place, self.gone_since = window, at, None
        self.called = desktop.title_of(window)
        return None
