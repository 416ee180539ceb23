"""The three latent action stages for real, on a small video of a picture that turns left and right."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
import zarr

from stages import evaluate_latent_action, extract_latent_actions, train_latent_action
from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter, episode_name
from stages.latent_actions import learning
from stages.latent_actions.learning import require_several_codes
from stages.latent_actions.measures import perplexity
from stages.latent_actions.transitions import codes_in, prediction_errors, spread_samples, transitions_of
from stages.params import read_params
from stages.studies.codes.inputs import CodesParams
from stages.studies.codes.learn import judged
from stages.studies.codes.summarise import COLUMNS, table
from stages.studies.workspace import preset
from stages.train_latent_action import known_keys

PARAMS = Path("params.yaml").resolve()
HEIGHT, WIDTH, FRAMES, SHIFT = 18, 26, 30, 4
SPLITS = ("train",) * 5 + ("val", "val", "test", "test")
WEIGHTS = Path("data/models/latent_action/model.safetensors")


def turning_episode(seed):
    """Frames uint8 [T, 1, H, W] of a view that turns, and the keys LEFT, RIGHT [T, 2] that turn it."""
    draw = np.random.default_rng(seed)
    wall = np.repeat(draw.integers(30, 220, (HEIGHT // 2, FRAMES * SHIFT + WIDTH)), 2, axis=0).repeat(2, axis=1)
    keys = np.repeat(draw.integers(0, 3, FRAMES // 3), 3)
    at = FRAMES * SHIFT + np.cumsum(np.r_[0, np.array([-SHIFT, SHIFT, 0])[keys[:-1]]])
    frames = np.stack([wall[:, x : x + WIDTH] for x in at]).astype(np.uint8)
    return frames[:, None], np.stack([keys == 0, keys == 1], axis=1).astype(np.uint8)


def write_episodes(path, with_actions=True, frames=FRAMES):
    attrs = {"action_names": ["RIGHT", "LEFT"] if with_actions else [], "state_columns": [], "fps": 10.0,
             "recordings": "data/raw/x", "width": WIDTH, "height": HEIGHT, "color": "gray"}  # fmt: skip
    with StoreWriter(path, attrs=attrs) as writer:
        for number, split in enumerate(SPLITS):
            pictures, keys = turning_episode(number)
            arrays = {"frames": pictures[:frames], "t": np.arange(frames) / 10}
            # RIGHT comes first in the store: columns are looked up by name.
            arrays |= {"actions": keys[:frames, ::-1]} if with_actions else {}
            writer.episode(EpisodeInfo(episode_name(number), f"s{number}", 0, split, frames, None, None), arrays)


def write_params(folder, threads=1, **latent_action):
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params |= {"threads": threads, "device": "cpu", "precision": "no", "actions": ["LEFT", "RIGHT"], "rare_actions": []}
    params["evaluate"] |= {"bootstrap": 20, "composite": {"LEFT": 1.0}}
    params["latent_action"] |= {
        "codes": 4, "code_dim": 4, "channels": [4, 8], "search_px": [6, 2], "steps": 27, "evaluate_every": 9,
        "batch_size": 16, "learning_rate": 0.01, "quantize_after_steps": 4, "probe_steps": 9, "picture_every_steps": 5,
        "probe_actions": ["LEFT", "RIGHT"],
    } | latent_action  # fmt: skip
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def run_all():
    for stage in (train_latent_action, extract_latent_actions, evaluate_latent_action):
        stage.main()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which all three stages have run."""
    folder = tmp_path_factory.mktemp("latent_action")
    write_episodes(folder / "data/episodes.zarr")
    write_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all()
    return folder


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_val_and_test_are_scored_by_the_same_names(done):
    val, test = (read_json(done / f"reports/{name}/metrics.json") for name in ("latent_action", "test/latent_action"))
    assert val.keys() == test.keys()
    for name in ("lam_gain_db", "lam_shuffle_drop_db", "lam_information_gained", "lam_change_accuracy"):
        assert {name, f"{name}_low", f"{name}_high"} <= val.keys()
    assert 1 <= val["lam_perplexity"] <= val["lam_codes_used"] <= 4 == 2 ** val["lam_capacity_bits"]
    assert val["lam_gain_db"] == pytest.approx(val["lam_psnr_db"] - val["lam_copy_psnr_db"])
    assert val["lam_identical_pairs"] > 0  # the view stands still at times
    for name in ("latent_action", "test/latent_action"):
        for picture in ("predictions", "every_code", "codes", "effects", "tsne", "rollout"):
            assert (done / f"reports/{name}/{picture}.png").stat().st_size > 4_000
    steps = {path.name for path in (done / "reports/latent_action_training/steps").iterdir()}
    assert {"step_000005_predictions.png", "step_000005_codes.png"} <= steps
    for name in ("rollouts", "driven"):
        assert (done / f"reports/latent_action/{name}.mp4").stat().st_size > 2_000
    beside = read_json(done / "reports/test/latent_action/splits.json")
    assert list(beside) == ["train", "val", "test"] and beside["val"]["lam_gain_db"] == val["lam_gain_db"]
    assert (done / "reports/latent_action_training/live/plots/metrics/val/gain_db.tsv").is_file()
    assert not list((done / ".resume").iterdir())


