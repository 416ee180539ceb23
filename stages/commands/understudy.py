"""The command `understudy`: record your own game, look at the recordings, let the agent play on the screen."""

import argparse
import importlib
import re
import sys
from collections.abc import Sequence

from stages.run import run_stage

# Only the chosen one is imported: torch takes seconds, and record must not need it.
COMMANDS = {
    "new": ("stages.commands.new", "set up params.yaml for a game of your own"),
    "record": ("stages.commands.record", "record your game: the screen and the keys you press"),
    "doctor": ("stages.commands.doctor", "are the recordings good, and are they enough?"),
    "import": ("stages.commands.importing", "read recordings that another program made"),
    "predict": ("stages.commands.predict", "what the agent would press, on a recording it has never seen"),
    "play": ("stages.commands.play", "let the trained agent press real keys"),
}
ABOUT = """Say which keys play your game (new), record yourself playing it (record), see whether the recordings are good
and enough (doctor), learn from them (dvc repro), see what the agent would press (predict), let it play (play)."""


def main() -> None:
    run_stage(lambda: _run(sys.argv[1:]))


def _run(arguments: list[str]) -> None:
    options = _parser(arguments[0] if arguments else "").parse_args(_joined(arguments))
    options.run(options)


def _joined(arguments: Sequence[str]) -> list[str]:
    """The command line with `--region -100,80,640x480` as one word: argparse takes -100 for an option."""
    words = list(arguments)
    for i in range(len(words) - 1, 0, -1):
        if words[i - 1] == "--region" and re.match(r"-\s*\d", words[i]):
            words[i - 1 : i + 1] = [f"--region={words[i]}"]
    return words


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser of all commands, with the arguments of the chosen one."""
    parser = argparse.ArgumentParser(prog="understudy", description=ABOUT)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module_name, help) in COMMANDS.items():
        if name != chosen:
            commands.add_parser(name, help=help)
            continue
        module = importlib.import_module(module_name)
        shape = argparse.RawDescriptionHelpFormatter
        command = commands.add_parser(name, help=help, description=module.ABOUT, formatter_class=shape)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    main()
