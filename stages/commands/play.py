"""understudy play: the trained agent presses real keys."""

import argparse
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from stages.commands.agent import acting_of, add_agent, add_engine, add_rule, load_agent
from stages.commands.options import add_keys, add_place, add_state, keys_of, on_signals, place_of
from stages.live.deciding import Chance, Decider, for_chance
from stages.live.desktop import open_desktop, require_made
from stages.live.keyboard import require_known
from stages.live.latency import summary_lines
from stages.live.playing import Run, play
from stages.live.recording import require_free_hot_keys
from stages.models.agent import read_about

ABOUT = """Lets the trained agent play what the screen shows: it looks at the region, decides and presses real keys.

Nothing is pressed before the countdown is over, nor while another window than the game's is in front; only keys of
the game are pressed; the panic key stops it at once; no key stays down, however it ends. Try --dry-run first.
Use it only where the game's rules allow a program to play."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_agent(parser)
    add_place(parser)
    add_keys(parser)
    add_rule(parser)
    add_engine(parser)
    add_state(parser)
    parser.add_argument("--fps", type=float, help="decisions a second (default: of the recordings it learned from)")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument(
        "--countdown", type=int, default=3, metavar="S", help="seconds before the first key (%(default)s)"
    )
    parser.add_argument("--panic-key", default="Key.esc", help="stops at once and lets go of every key (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be pressed, press nothing")
    parser.add_argument("--log", type=Path, metavar="FILE.csv", help="probabilities and keys, a row a picture")
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER/NAME", help="record the run as a session (player: agent)"
    )
    parser.add_argument("--crf", type=int, default=20, help="H.264 quality of --record, lower is better (%(default)s)")
    parser.add_argument("--random", action="store_true", help="keys by chance instead of the agent, to compare with")


def run(options: argparse.Namespace) -> None:
    about, generator = read_about(options.agent), np.random.default_rng(options.seed)
    keys = _first_keys(keys_of(options, about.keys), about.actions)
    require_free_hot_keys({options.panic_key: "panic"}, keys.values())
    if options.random:
        brain, acting = Chance(len(about.actions), generator), for_chance(about.acting)
        told = "keys by chance, not by the agent"
    else:
        told = options.state_from is not None
        brain, acting = load_agent(options.agent, options.engine, told_state=told), acting_of(options, about)
        told = f"the agent learned from {about.learned_from}; acting rule: {acting.rule}"
    with closing(open_desktop()) as desktop:
        require_known((*keys.values(), options.panic_key))
        require_made(desktop, (*keys.values(), options.panic_key))
        region, window = place_of(options, desktop)
    print(told, flush=True)
    decide = Decider(acting, about.actions, keys, generator)
    stop = threading.Event()
    on_signals(stop.set)
    asked = Run(
        region, window, about.fps if options.fps is None else options.fps, options.panic_key, options.countdown,
        options.seconds, options.dry_run, options.log, options.record, _metadata(options, keys),
        options.crf, options.state_from, () if options.random else about.state_columns,
        options.wait_for_window,
    )  # fmt: skip
    latencies = play(asked, brain, decide, stop, lambda line: print(line, flush=True))
    print("\n".join(summary_lines(latencies)))


def _metadata(options: argparse.Namespace, keys: Mapping[str, str]) -> dict:
    return {
        "game": options.window or "",
        "keys": {action: [key] for action, key in keys.items()},
        "recorder": "understudy 0.2.0 (play)",
        "player": "random" if options.random else "agent",
    }


def _first_keys(keys: Mapping[str, tuple[str, ...]], actions: tuple[str, ...]) -> dict[str, str]:
    """The key to hold for each action the agent knows; ValueError when one has none."""
    missing = [action for action in actions if not keys.get(action)]
    if missing:
        raise ValueError(f"the agent presses {list(actions)}, but {missing} have no key: give --keys {missing[0]}=KEY")
    return {action: keys[action][0] for action in actions}
