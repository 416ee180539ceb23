"""understudy new: params.yaml for a game of your own, in one step."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from stages.commands.options import add_keys, keys_of
from stages.commands.preset import PARAMS, with_preset
from stages.params import read_text
from stages.recordings.keys import key_name

ABOUT = """Sets in params.yaml what belongs to a game of your own: its actions and their keys, what else names actions,
and where its recordings lie. Comments and all other values stay; git checkout params.yaml takes it back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_keys(parser)
    parser.add_argument(
        "--recordings", type=Path, default=Path("data/raw/mine"), help="folder of your recordings (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    if not options.keys:
        raise ValueError("which keys play the game? For example: understudy new --keys LEFT=Key.left SHOOT=x")
    keys = {action: tuple(map(key_name, held)) for action, held in keys_of(options, {}).items()}
    text = with_preset(read_text(PARAMS), changes(keys, options.recordings))
    PARAMS.write_text(text, encoding="utf-8", newline="\n")
    folder = options.recordings.as_posix()
    print(f"{PARAMS} is set for {', '.join(keys)}; see what changed: git diff {PARAMS}")
    print(
        "next, with the game in a window:",
        f'  understudy record --window "Name of my game" --out {folder}    # three times or more, twelve minutes',
        f"  understudy doctor {folder}",
        f'  dvc add {folder} && git add -A && git commit -m "My recordings"',
        "  dvc repro report    # learns, without the bundled game; dvc repro play ends as soon as the agent can play",
        sep="\n",
    )


def changes(keys: Mapping[str, tuple[str, ...]], recordings: Path) -> dict[str, object]:
    """{key of params.yaml with dots: value} for these actions and their keys."""
    actions = list(keys)
    return {
        "recordings": recordings.as_posix(),
        "actions": in_line(actions),
        "keys": CommentedMap({action: in_line(held) for action, held in keys.items()}),
        "rare_actions": in_line([]),
        "evaluate.composite": in_line(dict.fromkeys(actions, round(1 / len(actions), 3))),
        "latent_action.probe_actions": in_line(actions[:2]),
        "latent_action.search_px": in_line([8, 8]),  # things move up and down, too
        "latent_action.effect": "image_shift_px",  # a screen tells no state
        "play.elsewhere": False,
    }


def in_line(value: list | tuple | dict) -> CommentedSeq | CommentedMap:
    """Written as [a, b] or {a: b}."""
    styled = CommentedMap(value) if isinstance(value, dict) else CommentedSeq(value)
    styled.fa.set_flow_style()
    return styled
