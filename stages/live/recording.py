"""A recording of the screen from its first to its last file: puts camera, keys, encoder and tape together."""

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.live.clock import SteadyClock
from stages.live.desktop import open_desktop
from stages.live.encoder import Encoder
from stages.live.keyboard import Ears
from stages.live.keylog import KeyLog
from stages.live.recorder import Plan, Recorder, Status, Switches
from stages.live.screen import Camera
from stages.live.state import StateSource
from stages.live.tape import Tape
from stages.recordings.keys import key_name

PICTURE_BYTES = 256e6  # of pictures that may wait for the encoder


@dataclass(frozen=True)
class Order:
    """What a person asked for; `hot_keys` maps a key to stop, pause or episode; `logged` None logs every key."""

    plan: Plan
    directory: Path
    stem: str
    game: str
    keys: Mapping[str, tuple[str, ...]]
    logged: Collection[str] | None
    hot_keys: Mapping[str, str]
    crf: int
    state_from: str | None = None  # the command of a program that tells what the game knows


def require_free_hot_keys(hot_keys: Mapping[str, str], map_keys: Collection[str]) -> None:
    """ValueError when a hot key plays the game too."""
    taken = sorted(set(map(key_name, hot_keys)) & set(map(key_name, map_keys)))
    if taken:
        raise ValueError(f"{taken} is a hot key and a key of the game; choose another hot key")


def record(order: Order, switches: Switches, show: Callable[[Recorder], None] = lambda recorder: None) -> Status:
    """Record until it is over; `show` gets the recorder once it is ready. Returns how it went."""
    clock, plan, region = SteadyClock(), order.plan, order.plan.region
    with ExitStack() as open_parts:
        desktop = open_parts.enter_context(closing(open_desktop()))
        camera = open_parts.enter_context(Camera(region, clock))
        state = open_parts.enter_context(StateSource(order.state_from, clock)) if order.state_from else None
        # While the log is closed it does not ask for the tape, which is begun last: a refusal leaves no files.
        keys = KeyLog(order.logged, lambda *row: tape.key(*row))
        ears = open_parts.enter_context(Ears(_sorted_out(keys, order.hot_keys, switches), clock))
        tape = Tape(
            order.directory, order.stem, width=region.width, height=region.height, fps=plan.fps, crf=order.crf,
            metadata=_metadata(order), state=state,
        )  # fmt: skip
        encoder = Encoder(tape, pictures=max(int(PICTURE_BYTES / (3 * region.width * region.height)), 4))
        recorder = Recorder(plan, tape, keys, encoder, desktop, switches, clock, state)
        open_parts.callback(lambda: _finish(tape, recorder.status, keys, encoder))
        open_parts.enter_context(encoder)
        show(recorder)
        recorder.run(camera, ears_alive=lambda: ears.alive)
    return recorder.status


def _metadata(order: Order) -> dict:
    """What the session file says about a recording of the screen."""
    return {
        "game": order.game,
        "keys": {action: list(held) for action, held in order.keys.items()},
        "recorder": "understudy 0.2.0 (screen)",
        "player": "human",
        "region": asdict(order.plan.region),
        "logged_keys": "all" if order.logged is None else sorted(order.logged),
    }


def _finish(tape: Tape, status: Status, keys: KeyLog, encoder: Encoder) -> None:
    """Close the tape, unless an encoder that stands still has it in its hands: then it stays as after a kill."""
    status.why_stopped = encoder.trouble or status.why_stopped
    if not encoder.alive:
        tape.close({
            "repeats": status.repeats,
            "dropped": status.dropped,
            "why_stopped": status.why_stopped,
            "key_repeats_suppressed": keys.repeats,
            "other_key_presses": keys.other_presses,
            "most_pictures_waiting": encoder.most_waiting,
        })  # fmt: skip
    status.why_stopped = encoder.trouble or status.why_stopped
    status.frames = tape.frames


def _sorted_out(keys: KeyLog, hot_keys: Mapping[str, str], switches: Switches):
    """Hot keys command, all others go to the log."""
    hot = {key_name(key): name for key, name in hot_keys.items()}
    down_now: set[str] = set()

    def on_key(key: str, down: bool, t: float) -> None:
        if key not in hot:
            (keys.down if down else keys.up)(key, t)
        elif down and key not in down_now:
            down_now.add(key)
            switches.toggle(hot[key])
        elif not down:
            down_now.discard(key)

    return on_key
