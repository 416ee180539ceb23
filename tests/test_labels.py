"""The study of few labels for real, on a small video of a picture that turns: the commands of its dvc.yaml.

They run in this process, which spares starting each.
"""

import csv
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import adjusted_mutual_info_score

from stages import train_latent_action
from stages.commands.deps import LOCK
from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.games.catalog import TEST_SEEDS, game_seeds
from stages.latent_actions.few_label_policies import POLICIES
from stages.latent_actions.learning import KnownKeys, shaped
from stages.latent_actions.pseudo_labels import LABELLERS, SLOW_LABELLERS, latent_actions_of
from stages.learning.checkpoints import read_json, save_model
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings
from stages.models.acting import RULES
from stages.models.autoencoder import Autoencoder, encode_frames
from stages.models.latent_action import load_latent_action
from stages.pages import labels_page
from stages.params import read_params
from stages.paths import ENCODER, EPISODES, LATENT_ACTION_MODEL, LATENT_STORE
from stages.studies.labels import latent_actions, policies, report
from stages.studies.labels.inputs import (
    UNSHAPED,
    chosen_file,
    cloned_folder,
    played_file,
    shaped_folder,
    transitions,
    video_of,
)

ROOT = Path(__file__).parents[1]
STUDY = "stages/studies/labels/dvc.yaml"
HEIGHT, WIDTH, FRAMES, SHIFT = 18, 26, 24, 4
SPLITS = ("train",) * 4 + ("val", "test", "test")
ACTIONS = ("LEFT", "RIGHT", "SHOOT", "DASH")
AUTOENCODER = {"kind": "dense", "channels": [4, 8], "latent_dim": 6, "height": HEIGHT, "width": WIDTH, "in_channels": 1}
PLAYERS = {"agent": 4.0, "best_blind": -2.0, "script": 6.0}


