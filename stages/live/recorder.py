"""Records a region of the screen and the keys as a session.

Four threads that do not wait for each other: this one takes pictures, one encodes, one (pynput's) hears keys, one
writes them down.
While it is paused, or another window is in front of the one that is recorded, neither frames nor keys are kept: the
episode ends there and another one begins afterwards, so that nothing is learned across the hole.
"""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from stages.live.clock import SteadyClock
from stages.live.desktop import Desktop
from stages.live.encoder import Encoder
from stages.live.game_window import MOVED, FollowedWindow
from stages.live.keylog import KeyLog
from stages.live.screen import Camera, Region
from stages.live.slots import Slots, require_fps
from stages.live.state import StateSource
from stages.live.tape import Tape

IDLE_S = 0.1  # how often a paused recorder looks whether it may go on
LOOK_AROUND_S = 0.2  # and how often any recorder looks at disk and window


@dataclass(frozen=True)
class Plan:
    """What is recorded: `seconds` None means until it is stopped.

    Frames and keys are kept while `window`, called `title`, is in front; None: whatever is. It must stay where it was:
    at `place`, by default the region. When it is closed another of that title and size takes over, within `patience_s`.

    ValueError for a frame rate that no recording has.
    """

    fps: float
    region: Region
    window: int | None
    map_keys: tuple[str, ...]
    episodes: str  # "auto": the whole recording is one, "manual": by hot key
    seconds: float | None
    keep_free_mb: float
    place: Region | None = None
    title: str = ""
    patience_s: float = 0.0

    def __post_init__(self):
        require_fps(self.fps)


@dataclass
class Status:
    """What the window shows; written by the recorder alone."""

    state: str = "starting"
    elapsed_s: float = 0.0
    frames: int = 0
    repeats: int = 0
    dropped: int = 0
    episodes: int = 0
    keys: int = 0
    free_mb: float = 0.0
    why_stopped: str = ""


@dataclass
class Switches:
    """What a person may ask for at any time, from any thread."""

    stop: threading.Event = field(default_factory=threading.Event)
    pause: threading.Event = field(default_factory=threading.Event)
    episode: threading.Event = field(default_factory=threading.Event)

    def toggle(self, name: str) -> None:
        """Turn "stop", "pause" or "episode" over; a recording that was stopped stays stopped."""
        switch: threading.Event = getattr(self, name)
        if name != "stop" and switch.is_set():
            switch.clear()
        else:
            switch.set()


