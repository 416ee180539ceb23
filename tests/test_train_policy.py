"""The stage that trains a policy, with the params that change what a policy says and what it learns from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from stages import train_policy
from stages.episodes.store import EpisodeInfo, StoreWriter, episode_name
from stages.learning.compute import prepare_compute
from stages.models.agent import Agent

ACTIONS = ["LEFT", "RIGHT", "SHOOT"]
TINY = {"steps": 4, "evaluate_every": 2, "batch_size": 8, "channels": [4, 4], "strides": [2, 2], "dense": [8]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a store of noise, in which the view stands still, and params.yaml for a small cnn."""
    tree = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
    tree |= {
        "actions": ACTIONS,
        "rare_actions": [],
        "threads": 1,
        "policy": "cnn",
        "policy_reads": "data/episodes.zarr",
    }
    tree["evaluate"]["composite"], tree["latent_action"]["probe_actions"] = {"SHOOT": 1.0}, ["LEFT"]
    tree["training"]["warmup_steps"] = 1
    tree["cnn"] |= TINY
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    attrs = {"action_names": ACTIONS, "state_columns": [], "fps": 10.0, "recordings": "data/raw/mine",
             "mirror": {"LEFT": "RIGHT"}, "width": 32, "height": 18, "color": "gray"}  # fmt: skip
    with StoreWriter("data/episodes.zarr", attrs=attrs) as writer:
        for number, split in enumerate(["train", "train", "val", "test"]):
            frames = np.full((30, 1, 18, 32), 90, np.uint8)
            held = np.zeros((30, 3), np.uint8)
            for frame in range(30):
                place = int(rng.integers(2, 28))
                frames[frame, 0, 4:7, place : place + 3] = 250
                held[frame] = [place < 12, False, place % 2]  # nobody pressed RIGHT
            info = EpisodeInfo(episode_name(number), f"s{number}", 0, split, 30, None, None)
            writer.episode(info, {"frames": frames, "t": np.arange(30) / 10, "actions": held})
    return tree


def trained(tree, **changes) -> Agent:
    Path("params.yaml").write_text(yaml.safe_dump(tree | changes), encoding="utf-8")
    train_policy.main()
    return Agent.load("data/models/policy", prepare_compute("cpu", "no", 1, 0), batch=1)


def said(agent: Agent) -> np.ndarray:
    picture = np.full((18, 32, 3), 90, np.uint8)
    return np.stack([agent.logits({0: picture})[0] for _ in range(4)])


def test_combinations_of_the_training_and_of_its_mirror_are_decided_between(project, capsys):
    agent = trained(project, action_head="combinations", policy_members=2, label_smoothing=0.1)
    held = json.loads(Path("data/models/policy/agent.json").read_text(encoding="utf-8"))["acting"]["combinations"]
    assert sorted(held) == sorted([[], ["LEFT"], ["RIGHT"], ["SHOOT"], ["LEFT", "SHOOT"], ["RIGHT", "SHOOT"]])
    logits = said(agent)
    acting = agent.about.acting.by("likely")
    assert logits.shape == (4, 6) and acting.keys(logits).shape == acting.probabilities(logits).shape == (4, 3)
    assert not acting.keys(logits)[:, :2].all(axis=1).any()
    assert "augment.shift: 0.035, for the view stands still" in capsys.readouterr().out


def test_a_chunk_is_learned_and_played(project):
    agent = trained(project, action_chunk=3, policy_members=2, class_weights=True)
    assert said(agent).shape == (4, 3) and np.isfinite(said(agent)).all()
    assert json.loads(Path("data/models/policy/policy/config.json").read_text(encoding="utf-8"))["chunk"] == 3


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("temporal_cnn", {"memory": "gru", "size": 8, "channels": [4, 4], "strides": [2, 2]}),
        ("temporal_cnn", {"memory": "transformer", "size": 8, "channels": [4, 4], "strides": [2, 2]}),
        ("resnet", {"channels": [4, 4], "blocks": 1, "dense": [8]}),
        ("vit", {"size": 8, "layers": 1, "heads": 2}),
    ],
)
def test_every_kind_learns_with_its_own_dropout_and_two_threads(project, kind, changes):
    section = project[kind] | {"steps": 4, "evaluate_every": 2, "batch_size": 32} | changes
    assert section["dropout"] > 0
    agent = trained(project, policy=kind, threads=2, **{kind: section})
    torch.set_num_threads(1)
    assert said(agent).shape == (4, 3) and np.isfinite(said(agent)).all()


def test_what_windows_become_is_drawn_and_does_not_depend_on_what_was_drawn_before(project):
    trained(project)
    first = Path("reports/policy_training/augmented.png").read_bytes()
    trained(project | {"cnn": project["cnn"] | {"steps": 6}})
    assert Path("reports/policy_training/augmented.png").read_bytes() == first


def test_where_nothing_is_augmented_there_is_no_picture_of_it(project):
    trained(project, augment=project["augment"] | {"shift": 0.0, "flip": "none"})
    assert Path("reports/policy_training/training.json").exists()
    assert not Path("reports/policy_training/augmented.png").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action_head": "combinations", "action_chunk": 2}, "action_chunk is 2: set it to 1"),
        ({"action_head": "combinations", "loss": "focal"}, "goes with loss: bce"),
        ({"label_smoothing": 0.1, "loss": "focal"}, "goes with label_smoothing: 0, found 0.1"),
    ],
)
def test_params_that_exclude_each_other_are_refused_before_anything_is_learned(project, changes, message):
    with pytest.raises(ValueError, match=message):
        trained(project, **changes)


def test_a_past_that_is_shifted_needs_three_frames(project):
    short = {"cnn": project["cnn"] | {"frames": 2}, "augment": project["augment"] | {"frame_jitter": True}}
    with pytest.raises(ValueError, match="three frames or more, and no latents"):
        trained(project, **short)
