"""A kind of policy is added by the files that its folder's README lists, and runs through train, evaluate and play."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from stages.episodes.store import EpisodeInfo, StoreWriter, episode_name
from stages.games.catalog import TEST_SEEDS, VALIDATION_SEEDS, game_seeds

ROOT = Path(__file__).parents[1]
README = ROOT / "stages/models/policies/README.md"
TINY = {"convert": {"width": 32, "height": 18}, "evaluate": {"bootstrap": 20}, "training": {"warmup_steps": 2},
        "play": {"val_episodes": 1, "test_episodes": 2, "lanes": 1, "max_episode_s": 3, "videos": 0},
        "brightness": {"steps": 6, "evaluate_every": 3}}  # fmt: skip


def example() -> dict[str, str]:
    """The code blocks of the README: the class, the section of params.yaml and the preset."""
    blocks = re.findall(r"```\w+\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return dict(zip(("class", "section", "preset"), blocks, strict=True))


def add_policy(copy: Path) -> None:
    """The files of the README's table, as it says."""
    blocks = example()
    (copy / "stages/models/policies/brightness.py").write_text(blocks["class"])
    (copy / "stages/commands/presets/brightness.yaml").write_text(blocks["preset"])
    with (copy / "params.yaml").open("a", encoding="utf-8") as params:
        params.write(blocks["section"])
    registry = copy / "stages/models/policies/registry.py"
    words = registry.read_text(encoding="utf-8")
    for line, new in (
        ("from stages.models.policies.policy import", "from stages.models.policies.brightness import Brightness"),
        ('    "recurrent": Recurrent,', '    "brightness": Brightness,'),
    ):
        assert words.count(line) == 1
        words = words.replace(line, f"{new}\n{line}")
    registry.write_text(words, encoding="utf-8")


def write_inputs(copy: Path, actions: list[str]) -> None:
    """A store of noise, and what script and blind players earned in the games that are played."""
    rng = np.random.default_rng(0)
    attrs = {"action_names": actions, "state_columns": [], "fps": 11.67, "recordings": "data/raw/doom_center",
             "width": 32, "height": 18, "color": "gray"}  # fmt: skip
    with StoreWriter(copy / "data/episodes.zarr", attrs=attrs) as writer:
        for number, split in enumerate(["train", "train", "val", "test"]):
            arrays = {"frames": rng.integers(0, 255, (30, 1, 18, 32), np.uint8), "t": np.arange(30.0) + 100 * number}
            held = (rng.random((30, len(actions))) < 0.4).astype(np.uint8)
            writer.episode(
                EpisodeInfo(episode_name(number), f"s{number}", 0, split, 30, None, None), arrays | {"actions": held}
            )
    folder = copy / "reports/play_baselines"
    folder.mkdir(parents=True)
    (folder / "choice.json").write_text(json.dumps({"blind_policy": "none", "candidates": 1}))
    seeds = {"val": game_seeds(VALIDATION_SEEDS, 0, 1), "test": game_seeds(TEST_SEEDS, 0, 2)}
    with (folder / "returns.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["split", "policy", "seed", "return", "length"])
        for split, some in seeds.items():
            for name, score in (("best_blind", 1.0), ("script", 9.0), ("random", 0.0)):
                table.writerows([split, name, seed, score, 30] for seed in some)


def test_the_example_of_the_readme_is_trained_evaluated_and_plays(tmp_path):
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(ROOT / name, tmp_path)
    add_policy(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("stages.commands.preset", "brightness")
    tree = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    assert (tree["policy"], tree["policy_reads"]) == ("brightness", "data/episodes.zarr")
    tree |= {"threads": 1, "workers": 1}
    for section, values in TINY.items():
        tree[section] |= values
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    write_inputs(tmp_path, tree["actions"])
    for stage in ("train_policy", "evaluate", "play"):
        run(f"stages.{stage}")
    said = json.loads((tmp_path / "data/agent/policy/config.json").read_text())
    assert said["kind"] == "brightness" and said["window"] == 4 and said["shapes"] == {"frames": [1, 18, 32]}
    assert not (tmp_path / "data/agent/encoder").exists()
    played = json.loads((tmp_path / "reports/test/play/metrics.json").read_text())
    assert isinstance(played["return"], float)
    run("stages.commands.deps")
    assert "stages/models/policies/brightness.py" in (tmp_path / "dvc.yaml").read_text()