def test_the_data_set_loads_alone_in_three_lines(done):
    root = zarr.open_group(done / "data/latent_actions.zarr", mode="r")
    frames, codes = (root["episode_00000"][name][:] for name in ("frames", "codes"))
    now = np.unique(np.nonzero(codes >= 0)[0])
    following = frames[now + root.attrs["frame_gap"]]
    assert np.array_equal(now, np.arange(2, FRAMES - 1)) and codes.dtype == np.int16 and codes.max() < 4
    assert following.shape == (FRAMES - 3, 1, HEIGHT, WIDTH)

    store, own = EpisodeStore(done / "data/episodes.zarr"), EpisodeStore(done / "data/latent_actions.zarr")
    assert own.episodes() == store.episodes() and own.attrs["codes"] == 4 and own.attrs["past_frames"] == 2
    for name in ("frames", "actions", "t"):
        assert np.array_equal(own.read("episode_00003", name), store.read("episode_00003", name))


def test_again_gives_the_same_bits_and_without_actions_the_probe_is_null(done, tmp_path, monkeypatch, capsys):
    write_episodes(tmp_path / "data/episodes.zarr", with_actions=False)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_all()
    assert WEIGHTS.read_bytes() == (done / WEIGHTS).read_bytes()
    first, second = (read_json(folder / "reports/latent_action/metrics.json") for folder in (done, tmp_path))
    needs_keys = {name for name in first if any(part in name for part in ("probe", "change", "information"))}
    assert second == {name: None if name in needs_keys else value for name, value in first.items()}
    said = capsys.readouterr().out
    assert "has no actions; its metrics are null" in said
    assert "no state column player_angle_deg: effects are told by image_shift_px" in said
    assert not EpisodeStore("data/latent_actions.zarr").has("actions")


def test_a_killed_training_ends_with_the_same_bits(done, tmp_path, monkeypatch):
    shutil.copytree(done / "data/episodes.zarr", tmp_path / "data/episodes.zarr")
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    steps = []

    def killed_after_the_first_evaluation(task, step, go_on=train_latent_action.LatentActionTask.after_step):
        steps.append(step)
        if len(steps) == 12:
            raise KeyboardInterrupt
        go_on(task, step)

    monkeypatch.setattr(train_latent_action.LatentActionTask, "after_step", killed_after_the_first_evaluation)
    with pytest.raises(KeyboardInterrupt):
        train_latent_action.main()
    shutil.rmtree(train_latent_action.PICTURES)  # as DVC does before it runs a stage again
    train_latent_action.main()
    assert steps[12] > 0  # it went on from a checkpoint: with codes, moving averages and the end of the warm-up
    assert WEIGHTS.read_bytes() == (done / WEIGHTS).read_bytes()
    assert pictures_of(tmp_path) == pictures_of(done)


@pytest.fixture
def many_threads():
    yield
    torch.set_num_threads(1)


def test_threads_learn_the_same_bits_whichever_is_faster_and_after_a_kill(done, tmp_path, monkeypatch, many_threads):
    shutil.copytree(done / "data/episodes.zarr", tmp_path / "data/episodes.zarr")
    # All that draws random numbers and all that a batch shares, with labelled transitions that come up many times.
    write_params(tmp_path, threads=2, steps=18, past_dropout=0.3, label_share=0.02, dead_code_threshold=2.0,
                 rollout_share=0.5, picture_every_steps=0)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    own = train_latent_action.LatentActionTask
    slow, kill_at = 0, None

    def slow_for_some(task, model, samples, go_on=own.loss):
        time.sleep(0.03 * (samples[-1] % 2 == slow))
        return go_on(task, model, samples)

    def killed(task, step, go_on=own.after_step):
        if step == kill_at:
            raise KeyboardInterrupt
        go_on(task, step)

    monkeypatch.setattr(own, "loss", slow_for_some)
    monkeypatch.setattr(own, "after_step", killed)
    train_latent_action.main()
    expected = WEIGHTS.read_bytes()
    slow, kill_at = 1, 14  # after the first evaluation
    with pytest.raises(KeyboardInterrupt):
        train_latent_action.main()
    kill_at = None
    train_latent_action.main()
    assert WEIGHTS.read_bytes() == expected


def pictures_of(folder):
    return {path.name: path.read_bytes() for path in (folder / train_latent_action.PICTURES).iterdir()}


def test_many_codes_a_transition_run_through_all_three_stages(done, tmp_path, monkeypatch):
    shutil.copytree(done / "data/episodes.zarr", tmp_path / "data/episodes.zarr")
    write_params(tmp_path, tokens=[2, 3], quantizer="fsq", fsq_levels=[3, 3], conditioning="cross_attention",
                 label_share=0.2, steps=9)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run_all()
    codes = EpisodeStore("data/latent_actions.zarr").read("episode_00000", "codes")
    assert codes.shape == (FRAMES, 6) and codes.max() < 9 and (codes[2:-1] >= 0).all()
    assert np.array_equal(np.unique(np.nonzero(codes >= 0)[0]), np.arange(2, FRAMES - 1))  # as the three lines do it
    val = read_json(Path("reports/latent_action/metrics.json"))
    assert val["lam_capacity_bits"] == pytest.approx(6 * np.log2(9)) and val["lam_information_gained"] is not None


