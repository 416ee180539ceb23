"""A game is a plug: one file, one line in the catalog, one preset; then it is recorded and played."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.commands.deps import LOCK

ROOT = Path(__file__).parents[1]
GAME = '''
"""A dot that is pushed to the right edge of the picture."""

import numpy as np

from stages.games.game import Game, Script
from stages.params import Count, Section


class ToyOptions(Section):
    """The section `toy` of params.yaml."""

    stride_px: Count


class ToyScript(Script):
    def wish(self, state, pending):
        return frozenset({"RIGHT"})


class Toy(Game):
    tic_rate_hz, tics_per_frame = 20, 2
    keys = {"LEFT": "Key.left", "RIGHT": "Key.right"}
    state_columns = ("dot_x_px",)
    options, script = ToyOptions, ToyScript
    events = {"dot moves": ("dot_x_px", "moves")}

    def __init__(self, *, width, height, options, sighted=True):
        self._size, self._options = (height, width), options

    def reset(self, seed):
        self._start = self._x = seed % 5

    def step(self, held):
        for actions in held:
            self._x += self._options.stride_px * (("RIGHT" in actions) - ("LEFT" in actions))
            self._x = max(self._x, 0)

    def frame(self):
        image = np.zeros((*self._size, 3), np.uint8)
        image[:, self._x : self._x + 4] = 200
        return image

    def state(self):
        return {"dot_x_px": float(self._x)}

    @property
    def score(self):
        return float(self._x - self._start)

    @property
    def done(self):
        return self._x >= self._size[1] - 4

    @property
    def outcome(self):
        return "arrived"

    def close(self):
        pass
'''
PRESET = """# A dot that is pushed to the right.
game: toy
recordings: data/raw/toy
toy: {stride_px: 2}
actions: [LEFT, RIGHT]
rare_actions: []
evaluate.composite: {RIGHT: 1.0}
latent_action.probe_actions: [LEFT, RIGHT]
collect.sessions: 1
collect.episodes_per_session: 2
collect.max_episode_s: 20
collect.width: 64
collect.height: 48
"""
PLAY = """
import numpy as np
from stages.games.catalog import options_of, records_bundled_game
from stages.games.rollout import GameSetting, play_agent
from stages.params import read_params

class Agent:
    reads_state = False

    def reset(self, lane): pass
    def logits(self, images):
        assert all(image.shape == (48, 64, 3) for image in images.values())
        return {lane: np.array([-1.0, 1.0], np.float32) for lane in images}

params = read_params()
assert records_bundled_game(params.recordings, params.game)
setting = GameSetting("toy", 64, 48, params.actions, 20, options_of(params))
played = play_agent(setting, Agent(), [(lambda logits, random: logits > 0, 3)], lanes=1)
print("score", played[0].score)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the toy game added as stages/games/README.md says."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "stages", project / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml", LOCK):
        shutil.copy2(ROOT / name, project / name)
    (project / "stages/games/toy.py").write_text(GAME, encoding="utf-8")
    (project / "stages/commands/presets/toy.yaml").write_text(PRESET, encoding="utf-8")
    catalog = project / "stages/games/catalog.py"
    text = catalog.read_text(encoding="utf-8").replace("= {\n", '= {\n    "toy": Toy,\n', 1)
    catalog.write_text(text.replace("\n\nGAMES", "\nfrom stages.games.toy import Toy\n\nGAMES", 1), encoding="utf-8")
    run(project, "-m", "stages.commands.preset", "toy")
    return project


def run(project: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_game_is_recorded_and_played(project):
    said = run(project, "-m", "stages.collect")
    assert "1 sessions, 2 episodes" in said
    assert sorted(path.name for path in (project / "data/raw/toy").iterdir()) == [
        f"toy_000{end}" for end in (".mp4", "_events.jsonl", "_frames.jsonl", "_session.json", "_state.csv")
    ]
    assert run(project, "-c", PLAY).split() == ["score", "60.0"], "15 frames of 2 x 2 px"


def test_dvc_takes_the_section_of_the_new_game_for_a_param(project):
    run(project, "-m", "stages.commands.deps")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=project, check=True)
    said = run(project, "-m", "dvc", "repro", "--dry", "collect")
    assert "stages.collect" in said
    text = (project / "dvc.yaml").read_text(encoding="utf-8")
    assert text.count("stages/games/toy.py") >= 3, "make deps has found the new file"


def test_a_wrong_option_of_the_new_game_is_named(project):
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace("stride_px: 2", "stride: 2"), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "stages.collect"], cwd=project, capture_output=True, text=True)
    (project / "params.yaml").write_text(text, encoding="utf-8")
    assert done.returncode != 0
    assert "toy.stride_px: this key is missing" in done.stderr and "toy.stride: no such key" in done.stderr
