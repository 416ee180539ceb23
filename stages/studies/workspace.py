"""A folder in which stages of the pipeline run with other params than the project's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from stages.params import read_text, read_tree, tree_of, validated
from stages.paths import PARAMS, PRESETS, PRETRAINED


class Workspace:
    """`folder` with a params.yaml of its own: the project's, with `changes` {key with dots: value} laid over.

    It is made anew: what a killed run left is gone. Weights that policies begin with come along, where there are some.
    """

    def __init__(self, folder: str | Path, changes: Mapping[str, object]):
        self.folder = Path(folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if PRETRAINED.is_file():
            (self.folder / PRETRAINED).parent.mkdir(parents=True)
            shutil.copyfile(PRETRAINED, self.folder / PRETRAINED)
        self._tree = read_tree(PARAMS)
        validated(self._tree, PARAMS)
        self.change(changes)

    def change(self, changes: Mapping[str, object]) -> None:
        """Lays more changes over; ValueError for a key that params.yaml does not have, and for what it may not hold."""
        for key, value in changes.items():
            *sections, last = key.split(".")
            node = self._tree
            for section in sections:
                node = node[section]
            if last not in node:
                raise ValueError(f"a study sets {key}, which params.yaml does not have")
            node[last] = value
        validated(self._tree, self.folder / PARAMS)
        with (self.folder / PARAMS).open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(self._tree, file)

    def run(self, stage: str) -> None:
        """Runs a stage in the folder; ValueError when it fails (it has said why)."""
        environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
        done = subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=self.folder, env=environment)
        if done.returncode:
            raise ValueError(f"the stage {stage} failed in {self.folder}; what it said stands above")


def preset(name: str) -> dict[str, object]:
    """The changes of a preset; ValueError when there is none of that name, or the params it was chosen for."""
    path = PRESETS / f"{name}.yaml"
    return tree_of(read_text(path), path)