class Recorder:
    """One recording; `run` returns when it is over."""

    def __init__(
        self, plan: Plan, tape: Tape, keys: KeyLog, encoder: Encoder, desktop: Desktop, switches: Switches,
        clock: SteadyClock, state: StateSource | None = None,
    ):  # fmt: skip
        self._state, self._window = state, None
        if plan.window is not None:
            self._window = FollowedWindow(plan.window, plan.title, plan.place or plan.region, plan.patience_s)
        self._plan, self._tape, self._keys, self._encoder = plan, tape, keys, encoder
        self._desktop, self._switches, self._clock = desktop, switches, clock
        self.status = Status()
        self._slots: Slots | None = None
        self._episode_open = False
        self._looked_around = 0.0
        self._up_before: set[str] = set()
        self._seen_down: set[str] = set()

    def run(self, camera: Camera, *, ears_alive: Callable[[], bool]) -> None:
        """Record until it is stopped; `ears_alive` tells whether the keyboard is still heard."""
        start, self._camera = self._clock.now(), camera
        if self._plan.episodes == "auto":
            self._switches.episode.set()
        try:
            while not self._over(start, ears_alive):
                if self._may_record():
                    self._record_slot(camera)
                else:
                    self._rest()
        finally:
            self._rest()
            self.status.state = "stopped"

    def _over(self, start: float, ears_alive: Callable[[], bool]) -> bool:
        """Whether to stop, and why."""
        now = self._clock.now()
        self.status.elapsed_s = now - start
        if self.status.why_stopped:
            return True
        if self._switches.stop.is_set():
            self.status.why_stopped = "stopped by you"
        elif self._plan.seconds is not None and self.status.elapsed_s >= self._plan.seconds:
            self.status.why_stopped = f"{self._plan.seconds:g} s are over"
        elif trouble := self._encoder.trouble:
            self.status.why_stopped = trouble
        elif self._state is not None and self._state.trouble:
            self.status.why_stopped = self._state.trouble
        elif not ears_alive():
            self.status.why_stopped = "the keyboard can no longer be heard"
        elif now - self._looked_around >= LOOK_AROUND_S:
            self._looked_around = now
            self._look_around(now)
        return bool(self.status.why_stopped)

    def _look_around(self, now: float) -> None:
        """Disk and window."""
        self.status.free_mb = shutil.disk_usage(self._tape.directory).free / 1e6
        if self.status.free_mb < self._plan.keep_free_mb:
            self.status.why_stopped = f"only {self.status.free_mb:.0f} MB are left on the disk"
        if self._window is not None and (why := self._window.look(self._desktop, self._camera, now)):
            self.status.why_stopped = f"{why}; record it anew where it is now" if why == MOVED else why

    def _may_record(self) -> bool:
        if self._switches.pause.is_set():
            self.status.state = "paused"
            return False
        if self._window is not None and not self._window.in_front(self._desktop):
            self.status.state = f"waiting: another window than {self._plan.title!r} is in front"
            if self._window.gone_since is not None:
                self.status.state = f"waiting: {self._plan.title!r} was closed, another one may come"
            return False
        self.status.state = "recording"
        return True

    def _record_slot(self, camera: Camera) -> None:
        now = self._clock.now()
        if self._slots is None:
            self._slots = Slots(now, self._plan.fps)
            states = self._desktop.key_states(self._plan.map_keys)
            self._keys.open([key for key, down in states.items() if down], now)
        self._follow_episode(now)
        self._clock.sleep_until(self._slots.due())
        if not self._may_record():
            return  # while it waited another window came to the front: its picture is nobody's business
        for t in self._slots.missed(self._clock.now()):
            if self.status.frames:
                self._put(None, t)
        try:
            image, t = camera.picture()
        except ValueError as error:
            self.status.why_stopped = f"the camera failed: {error}"
            return
        self._slots.taken()
        self._put(image, t)
        self._reconcile()

    def _put(self, image, t: float) -> None:
        kept = self._encoder.put(image, t)
        self.status.frames += 1
        self.status.repeats += image is None or not kept
        self.status.dropped = self._encoder.dropped
        self.status.keys = self._keys.events

    def _reconcile(self) -> None:
        """A key that the system calls up twice in a row, while we still hold it for down, has gone up unheard.

        Unless the system never called it down: then another key of the same name is, the arrow of the number pad.
        """
        held = self._keys.held & set(self._plan.map_keys)
        states = self._desktop.key_states(held)
        up = {key for key, down in states.items() if not down}
        self._seen_down = (self._seen_down & held) | (states.keys() - up)
        now_gone = up & self._up_before & self._seen_down
        if now_gone:
            self._keys.reconcile(self._keys.held - now_gone, self._clock.now())
        self._up_before = up

    def _follow_episode(self, now: float) -> None:
        if self._switches.episode.is_set() == self._episode_open:
            return
        self._episode_open = not self._episode_open
        self._tape.marker("fight_start" if self._episode_open else "fight_end", now)
        self.status.episodes += self._episode_open

    def _rest(self) -> None:
        """Keys go up and the episode ends at the beginning of a pause; then a little sleep."""
        if self._slots is not None:
            now = self._clock.now()
            self._slots = None
            self._keys.close(now)
            if self._episode_open:
                self._episode_open = False
                self._tape.marker("fight_end", now)
        elif not self._switches.stop.is_set():
            self._switches.stop.wait(IDLE_S)
