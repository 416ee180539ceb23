"""understudy record: the screen and the keys of a game as a session."""

import argparse
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from stages.commands.options import add_keys, add_place, add_state, keys_of, on_signals, place_of, read_project
from stages.live.clock import counted_down
from stages.live.desktop import open_desktop
from stages.live.keyboard import require_known
from stages.live.recorder import Plan, Status, Switches
from stages.live.recording import Order, record, require_free_hot_keys
from stages.live.window import TITLE, ControlWindow, status_text

ABOUT = """Records a part of the screen and the keys of the game until you stop it.

Only the keys of the game are written down (those of params.yaml, or of --keys); all others are counted, never named.
Keys are heard only while it records and while the game's window is in front: that of --window, or the one that shows
the middle of the region or monitor when the recording starts. Another window in front ends episode and keys."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_keys(parser)
    add_state(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("data/raw/mine"), help="folder of your recordings (%(default)s)"
    )
    parser.add_argument("--name", help="name of the session (default: the time)")
    parser.add_argument("--fps", type=float, default=10.0, help="pictures a second (%(default)s)")
    parser.add_argument("--game", default="", help="name of the game, for the session file")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument(
        "--no-window", action="store_true", help="no little window: stop by hot key, Ctrl-C or --seconds"
    )
    parser.add_argument(
        "--countdown", type=int, default=3, metavar="S",
        help="with --no-window, but without --window: seconds to bring the game to the front (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--episodes", choices=("auto", "manual"), default="auto",
        help="auto: the recording is one episode (a pause begins another); manual: the hot key starts and ends them",
    )  # fmt: skip
    parser.add_argument("--episode-key", default="Key.f9", help="hot key: start or end an episode (%(default)s)")
    parser.add_argument("--pause-key", default="Key.f10", help="hot key: pause or go on (%(default)s)")
    parser.add_argument("--stop-key", default="Key.f12", help="hot key: stop (%(default)s)")
    parser.add_argument("--log-all-keys", action="store_true", help="write down every key, not only the game's")
    parser.add_argument(
        "--keep-free-mb", type=float, default=300.0, help="stop when the disk has less left (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    order = order_of(options)
    if options.no_window:
        switches = Switches()
        on_signals(switches.stop.set)
        if order.plan.window is None and not counted_down("recording", options.countdown, switches.stop, _say):
            print("nothing was recorded")
            return
        status = record(_watched(order), switches, lambda recorder: _say(f"recording {order.stem}"))
    else:
        hot_keys = "   ".join(f"{key.removeprefix('Key.').upper()} {what}" for key, what in order.hot_keys.items())
        window = ControlWindow(order.stem, hot_keys, partial(_named, order))
        on_signals(window.stop)
        status = window.run()
        if status is None:
            print("nothing was recorded")
            return
    print(status_text(status))
    print("\n".join(_last_words(status, order.directory, options.episode_key)))
    if any(word in status.why_stopped for word in ("disk", "failed", "--state-from")):
        sys.exit(1)


def _last_words(status: Status, directory: Path, episode_key: str) -> list[str]:
    """Why it stopped, and what there is now."""
    if not status.frames:
        return [f"{status.why_stopped}; not one picture was taken (was the game in front?), so no session was kept"]
    words = [f"{status.why_stopped}; look at it with: understudy doctor {directory}"]
    if not status.episodes:
        words.append(
            f"no episode was marked ({episode_key}): doctor and training take the whole recording for one episode"
        )
    return words


def order_of(options: argparse.Namespace) -> Order:
    """What the flags and params.yaml ask for; ValueError for what cannot be recorded."""
    params = read_project()
    keys = keys_of(options, params.keys)
    map_keys = tuple(key for held in keys.values() for key in held)
    hot_keys = {options.episode_key: "episode", options.pause_key: "pause", options.stop_key: "stop"}
    require_free_hot_keys(hot_keys, map_keys)
    with closing(open_desktop()) as desktop:
        require_known((*map_keys, *hot_keys))
        region, window = place_of(options, desktop)
    plan = Plan(
        options.fps, region, window, map_keys, options.episodes, options.seconds, options.keep_free_mb,
        patience_s=options.wait_for_window,
    )  # fmt: skip
    return Order(
        plan=plan,
        directory=options.out,
        stem=options.name or f"session-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        game=options.game,
        keys=keys,
        logged=None if options.log_all_keys else map_keys,
        hot_keys=hot_keys,
        crf=params.collect.crf,
        state_from=options.state_from,
    )


def _named(order: Order, name: str, switches: Switches, show) -> Status:
    return record(_watched(replace(order, stem=name)), switches, show)


def _watched(order: Order) -> Order:
    """The order with the window that must stay in front: by default the one that shows the middle of the region."""
    plan = order.plan
    with closing(open_desktop()) as desktop:
        window = plan.window if plan.window is not None else desktop.window_at(*plan.region.middle)
        if window is None:
            _say("no window shows the middle of the region: keys are kept whatever window is in front")
            return order
        title = desktop.title_of(window)
        place = desktop.region_of(window) if plan.window is None else plan.region
    if TITLE in title:
        raise ValueError("the recorder's own window covers the middle of the region: move it aside, and start again")
    _say(f"pictures and keys are kept only while the window {title!r} is in front")
    return replace(order, plan=replace(plan, window=window, title=title, place=place))


def _say(line: str) -> None:
    print(line, flush=True)
