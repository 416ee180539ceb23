"""`python -m stages.commands.preset NAME`: what belongs together, set in params.yaml at once; comments stay.

A preset is a file of stages/commands/presets: a key with dots to its value. `git diff params.yaml` shows what it set,
`git checkout params.yaml` takes it back; then `dvc repro` or `dvc exp run`. Without a name it lists the presets.
"""

import argparse
import io
from collections.abc import Mapping
from copy import copy
from pathlib import Path

import torch
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from torch.utils.flop_counter import FlopCounterMode

from stages.episodes.preprocess import CHANNELS, picture_size, shrink_for, shrunk_size
from stages.models.latent_action import LatentActionDesign, LatentActionModel
from stages.params import Params, read_params, read_text, tree_of, validated
from stages.run import run_stage

PRESETS = Path(__file__).parent / "presets"
PARAMS = Path("params.yaml")


def names() -> list[str]:
    """All presets by name."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def read_preset(name: str) -> Mapping[str, object]:
    """The values of a preset, each in the style in which its file has it: [a, b], {a: b}."""
    return YAML().load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))


def with_preset(text: str, preset: Mapping[str, object]) -> str:
    """params.yaml's text with the values of a preset, checked; ValueError for a key that params.yaml does not have.

    The section of the game that it sets may be a new one.
    """
    if not isinstance(tree_of(text, PARAMS), dict):
        raise ValueError(f"{PARAMS} must hold keys and values; git checkout {PARAMS} brings back the committed one")
    kind = YAML()
    kind.preserve_quotes, kind.width = True, 120
    tree = kind.load(text)
    for key, value in preset.items():
        *sections, last = key.split(".")
        node = tree
        for section in sections:
            node = node.get(section)
            if not isinstance(node, dict):
                raise ValueError(
                    f"the preset sets {key}, but params.yaml has no section {section}; is it of another version?"
                )
        if last not in node and key != preset.get("game"):
            raise ValueError(f"the preset sets {key}, which params.yaml does not have; is it of another version?")
        if last not in node or node[last] != value:
            if value == []:
                node.ca.items.pop(last, None)  # a block's comment stands before it, where [] cannot follow
            node[last] = in_style_of(node.get(last), value)
    written = io.StringIO()
    kind.dump(tree, written)
    validated(tree_of(written.getvalue(), PARAMS), PARAMS)
    return written.getvalue()


def in_style_of(old: object, value: object) -> object:
    """The value, as a block where the old one is a block: DVC makes such of [a, b], with the comment before it."""
    if isinstance(value, CommentedSeq | CommentedMap) and isinstance(old, CommentedSeq | CommentedMap):
        value = copy(value)
        if not old.fa.flow_style():
            value.fa.set_block_style()
    return value


def latent_action_cost(params: Params) -> tuple[int, int]:
    """Weights of the latent action model, and floating point operations of one step of its training a transition.

    Counted forwards and backwards, without the roll-outs (`rollout_share`) and the optimizer.
    """
    own, channels = params.latent_action, CHANNELS[params.convert.color]
    source = params.collect.height, params.collect.width
    size = picture_size(params.convert, source, max(params.convert.pixels))
    height, width = shrunk_size(size, shrink_for(size, own.pixels))
    model = LatentActionModel(
        LatentActionDesign.from_section(own, labels=0, height=height, width=width, in_channels=channels)
    )
    frames = torch.zeros(1, own.past_frames + 2, channels, height, width)
    with FlopCounterMode(display=False) as counter:
        model(frames).frame.sum().backward()
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description="Set what belongs together in params.yaml.")
    parser.add_argument("name", nargs="?", choices=names(), help="without one: the list of presets")
    name = parser.parse_args().name
    if name is None:
        for each in names():
            comment = (PRESETS / f"{each}.yaml").read_text(encoding="utf-8").splitlines()[0]
            print(f"{each:<12} {comment.removeprefix('# ')}")
        return
    preset = read_preset(name)
    PARAMS.write_text(with_preset(read_text(PARAMS), preset), encoding="utf-8")
    print(f"set {len(preset)} values in {PARAMS}: {', '.join(preset)}")
    weights, operations = latent_action_cost(read_params(PARAMS))
    print(
        f"the latent action model now has {weights / 1e6:.2f} million weights; a step costs {operations / 1e9:.2f} "
        f"GFLOP a transition"
    )


if __name__ == "__main__":
    run_stage(main)
