"""The stages train_autoencoder and extract_latents for real, on a small video of a dot on a textured wall."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import extract_latents, train_autoencoder
from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.episodes.windows import FrameBank
from stages.evaluation.autoencoder import Scoring, TrainFindings, judge_split
from stages.evaluation.figures.autoencoder import reconstructions_figure
from stages.models.autoencoder import encode_frames, load_autoencoder
from stages.models.reconstruction import background_of
from stages.train_autoencoder import pictured

PARAMS = Path("params.yaml").resolve()
HEIGHT, WIDTH, FRAMES = 25, 38, 40
SPLITS = ("train",) * 6 + ("val", "val", "test", "test")
WALL = np.random.default_rng(9).integers(40, 60, (HEIGHT, WIDTH)).astype(np.uint8)


def episode_with_a_dot(seed):
    """Frames uint8 [T, 1, H, W] in which a bright dot runs along a row, and the state [T, 3]; it is away at times."""
    draw = np.random.default_rng(seed)
    x = np.clip(np.cumsum(draw.integers(-3, 4, FRAMES)) + WIDTH // 2, 2, WIDTH - 3)
    there = np.arange(FRAMES) % 20 < 14
    frames = np.repeat(WALL[None], FRAMES, axis=0)
    for frame, at, seen in zip(frames, x, there, strict=True):
        frame[10:14, at - 2 : at + 2] = 200 if seen else frame[10:14, at - 2 : at + 2]
    state = np.stack([np.ones(FRAMES), there, np.where(there, x * 8.0, np.nan)], axis=1)
    return frames[:, None], state.astype(np.float32)


def write_episodes(path, with_state=True):
    columns = ["health", "enemy_in_view", "enemy_x_px"] if with_state else []
    attrs = {"action_names": ["LEFT"], "state_columns": columns, "fps": 10.0, "recordings": "data/raw/x",
             "width": WIDTH, "height": HEIGHT, "color": "gray"}  # fmt: skip
    with StoreWriter(path, attrs=attrs) as writer:
        for number, split in enumerate(SPLITS):
            frames, state = episode_with_a_dot(number)
            arrays = {"frames": frames, "actions": np.ones((FRAMES, 1), np.uint8), "t": np.arange(FRAMES) / 10}
            info = EpisodeInfo(episode_name(number), f"s{number}", 0, split, FRAMES, None, None)
            writer.episode(info, arrays | ({"state": state} if with_state else {}))


def write_params(folder, in_ram_gb=4.0, **autoencoder):
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params |= {"latent_dim": 6, "threads": 1, "device": "cpu", "precision": "no"}
    params["evaluate"]["bootstrap"] = 20
    params["training"]["frames_in_ram_gb"] = in_ram_gb
    params["autoencoder"] |= {
        "channels": [4, 8],
        "steps": 150,
        "evaluate_every": 20,
        "batch_size": 16,
        "learning_rate": 0.01,
    } | autoencoder
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which both stages have run."""
    folder = tmp_path_factory.mktemp("trained")
    write_episodes(folder / "data/episodes.zarr")
    write_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_autoencoder.main()
        extract_latents.main()
    return folder


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_learns_the_dot_and_the_probe_finds_it(trained):
    val = read_json(trained / "reports/autoencoder/metrics.json")
    assert val["ae_psnr_db"] > val["ae_background_psnr_db"] + 2
    assert val["ae_moving_psnr_db"] > val["ae_background_moving_psnr_db"] + 2
    assert val["ae_psnr_db_low"] <= val["ae_psnr_db"] <= val["ae_psnr_db_high"]
    assert val["ae_ssim"] > val["ae_background_ssim"]
    assert val["ae_object_ap"] > 0.95 > val["ae_object_ap_blind"] == pytest.approx(0.7)
    assert val["ae_object_ap_raw"] > 0.95
    assert val["ae_object_error_px"] < val["ae_object_error_px_blind"] / 2
    assert abs(val["ae_train_psnr_db"] - val["ae_psnr_db"]) < 10


def test_test_is_scored_apart(trained):
    val, test = (read_json(trained / f"reports/{name}/metrics.json") for name in ("autoencoder", "test/autoencoder"))
    assert set(val) - set(test) == {"ae_train_psnr_db"} and set(test) <= set(val)
    assert test["ae_psnr_db"] != val["ae_psnr_db"]
    for name in ("autoencoder", "test/autoencoder"):
        assert (trained / "reports" / name / "reconstructions.png").stat().st_size > 10_000
    assert (trained / "reports/autoencoder/live/plots/metrics/val/psnr_db.tsv").is_file()
    assert not list((trained / ".resume").iterdir())


