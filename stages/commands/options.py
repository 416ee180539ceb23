"""What several commands ask for in the same words."""

import argparse
import glob
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from stages.live.desktop import Desktop
from stages.live.screen import Region, monitor_region, parsed_region
from stages.params import Params, read_params
from stages.recordings.actions import require_column_name
from stages.recordings.files import OPTIONAL, REQUIRED, VIDEOS


def read_project() -> Params:
    """params.yaml of the folder that the command is started in; ValueError when there is none."""
    if not Path("params.yaml").is_file():
        raise ValueError(f"there is no params.yaml in {Path.cwd()}: start understudy in the project's folder")
    return read_params()


def add_place(parser: argparse.ArgumentParser) -> None:
    """--region, --window and --monitor, of which one is needed."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument(
        "--region", metavar="L,T,WxH", help="a part of the screen in pixels, for example 100,80,1280x720"
    )
    place.add_argument("--window", metavar="TITLE", help="the window whose title holds this")
    place.add_argument("--monitor", type=int, metavar="N", help="a whole monitor, counted from 1")
    parser.add_argument(
        "--wait-for-window", type=float, default=60.0, metavar="S",
        help="when the game's window is closed, wait so long for another of its title and size: some games make "
        "one for each round (%(default)s)",
    )  # fmt: skip


def place_of(options: argparse.Namespace, desktop: Desktop) -> tuple[Region, int | None]:
    """The region that was asked for, and the window if one was; ValueError when it is not there."""
    if options.region is not None:
        return parsed_region(options.region), None
    if options.monitor is not None:
        return monitor_region(options.monitor), None
    window = desktop.window_titled(options.window)
    region = desktop.region_of(window)
    if region is None:
        raise ValueError(f"the window {options.window!r} is hidden or minimised; show it first")
    return region, window


def add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-from", metavar="COMMAND",
        help="a program that prints what the game knows as lines of JSON, {\"health\": 87}, at least once a second",
    )  # fmt: skip


def add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keys", nargs="+", metavar="ACTION=KEY",
        help="the keys of the game, for example LEFT=Key.left SHOOT=x; without it those of params.yaml "
        "(predict and play: those of the agent)",
    )  # fmt: skip


def keys_of(options: argparse.Namespace, known: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """{action: its keys}, from --keys; without it those that are `known`."""
    if not options.keys:
        return dict(known)
    keys: dict[str, tuple[str, ...]] = {}
    for pair in options.keys:
        action, equals, key = pair.partition("=")
        if not (action and equals and key):
            raise ValueError(f"--keys {pair!r}: expected ACTION=KEY, for example LEFT=Key.left")
        require_column_name(action)
        keys[action] = (*keys.get(action, ()), key)
    return keys


def actions_of(options: argparse.Namespace, params: Params) -> tuple[str, ...]:
    """The actions that are looked at: those that --keys names, else those of params.yaml."""
    return tuple(keys_of(options, params.keys)) if options.keys else params.actions


def session_of(text: str) -> tuple[Path, str]:
    """Folder and name of a session that is given by name, by any of its files, or as a folder of pictures.

    ValueError where nothing of that name is there.
    """
    path = Path(text)
    stem = path.stem if path.suffix.lower() in VIDEOS else path.name
    for suffix in (REQUIRED["frames"], REQUIRED["events"], *OPTIONAL.values()):
        stem = stem.removesuffix(suffix)
    if not path.is_dir() and not any(path.parent.glob(f"{glob.escape(stem)}[._]*")):
        raise ValueError(
            f"{text} is neither a folder nor a session; a session is named without endings (data/raw/mine/first, for "
            f"first.mp4 and its logs) or by one of its files"
        )
    return path.parent, stem


def require_writable(folder: Path) -> None:
    """ValueError for a folder in which no file can be made."""
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ValueError(f"{folder} is no folder that this user may write to: see its rights, or take another")


def on_signals(handler: Callable[[], None]) -> None:
    """Call `handler` on Ctrl-C, on a polite kill and when the terminal is closed."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: handler())