def turning_episode(seed):
    """Frames uint8 [T, 1, H, W] of a view that turns, and ACTIONS [T, 4]; nobody ever presses DASH."""
    draw = np.random.default_rng(seed)
    wall = np.repeat(draw.integers(30, 220, (HEIGHT // 2, FRAMES * SHIFT + WIDTH)), 2, axis=0).repeat(2, axis=1)
    keys = np.repeat(draw.integers(0, 3, FRAMES // 3), 3)
    at = FRAMES * SHIFT + np.cumsum(np.r_[0, np.array([-SHIFT, SHIFT, 0])[keys[:-1]]])
    frames = np.stack([wall[:, x : x + WIDTH] for x in at]).astype(np.uint8)
    return frames[:, None], np.stack([keys == 0, keys == 1, keys == 2, keys > 2], axis=1).astype(np.uint8)


def write_stores(folder):
    """The episodes, and their latents by an autoencoder that has learned nothing."""
    attrs = {"action_names": list(ACTIONS), "state_columns": [], "fps": 10.0, "recordings": "data/raw/doom_center",
             "width": WIDTH, "height": HEIGHT, "color": "gray"}  # fmt: skip
    torch.manual_seed(0)
    autoencoder = Autoencoder(**AUTOENCODER).eval()
    save_model(folder / ENCODER, autoencoder, AUTOENCODER)
    compute = prepare_compute("cpu", "no", 1, 0)
    with StoreWriter(folder / EPISODES, attrs=attrs) as episodes:
        with StoreWriter(folder / LATENT_STORE, attrs=attrs) as latents:
            for number, split in enumerate(SPLITS):
                frames, keys = turning_episode(number)
                info = EpisodeInfo(episode_name(number), f"s{number}", 0, split, FRAMES, None, None)
                known = {"actions": keys, "t": np.arange(FRAMES) / 10}
                episodes.episode(info, known | {"frames": frames})
                latents.episode(info, known | {"latents": encode_frames(autoencoder, frames, compute)})


def write_params(folder, changes=(), **latent_action):
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"threads": 1, "workers": 1, "device": "cpu", "precision": "no", "sequence_length": 3}
    params["evaluate"]["bootstrap"] = 20
    params["recurrent"] |= {"hidden": [4], "steps": 8, "evaluate_every": 8}
    params["play"] |= {"val_episodes": 1, "test_episodes": 2, "lanes": 2, "max_episode_s": 1}
    params["labelling"] |= {
        "counts": [2, 20], "draws": 2, "slow_draws": 1, "reach": 1, "policy_hidden": [4], "played": [20], "steps": 4,
        "evaluate_every": 2, "shaping_steps": 4,
    }  # fmt: skip
    params["latent_action"] |= {
        "codes": 4, "code_dim": 4, "channels": [4, 8], "search_px": [6, 2], "steps": 12, "evaluate_every": 6,
        "batch_size": 16, "learning_rate": 0.01, "quantize_after_steps": 4,
    } | latent_action  # fmt: skip
    (folder / "params.yaml").write_text(yaml.safe_dump(params | dict(changes)), encoding="utf-8")


def write_players(path, games=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["policy", "seed", "return"])
        for name, score in PLAYERS.items():
            table.writerows([name, seed, score] for seed in game_seeds(TEST_SEEDS, 0, games))


# Prints the study's stages as DVC reads them, its templates filled in: name, command, deps and outs.
READ_BY_DVC = f"""
import json
from dvc.repo import Repo
with Repo(".") as repo:
    print(json.dumps([
        [stage.name, stage.cmd, *([str(path) for path in paths] for paths in (stage.deps, stage.outs))]
        for stage in repo.stage.load_all({STUDY!r})
    ]))
"""


def stages_of(folder):
    """[name, command, deps, outs] of each stage of the study, in the order in which they stand."""
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    printed = subprocess.run(
        [sys.executable, "-c", READ_BY_DVC], cwd=folder, check=True, capture_output=True, text=True
    )
    return json.loads(printed.stdout)


class InThisProcess:
    """Plays here, which spares starting a process; in place of `Workers`."""

    count = 1

    def __init__(self, count):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def run(self, work, items, *, title, chunk):
        return work(items)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder in which the study has run, and its stages; each found its deps, left its outs and was run once."""
    folder = tmp_path_factory.mktemp("labels")
    write_stores(folder)
    write_params(folder)
    write_players(folder / "reports/test/play/returns.csv")
    shutil.copy(ROOT / LOCK, folder)
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_latent_action.main()
        stages = stages_of(folder)
        for name, command, deps, outs in stages:
            assert all(Path(path).exists() for path in deps), name
            with patch.context() as inside:
                if name != "policies@20-decoded":  # one row for real
                    inside.setattr(policies, "Workers", InThisProcess)
                run(command)
            assert all(Path(path).exists() for path in outs), name
    return folder, stages


@pytest.fixture
def done(study):
    return study[0]


def run(command):
    """`python -m module argument ...` in this process."""
    _, _, module, *arguments = command.split()
    importlib.import_module(module).main(*(int(each) if each.isdigit() else each for each in arguments))


@pytest.fixture
def found(done):
    return json.loads((done / "reports/labels.json").read_text(encoding="utf-8"))


def test_every_row_is_a_stage(study):
    assert sorted(name for name, *_ in study[1]) == sorted([
        "latent_actions", "unlearned", "latent_policy", "report",
        *(f"{stage}@{count}" for stage in ("shape", "clone", "inverse") for count in (2, 20)),
        *(f"{stage}@{count}-{choice}" for stage in ("choose", "decoders") for count in (2, 20)
          for choice in ("random", "spread")),
        *(f"networks@{count}-{labeller}" for count in (2, 20) for labeller in SLOW_LABELLERS),
        *(f"policies@20-{policy}" for policy in POLICIES),
    ])  # fmt: skip


def test_every_labeller_is_scored_for_every_number_of_labels(found):
    rows = {(row["labels"], row["choice"], row["labeller"]): row for row in found["curve"]}
    slow = set(SLOW_LABELLERS)
    assert len(rows) == len(found["curve"]) == 2 * (len(slow) + 2 * len(LABELLERS))  # slow ones for one choice
    assert {labeller for *_, labeller in rows} == {*LABELLERS, *slow} == set(labels_page.LABELLERS)
    for row in rows.values():
        assert row["draws"] == (1 if row["labeller"] in slow else 2)
        for split in ("", "val_"):
            assert 0 <= row[f"{split}exact"] <= 1 and (split or row["exact_low"] <= row["exact"] <= row["exact_high"])
        # no label ever holds DASH, which is counted and never predicted; nor do the test episodes hold it
        assert row["absent"]["DASH"] == row["draws"] and row["f1"]["DASH"] == 0
    assert rows[20, "spread", "vectors"]["exact"] > rows[2, "spread", "vectors"]["exact"]


def test_policies_are_compared_on_the_seeds_of_the_stage_play(found):
    rows = {(row["labels"], row["policy"]): row for row in found["play"]}
    assert set(rows) == {(20, policy) for policy in POLICIES}
    for row in rows.values():
        assert row["games"] == 2 and row["acting_rule"] in RULES and row["absent"] == ["DASH"]
        assert row["share_of_all_labels"] == pytest.approx(row["return"] / PLAYERS["agent"])
        assert row["return_fraction"] == pytest.approx((row["return"] + 2) / 8)
    assert found["marks"] == PLAYERS


def test_the_metrics_that_dvc_shows_read_validation_alone(done, found):
    metrics = read_json(done / "reports/labels/val.json")
    rows = {row["labels"]: row for row in found["curve"] if (row["choice"], row["labeller"]) == ("spread", "vectors")}
    assert {name for name in metrics if "accuracy" in name} == {"val_label_accuracy_2", "val_label_accuracy_20"}
    assert metrics["val_label_accuracy_20"] == rows[20]["val_exact"]
    played = {row["policy"]: row["val_return"] for row in found["play"]}
    assert {name: value for name, value in metrics.items() if "return" in name} == {
        f"val_return_{policy}_20": value for policy, value in played.items()
    }


def test_the_page_opens_offline_and_says_what_was_not_labelled(done):
    page = (done / "reports/labels.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 and "http" not in page
    assert "20 labels, spread: no example of DASH in 2 of 2 draws" in page


def test_rows_repeat_themselves_bit_for_bit(done, monkeypatch):
    monkeypatch.chdir(done)
    monkeypatch.setattr(policies, "Workers", InThisProcess)
    files = {
        chosen_file(20, "spread"): "choose 20 spread",
        shaped_folder(20, 0) / "train.safetensors": "shape 20",
        Path("data/labels/latent_policy/model.safetensors"): "latent_policy",
        cloned_folder(20, 0) / "0" / "model.safetensors": "clone 20",
        Path("data/labels/accuracy/20-spread-cloning.json"): "accuracy 20 spread cloning",
        Path("data/labels/inverse/20/0/train.safetensors"): "inverse 20",
        Path("data/labels/unlearned/test.safetensors"): "unlearned",
        played_file(20, "unlearned"): "policies 20 unlearned",
        played_file(20, "shaped"): "policies 20 shaped",
    }
    torch.manual_seed(7)  # whatever came before
    for path, command in files.items():
        before = path.read_bytes()
        path.unlink()
        run(f"python -m stages.studies.labels.{command}")
        assert path.read_bytes() == before, path
    assert not list(Path(".resume").glob("labels_*"))


def test_labels_are_drawn_from_train_alone(done, monkeypatch):
    monkeypatch.chdir(done)
    train = video_of(read_params(), "train", UNSHAPED)
    recorded = EpisodeStore(EPISODES).concatenated("actions", "train")[0].astype(bool)
    assert np.array_equal(train.keys, recorded[train.actions.current])
    assert np.bincount(train.actions.episode).tolist() == [FRAMES - 3] * 4  # two past frames and a next one
    first, second = read_json(chosen_file(20, "spread"))["draws"]
    assert first != second and max(first) < len(train.keys)


def test_nobody_plays_own_recordings_and_the_page_says_so(done, tmp_path, monkeypatch):
    for name in ("data", "reports"):
        shutil.copytree(done / name, tmp_path / name)
    write_params(tmp_path, {"recordings": "data/raw/mine"})
    monkeypatch.chdir(tmp_path)
    for policy in POLICIES:
        policies.main(20, policy)
    shutil.rmtree("reports/test")
    report.main()
    assert read_json(Path("reports/labels.json"))["play"] == []
    assert "no policy can play here" in Path("reports/labels.html").read_text(encoding="utf-8")


def test_missing_test_games_are_named(done, monkeypatch):
    monkeypatch.chdir(done)
    write_players(Path("reports/test/play/returns.csv"), games=1)
    with pytest.raises(ValueError, match="has not the 2 test games of agent"):
        report.main()
    write_players(Path("reports/test/play/returns.csv"))


def test_codes_that_labels_helped_to_shape_are_refused(tmp_path, monkeypatch):
    write_params(tmp_path, label_share=0.1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="label_share is 0.1: the codes have seen more labels"):
        latent_actions.main()


def test_labels_choose_what_codes_tell_apart(tmp_path, monkeypatch):
    write_stores(tmp_path)
    write_params(tmp_path, codes=2, steps=24)  # too few codes for LEFT, RIGHT and standing still
    monkeypatch.chdir(tmp_path)
    train_latent_action.main()
    write_params(tmp_path, codes=2, batch_size=2, label_weight=10.0)
    latent_actions.main()
    params, compute = read_params(), prepare_compute("cpu", "no", 1, 0)
    model, video = load_latent_action(LATENT_ACTION_MODEL), video_of(params, "train", UNSHAPED)
    found = transitions(params, model.past_frames)
    settings = FitSettings.from_sections(
        dict(params.latent_action) | {"steps": 60, "evaluate_every": 60}, params.training
    )
    samples = np.arange(0, len(video.keys), 2)

    def agreement(own, action):
        return adjusted_mutual_info_score(video.keys[:, action], own.codes[own.current])

    for action in (ACTIONS.index("LEFT"), ACTIONS.index("RIGHT")):
        known = KnownKeys.of_frames(
            found["train"], video.actions.current[samples], video.keys[samples, action, None], 0
        )
        after = shaped(
            model, found["train"], found["val"], known, params.latent_action, settings, compute, scratch=tmp_path / "s"
        )
        own = latent_actions_of(after, found["train"], compute)
        assert agreement(video.actions, action) < 0.5 < 0.8 < agreement(own, action)
        assert own.codebook.shape == video.actions.codebook.shape and np.array_equal(own.current, video.actions.current)
