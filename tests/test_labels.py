"""`make labels` for real, on a small video of a picture that turns, with two labels, and in the real game."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import adjusted_mutual_info_score
from stages.evaluation.acting import RULES
from stages.latent_actions.naming import in_codes_of
from stages.latent_actions.shaping import Shaping

from stages import extract_latent_actions, labels, train_latent_action
from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.games.catalog import TEST_SEEDS, game_seeds
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.models.autoencoder import Autoencoder, encode_frames

PARAMS = Path("params.yaml").resolve()
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
    """episodes.zarr, and latents.zarr by an autoencoder that has learned nothing."""
    attrs = {"action_names": list(ACTIONS), "state_columns": [], "fps": 10.0, "recordings": "data/raw/doom_center",
             "width": WIDTH, "height": HEIGHT, "color": "gray"}  # fmt: skip
    torch.manual_seed(0)
    autoencoder = Autoencoder(**AUTOENCODER).eval()
    save_model(folder / "data/models/autoencoder", autoencoder, AUTOENCODER)
    compute = prepare_compute("cpu", "no", 1, 0)
    with StoreWriter(folder / "data/episodes.zarr", attrs=attrs) as episodes:
        with StoreWriter(folder / "data/latents.zarr", attrs=attrs) as latents:
            for number, split in enumerate(SPLITS):
                frames, keys = turning_episode(number)
                info = EpisodeInfo(episode_name(number), f"s{number}", 0, split, FRAMES, None, None)
                known = {"actions": keys, "t": np.arange(FRAMES) / 10}
                episodes.episode(info, known | {"frames": frames})
                latents.episode(info, known | {"latents": encode_frames(autoencoder, frames, compute)})


def write_params(folder, **latent_action):
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params |= {"threads": 1, "workers": 1, "device": "cpu", "precision": "no", "sequence_length": 3}
    params["evaluate"]["bootstrap"] = 20
    params["recurrent"] |= {"hidden": [4], "epochs": 1}
    params["play"] |= {"val_episodes": 1, "test_episodes": 2, "lanes": 2, "max_episode_s": 1}
    params["labelling"] |= {
        "counts": [2, 20],
        "draws": 2,
        "slow_draws": 1,
        "reach": 1,
        "policy_hidden": [4],
        "played": [20],
        "epochs": 1,
        "steps": 2,
    }
    params["latent_action"] |= {
        "codes": 4, "code_dim": 4, "channels": [4, 8], "search_px": [6, 2], "epochs": 2, "batch_size": 16,
        "learning_rate": 0.01, "quantize_after_steps": 4,
    } | latent_action  # fmt: skip
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def write_players(path, games=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["policy", "seed", "return"])
        for name, score in PLAYERS.items():
            table.writerows([name, seed, score] for seed in game_seeds(TEST_SEEDS, 0, games))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which everything that `make labels` reads is there, and `make labels` has run."""
    folder = tmp_path_factory.mktemp("labels")
    write_stores(folder)
    write_params(folder)
    write_players(folder / "reports/test/play/returns.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_latent_action.main()
        extract_latent_actions.main()
        labels.main()
    return folder


@pytest.fixture
def found(done):
    return json.loads((done / "reports/labels.json").read_text(encoding="utf-8"))


def test_every_way_is_told_for_every_number_of_labels(found):
    rows = {(row["labels"], row["choice"], row["way"]): row for row in found["curve"]}
    assert len(rows) == len(found["curve"]) == 2 * (7 + 4)  # the slow ways only for the labels that are played by
    for row in rows.values():
        assert row["draws"] == (1 if row["way"] in ("shaped", "inverse", "cloning") else 2)
        assert 0 <= row["exact_low"] <= row["exact"] <= row["exact_high"] <= 1
        # no label ever holds DASH, which is counted and never pressed; nor do the test episodes hold it
        assert row["absent"]["DASH"] == row["draws"] and row["f1"]["DASH"] == 0
    assert rows[20, "spread", "vectors"]["exact"] > rows[2, "spread", "vectors"]["exact"]


def test_who_plays_is_compared_on_the_seeds_of_the_stage_play(found):
    rows = {(row["labels"], row["who"]): row for row in found["play"]}
    assert set(rows) == {(20, who) for who in ("named", "shaped", "decoded", "cloning")}
    for row in rows.values():
        assert row["games"] == 2 and row["acting_rule"] in RULES and row["absent"] == ["DASH"]
        assert row["share_of_all_labels"] == pytest.approx(row["return"] / PLAYERS["agent"])
        assert row["return_fraction"] == pytest.approx((row["return"] + 2) / 8)
    assert found["marks"]["cloning from all labels"] == PLAYERS["agent"]


def test_the_page_opens_offline_and_says_what_was_not_labelled(done):
    page = (done / "reports/labels.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 and "http" not in page
    assert "20 labels, spread: no example of DASH in 2 of 2 draws" in page


def test_a_second_run_repeats_nothing_and_a_fresh_one_gives_the_same(done, monkeypatch):
    monkeypatch.chdir(done)
    before = Path("reports/labels.json").read_bytes()

    def nobody_asks(*args):
        raise AssertionError(args)

    with monkeypatch.context() as patch:
        patch.setattr(labels, "named_row", nobody_asks)
        patch.setattr(labels, "played_row", nobody_asks)
        labels.main()
    assert Path("reports/labels.json").read_bytes() == before
    [folder] = Path(".resume").glob("labels-*")
    folder.rename("finished")
    labels.main()
    assert Path("reports/labels.json").read_bytes() == before
    assert not [path for path in folder.rglob("*") if path.name.startswith("step-")]


def test_what_is_missing_is_named(done, tmp_path, monkeypatch):
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="episodes.zarr does not exist; `make labels` reads what `dvc repro` writes"):
        labels.main()
    monkeypatch.chdir(done)
    write_players(Path("reports/test/play/returns.csv"), games=1)
    with pytest.raises(ValueError, match="has not the 2 test games of agent"):
        labels.main()
    write_players(Path("reports/test/play/returns.csv"))


def test_codes_that_labels_helped_to_shape_are_not_named_by_few(tmp_path, monkeypatch):
    write_params(tmp_path, label_share=0.1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="label_share is 0.1: the codes have seen more labels"):
        labels.main()


def test_labels_choose_what_codes_tell_apart(tmp_path, monkeypatch):
    write_stores(tmp_path)
    write_params(tmp_path, codes=2)  # too few for LEFT, RIGHT and standing still
    monkeypatch.chdir(tmp_path)
    train_latent_action.main()
    extract_latent_actions.main()
    write_params(tmp_path, codes=2, batch_size=2, label_weight=10.0)  # many steps in one epoch
    namers, _ = labels.read_videos(labels.read_params(), prepare_compute("cpu", "no", 1, 0), tmp_path / "scratch")
    train = namers.train
    assert len(train.keys) == len(train.current)
    samples = np.arange(0, len(train.keys), 2)

    def agreement(video, action):
        return adjusted_mutual_info_score(train.keys[:, action], video.codes[video.current])

    for action in (ACTIONS.index("LEFT"), ACTIONS.index("RIGHT")):
        held = train.keys[samples, action, None]
        namers = replace(namers, scratch=tmp_path / ACTIONS[action])
        model = namers.shaped(samples, held)
        shaped = in_codes_of(model, train, namers.compute)
        assert agreement(train, action) < 0.5 < 0.8 < agreement(shaped, action)
        assert shaped.codebook.shape == train.codebook.shape and (shaped.codes >= 0).sum() == (train.codes >= 0).sum()
        with monkeypatch.context() as patch:
            patch.setattr(Shaping, "_learned_on", None)  # it is kept
            again = namers.shaped(samples, held)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_shaped_codes_are_the_same_whatever_came_before(done, tmp_path, monkeypatch):
    monkeypatch.chdir(done)
    found = []
    for seed in (3, 4):
        folder, samples = tmp_path / str(seed), np.arange(5)
        namers, _ = labels.read_videos(labels.read_params(), prepare_compute("cpu", "no", 1, 0), folder)
        torch.manual_seed(seed)
        found.append(namers.shaped(samples, namers.train.keys[samples]).state_dict())
    assert found[0].keys() == found[1].keys() and "labels.weight" in found[0]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_labels_are_drawn_from_train_alone(done, monkeypatch):
    monkeypatch.chdir(done)
    params = labels.read_params()
    compute = prepare_compute("cpu", "no", 1, 0)
    namers, _ = labels.read_videos(params, compute, Path(".resume/other"))
    samples, held = labels.labels_of(params, namers.train, "spread", 5, draw=0)
    recorded = EpisodeStore("data/episodes.zarr").concatenated("actions", "train")[0].astype(bool)
    assert np.array_equal(held, recorded[namers.train.current[samples]])
    assert not np.array_equal(samples, labels.labels_of(params, namers.train, "spread", 5, draw=1)[0])
