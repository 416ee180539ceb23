"""A run of the agent from the first to the last key: puts camera, agent, hands and their guards together."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from stages.live.clock import SteadyClock, counted_down
from stages.live.deciding import Brain, Decider, DecisionLoop
from stages.live.desktop import Desktop, open_desktop
from stages.live.encoder import Encoder
from stages.live.game_window import FollowedWindow
from stages.live.guardian import Guardian
from stages.live.hands import DryKeyboard, FrontGuard, Hands
from stages.live.keyboard import Ears, Fingers
from stages.live.latency import Latencies
from stages.live.screen import Camera, Region
from stages.live.slots import require_fps
from stages.live.state import StateSource
from stages.live.tape import Tape
from stages.live.witness import PlayLog, Witness
from stages.recordings.keys import key_name

WAITING_PICTURES = 30
LOOK_S = 0.2  # how often to look whether the window is still where it was


@dataclass(frozen=True)
class Run:
    """What a person asked for; `window` None: whatever window shows the middle of the region after the countdown.

    ValueError for a number of decisions a second that no recording has.
    """

    region: Region
    window: int | None
    fps: float
    panic_key: str
    countdown_s: int
    seconds: float | None
    dry: bool
    log: Path | None
    record: Path | None  # the folder and the name of the session that the run is recorded as
    metadata: Mapping[str, object]
    crf: int
    state_from: str | None = None  # the command of a program that tells what the game knows
    state_columns: tuple[str, ...] = ()  # what the agent wants to be told
    patience_s: float = 0.0  # how long the game's window may be closed until another one takes over

    def __post_init__(self):
        require_fps(self.fps)


def play(run: Run, brain: Brain, decide: Decider, stop: threading.Event, say: Callable[[str], None]) -> Latencies:
    """Play until `stop` is set, the panic key is pressed or the time is over; no key is down afterwards."""
    clock = SteadyClock()
    with ExitStack() as parts:
        desktop = parts.enter_context(closing(open_desktop()))
        camera = parts.enter_context(Camera(run.region, clock))
        state = parts.enter_context(StateSource(run.state_from, clock)) if run.state_from else None
        if state is not None:
            state.require(run.state_columns)
        witness = _witness(run, decide.actions, clock, parts, say, state)
        guardian = None if run.dry else parts.enter_context(Guardian())

        def told(event: str, key: str) -> None:
            if guardian:
                guardian.pressing(key) if event == "pressing" else guardian.released(key)
            witness.told(event, key)

        hands = Hands(DryKeyboard(say) if run.dry else Fingers(), decide.keys.values(), told)
        parts.callback(hands.let_go)
        parts.enter_context(Ears(_panic(run.panic_key, hands, stop), clock))
        window = _agreed_window(run, desktop, stop, say)
        if window is None:
            return Latencies()
        guard = parts.enter_context(FrontGuard(window, hands.let_go))
        followed = FollowedWindow(window, desktop.title_of(window), desktop.region_of(window), run.patience_s)
        loop = DecisionLoop(
            brain, decide, hands, clock, fps=run.fps, stop=stop, alive=lambda: _alive(guardian, say), state=state
        )
        loop.run(
            camera,
            witness,
            in_front=GameWindow(followed, desktop, camera, guard, clock, stop, say),
            count_down_again=lambda: counted_down("playing", run.countdown_s, stop, say),
            seconds=run.seconds,
        )
        return loop.latencies


class GameWindow:
    """Asked before every key: is the game's window in front? Stops the run when it is moved, or closed for too long."""

    def __init__(
        self, window: FollowedWindow, desktop: Desktop, camera: Camera, guard: FrontGuard, clock: SteadyClock, stop, say
    ):
        self._window, self._desktop, self._camera, self._guard = window, desktop, camera, guard
        self._clock, self._stop, self._say = clock, stop, say
        self._looked = clock.now()

    def __call__(self) -> bool:
        if self._guard.error is not None:
            raise ValueError(f"the guard of the game's window failed, the agent stops: {self._guard.error}")
        in_front = self._window.in_front(self._desktop)
        if not in_front or self._clock.now() - self._looked > LOOK_S:
            self._look()
        return in_front and self._window.gone_since is None and not self._stop.is_set()

    def _look(self) -> None:
        self._looked, was_there = self._clock.now(), self._window.gone_since is None
        why = self._window.look(self._desktop, self._camera, self._looked)
        self._guard.window = self._window.window
        if why and not self._stop.is_set():
            self._say(why)
            self._stop.set()
        elif was_there and self._window.gone_since is not None:
            self._say(f"{self._window.title!r} was closed; waiting for another window of that title")


def _witness(
    run: Run, actions: tuple[str, ...], clock: SteadyClock, parts: ExitStack, say, state: StateSource | None
) -> Witness:
    log = parts.enter_context(closing(PlayLog(run.log, actions))) if run.log else None
    if run.record is None:
        return Witness(clock, log, None, None, say)
    tape = Tape(
        run.record.parent, run.record.name, width=run.region.width, height=run.region.height, fps=run.fps, crf=run.crf,
        metadata={**run.metadata, "dry_run": run.dry}, state=state,
    )  # fmt: skip
    encoder = Encoder(tape, pictures=WAITING_PICTURES)
    witness = Witness(clock, log, tape, encoder, say)
    parts.callback(witness.finish)
    parts.enter_context(encoder)
    return witness


def _alive(guardian: Guardian | None, say: Callable[[str], None]) -> bool:
    """A sign of life; False when there was none for so long that the keys have been released."""
    if guardian is None or guardian.alive():
        return True
    say("the agent stood still for more than a second and its keys were released; it goes on from here")
    return False


def _panic(panic_key: str, hands: Hands, stop: threading.Event) -> Callable[[str, bool, float], None]:
    def on_key(key: str, down: bool, t: float) -> None:
        if down and key == key_name(panic_key):
            stop.set()
            hands.let_go()

    return on_key


def _agreed_window(run: Run, desktop, stop: threading.Event, say: Callable[[str], None]) -> int | None:
    """The window to play in, after the countdown; None when it was stopped. ValueError when there is none."""
    if not counted_down("playing", run.countdown_s, stop, say):
        return None
    window = run.window if run.window is not None else desktop.window_at(*run.region.middle)
    if window is None:
        raise ValueError(f"no window shows the middle of the region {run.region.middle}; nothing is pressed")
    if desktop.front() != window:
        say("waiting until the game's window is in front; nothing is pressed before")
    return window