def test_the_latents_are_those_of_the_frames(trained):
    frames, latents = EpisodeStore(trained / "data/episodes.zarr"), EpisodeStore(trained / "data/latents/episodes.zarr")
    assert latents.attrs == frames.attrs and latents.episodes() == frames.episodes()
    model = load_autoencoder(trained / "data/models/autoencoder")
    compute = train_autoencoder.prepare_compute("cpu", "no", 1, 0)
    for episode in frames.episodes():
        found = latents.read(episode.name, "latents")
        assert found.shape == (FRAMES, 6) and found.dtype == np.float32
        assert np.array_equal(found, encode_frames(model, frames.read(episode.name, "frames"), compute))
        for name in ("actions", "t"):
            assert np.array_equal(latents.read(episode.name, name), frames.read(episode.name, name))
    assert not latents.has("frames")


def test_again_gives_the_same_bits_and_without_state_the_probe_is_null(trained, tmp_path, monkeypatch, capsys):
    write_episodes(tmp_path / "data/episodes.zarr", with_state=False)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    train_autoencoder.main()
    weights = Path("data/models/autoencoder/model.safetensors")
    assert weights.read_bytes() == (trained / weights).read_bytes()
    first, second = (read_json(folder / "reports/autoencoder/metrics.json") for folder in (trained, tmp_path))
    assert first.keys() == second.keys()
    for name, value in second.items():
        assert value == (None if "object" in name else first[name]), name
    said = capsys.readouterr().out
    assert "no state columns enemy_in_view and enemy_x_px (it has: none)" in said


def test_spatial_latents_of_frames_that_are_read_from_disk(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "data/episodes.zarr", tmp_path / "data/episodes.zarr")
    write_params(tmp_path, in_ram_gb=0.0, kind="spatial", steps=5)
    monkeypatch.chdir(tmp_path)
    train_autoencoder.main()
    extract_latents.main()
    assert EpisodeStore("data/latents/episodes.zarr").row_layout("latents") == ((8, 7, 10), np.dtype(np.float32))
    assert read_json(Path("reports/autoencoder/metrics.json"))["ae_object_ap"] is not None


def test_the_background_is_the_wall_without_the_dot(trained):
    store = EpisodeStore(trained / "data/episodes.zarr")
    background, deviation = background_of(FrameBank(store, "train", "frames", 1.0))
    assert np.array_equal((background * 255).round().numpy(), WALL[None])
    dot = np.stack([store.read(episode.name, "frames") for episode in store.episodes("train")]).astype(float) - WALL
    assert deviation == pytest.approx(np.sqrt(np.square(dot).mean()) / 255)


def test_a_perfect_and_a_blind_model_are_judged_as_such(trained):
    store = EpisodeStore(trained / "data/episodes.zarr")
    scoring = Scoring("enemy", 12, 10, 0)
    found = TrainFindings(0.0, None, float("nan"))

    def judged(squeeze):
        return judge_split(store, "val", squeeze, WALL[None], found, scoring)

    perfect = judged(lambda frames: (frames, frames))
    assert perfect["ae_psnr_db"] is None and perfect["ae_ssim"] == pytest.approx(1)  # infinite dB are null in JSON
    blind = judged(lambda frames: (frames, np.broadcast_to(WALL, frames.shape).copy()))
    for name in ("psnr_db", "moving_psnr_db", "ssim", "moving_ssim"):
        assert blind[f"ae_{name}"] == pytest.approx(blind[f"ae_background_{name}"])
    shares = [(store.read(episode.name, "frames") != WALL).mean() for episode in store.episodes("val")]
    assert np.mean(shares) > 0.005


def test_pictures_are_spread_over_the_split_and_drawn_grey_or_in_colour(trained):
    frames = pictured(EpisodeStore(trained / "data/episodes.zarr"), "val")
    assert frames.shape == (6, 1, HEIGHT, WIDTH)
    figure = reconstructions_figure(frames, frames)
    assert len(figure.axes) == 3 * 6 + 1
    colour = frames.repeat(3, axis=1)
    assert len(reconstructions_figure(colour[:2], colour[:2]).axes) == 3 * 2 + 1
    with pytest.raises(ValueError, match="nothing to compare"):
        reconstructions_figure(frames, frames[:2])


def test_blocks_of_frames_do_not_show_in_the_metrics(trained, monkeypatch):
    store = EpisodeStore(trained / "data/episodes.zarr")

    def judged():
        found = TrainFindings(0.0, None, float("nan"))
        return judge_split(store, "val", lambda f: (f, f // 2), WALL[None], found, Scoring("enemy", 12, 10, 0))

    whole = judged()
    monkeypatch.setattr("stages.evaluation.autoencoder.CHUNK", 7)
    monkeypatch.setattr("stages.evaluation.autoencoder.BLOCK_VALUES", 1)
    for name, value in judged().items():
        assert value == (None if value is None else pytest.approx(whole[name], rel=1e-6)), name