def test_episodes_too_short_for_the_longest_roll_out_still_get_the_shorter_ones(tmp_path, monkeypatch):
    write_episodes(tmp_path / "data/episodes.zarr", frames=14)
    write_params(tmp_path, frame_gap=2, past_frames=1, probe_lags=[0])
    monkeypatch.chdir(tmp_path)
    run_all()
    val = read_json(Path("reports/latent_action/metrics.json"))
    assert None not in (val["lam_delta1_db"], val["lam_delta4_db"]) and val["lam_rollout_gain_db"] is None
    assert Path("reports/latent_action/rollouts.mp4").stat().st_size > 1_000


def test_a_run_whose_codes_collapse_fails(done, tmp_path, monkeypatch):
    shutil.copytree(done / "data/episodes.zarr", tmp_path / "data/episodes.zarr")
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(learning, "codes_in", lambda val, samples, codes_of: np.zeros(len(samples), int))
    with pytest.raises(ValueError, match="the latent actions collapsed"):
        train_latent_action.main()


def test_a_collapse_is_one_code_for_nearly_all():
    require_several_codes(1.06)
    with pytest.raises(ValueError, match=r"collapsed: one code .* \(perplexity 1\.00\)"):
        require_several_codes(perplexity(np.zeros(50, int), 8))


@pytest.mark.parametrize(("share", "lag", "known"), [(1.0, 0, 135), (1.0, 2, 135), (0.1, 1, 14), (0.001, 0, 1)])
def test_keys_that_shape_the_codes_are_a_share_and_those_of_as_many_frames_before(done, share, lag, known):
    store = EpisodeStore(done / "data/episodes.zarr")
    train = transitions_of(store, "train", past_frames=2, gap=1, limit_gb=1.0)
    own = read_params(done / "params.yaml").latent_action
    own = own.model_copy(update={"label_share": share, "label_lag": lag})
    found = known_keys(store, train, own, ["LEFT", "RIGHT"], seed=0)
    held = store.concatenated("actions", "train")[0][:, [1, 0]]  # the store has RIGHT first
    assert len(train) == 135 and len(np.unique(found.samples)) == len(found.samples) == known
    assert np.array_equal(found.held, held[train.current[found.samples] - lag])


def test_bad_input_is_named(tmp_path, monkeypatch):
    write_episodes(tmp_path / "data/episodes.zarr", frames=3)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no episode of split train has the 4 frames .* longest has 3"):
        train_latent_action.main()
    shutil.rmtree(tmp_path / "data")
    write_episodes(tmp_path / "data/episodes.zarr", frames=6)
    write_params(tmp_path, codes=64)
    with pytest.raises(ValueError, match="15 transitions in train, fewer than the 64 codes"):
        train_latent_action.main()


def test_transitions_know_their_episode_and_a_copy_and_a_seer_are_judged_as_such(done):
    store = EpisodeStore(done / "data/episodes.zarr")
    found = transitions_of(store, "val", past_frames=2, gap=2, limit_gb=1.0)
    assert np.bincount(found.episode).tolist() == [FRAMES - 6] * 2
    assert np.array_equal(found.current // FRAMES, found.episode) and found.too_short == 0
    samples = np.arange(len(found))
    assert codes_in(found, samples, lambda frames: frames[:, 2, 0, 0, 0].astype(np.int64)).shape == samples.shape
    codes = samples % 2  # the seer knows the next frame of even transitions
    truth = found.take(samples)[:, -1].astype(np.float32)
    errors, identical = prediction_errors(found, samples, codes, lambda context, own: context[:, -1], seed=0)
    assert np.array_equal(errors[:, 0], errors[:, 1]) and np.array_equal(errors[:, 1], errors[:, 2])
    assert np.array_equal(identical, errors[:, 1] == 0) and identical.any()
    assert errors[:, 1] == pytest.approx(np.square(truth - found.take(samples)[:, 2]).sum(axis=(1, 2, 3)))


def test_samples_are_spread_evenly():
    assert spread_samples(3, 5).tolist() == [0, 1, 2] and spread_samples(10, 5).tolist() == [0, 2, 4, 6, 8]


def test_a_row_of_the_study_codes_has_all_that_its_table_shows(done):
    row = {"game": "doom_center", "seed": 1, **judged(done / "reports/test")}
    metrics = read_json(done / "reports/test/latent_action/metrics.json")
    assert row["information_gained"] == metrics["lam_information_gained"] and COLUMNS.keys() <= row.keys()
    line = table([row]).splitlines()[2]
    assert line.startswith("| doom_center | 1 | ") and line.count("|") == 3 + len(COLUMNS)
    assert f"| {row['change_switch']:.2f} (" in line
    assert all(preset(game)["game"] == game for game in read_params().section("codes", CodesParams).games)
