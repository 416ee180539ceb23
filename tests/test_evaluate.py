import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from stages.episodes.store import EpisodeInfo, StoreWriter, episode_name
from stages.evaluate import main, predict_split
from stages.evaluation import tables
from stages.evaluation.baselines import PlayedSplit, Predictor, PressStatistics, baseline_predictors, matched_random
from stages.evaluation.blind import Metronome, SquareWave
from stages.evaluation.figures import policy_figures, style
from stages.evaluation.onsets import episode_index
from stages.evaluation.scorecard import ScoreSettings, score_split
from stages.evaluation.split_report import PredictedSplit, evaluate_split, train_scores
from stages.learning.compute import prepare_compute
from stages.models.acting import Acting
from stages.models.agent import About, write_agent
from stages.models.policies.recurrent import Recurrent
from stages.params import read_params

ACTIONS = ("LEFT", "SHOOT", "DASH")
SETTINGS = ScoreSettings(
    tolerance_s=0.2, min_onsets=5, composite={"SHOOT": 3.0, "DASH": 1.0}, short_hold_s=0.35, resamples=50, seed=0
)
KNOWN = PressStatistics(np.array([0.3, 0.5, 0.1]), np.array([6.0, 8.0, 2.0]))
POLICIES = {"metronome": Metronome((5, 4, 9), (4, 3, 8)), "blind_onsets": SquareWave(3, 0, 1, 4, 2, 8)}
FIGURES = ["confusion.png", "metrics_heatmap.png", "onset_f1.png", "timeline.png"]


def played_split(lengths=(120, 80, 100, 90), seed=0):
    episode = episode_index(lengths)
    truth = matched_random(KNOWN, episode, seed=seed, draws=1)[0]
    times = 1.7e9 + np.arange(len(episode)) * 0.1 + episode * 7.0
    return PlayedSplit(ACTIONS, truth, times, episode)


def acting_at(threshold: float, actions: int = 3) -> Acting:
    return Acting(np.full(actions, threshold), np.ones(actions), np.zeros(actions), "threshold")


def predicted_split(played, probabilities, threshold=0.5):
    """Of a model that says these probabilities and presses from the threshold on."""
    lengths = np.bincount(played.episode).tolist()
    episodes = [EpisodeInfo(episode_name(i), f"s{i // 2}", i % 2, "val", n, None, None) for i, n in enumerate(lengths)]
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return PredictedSplit("val", episodes, played, np.log(p / (1 - p)), acting_at(threshold))


def noisy(truth, seed=0):
    logits = np.where(truth, 2.0, -2.0) + np.random.default_rng(seed).normal(0, 1.5, truth.shape)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def card_of(played, probabilities, settings=SETTINGS, threshold=0.5):
    model = Predictor("model", (probabilities >= threshold)[None], probabilities, playable=True, baseline=False)
    return score_split(
        played, (model, *baseline_predictors(KNOWN, POLICIES, played.truth, played.episode, seed=0)), settings
    )


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_perfect_model_scores_one_and_its_skill_is_what_the_blind_leave():
    played = played_split()
    card = card_of(played, played.truth.astype(np.float32))
    for metric in ("onset_f1", "onset_f1_on_time", "composite_f1", "frame_f1", "ap", "exact_match", "short_f1"):
        interval = card.value("model", metric)
        assert (interval.value, interval.low, interval.high) == (1, 1, 1), metric
    for metric in ("l1", "l2", "kl"):
        assert card.value("model", f"distribution_{metric}").value == 0
    blind = ("majority", "always_on", "matched_random", "iid_random", *POLICIES)
    best = max(card.value(name, "onset_f1", "SHOOT").value for name in blind)
    assert card.value("model", "onset_skill", "SHOOT").value == pytest.approx(1 - best)
    assert card.value("repeat_last", "onset_f1", "SHOOT").value > best
    assert card.confusion["model"][1].sum() == len(played.truth)
    assert card.confusion["model"][1, 0, 1] == card.confusion["model"][1, 1, 0] == 0


def test_scores_over_actions_follow_from_those_of_the_actions():
    card = card_of(played_split(), noisy(played_split().truth))
    f1 = {action: card.value("model", "f1", action).value for action in ACTIONS}
    assert card.value("model", "frame_f1").value == pytest.approx(np.mean(list(f1.values())))
    assert card.value("model", "composite_f1").value == pytest.approx((3 * f1["SHOOT"] + f1["DASH"]) / 4)
    interval = card.value("model", "frame_f1")
    assert interval.low < interval.value < interval.high


def test_the_parts_by_hold_length_add_up():
    card = card_of(played_split(), noisy(played_split().truth))
    scores = {name: column[0] for name, column in card.by_action["model"].items()}
    assert np.array_equal(scores["short_support"] + scores["long_support"], scores["support"])
    hits = scores["short_recall"] * scores["short_support"] + scores["long_recall"] * scores["long_support"]
    assert hits == pytest.approx(scores["recall"] * scores["support"])
    # A key that is always down gains nothing on holds of either kind.
    for action in ACTIONS:
        always = [card.value("always_on", metric, action).value for metric in ("f1", "short_f1", "long_f1")]
        assert always == pytest.approx([always[0]] * 3)


def test_actions_with_few_onsets_stay_out_of_the_onset_means():
    played = played_split()
    all_in = card_of(played, noisy(played.truth))
    onsets = {action: all_in.value("model", "onsets", action).value for action in ACTIONS}
    most = max(onsets.values())
    card = card_of(played, noisy(played.truth), replace(SETTINGS, min_onsets=most))
    others = [action for action in ACTIONS if onsets[action] == most]
    assert 0 < len(others) < len(ACTIONS)
    for metric in ("onset_f1", "onset_skill"):
        expected = np.mean([card.value("model", metric, action).value for action in others])
        assert card.value("model", metric).value == pytest.approx(expected)
    none_left = card_of(played, noisy(played.truth), replace(SETTINGS, min_onsets=most + 1))
    assert math.isnan(none_left.value("model", "onset_skill").value)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A split, the folder it was evaluated into, and a folder where the same was done again."""
    played = played_split()
    split = predicted_split(played, noisy(played.truth), threshold=0.4)
    first, again = (tmp_path_factory.mktemp("evaluated") for _ in range(2))
    for directory in (again, first):
        flat = evaluate_split(split, KNOWN, POLICIES, SETTINGS, directory, "val_", {"train_ap": 0.9})
    return split, first, again, flat


def test_the_same_predictions_give_the_same_bytes(evaluated):
    _, first, again, _ = evaluated
    assert len(list(first.iterdir())) == 8
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_whole_split_is_written(evaluated):
    split, tmp_path, _, flat = evaluated
    played = split.played
    written = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert written == flat
    assert list(written)[:3] == ["val_onset_f1", "val_onset_f1_low", "val_onset_f1_high"]
    for name in ("onset_f1_on_time", "onset_skill", "composite_f1", "frame_f1", "ap", "exact_match", "onset_f1_DASH"):
        assert written[f"val_{name}_low"] <= written[f"val_{name}"] <= written[f"val_{name}_high"]
    assert written["train_ap"] == 0.9 and written["val_frames"] == 390 and written["val_episodes"] == 4

    scores = rows_of(tmp_path / "actions.csv")
    names = [
        "model",
        "model_at_half",
        "majority",
        "always_on",
        "matched_random",
        "iid_random",
        *POLICIES,
        "repeat_last",
    ]
    assert list(dict.fromkeys(row["predictor"] for row in scores)) == names
    assert {row["predictor"] for row in scores if row["playable"] == "false"} == {"repeat_last"}
    (row,) = [r for r in scores if (r["predictor"], r["action"], r["metric"]) == ("model", "DASH", "onset_f1")]
    assert float(row["value"]) == pytest.approx(written["val_onset_f1_DASH"], abs=1e-5)

    predictions = rows_of(tmp_path / "predictions.csv")
    assert len(predictions) == 390
    assert list(predictions[0])[:7] == ["session", "episode", "frame", "t", "LEFT_true", "LEFT_p", "LEFT_pressed"]
    assert [predictions[120][name] for name in ("session", "episode", "frame")] == [
        "s0", "1", "0",
    ]  # fmt: skip
    assert [int(row["DASH_true"]) for row in predictions] == played.truth[:, 2].tolist()
    assert [float(row["DASH_p"]) for row in predictions] == pytest.approx(split.probabilities[:, 2], abs=1e-5)
    assert re.fullmatch(r"\d+\.\d{6}", predictions[0]["t"]) and re.fullmatch(r"\d\.\d{5}", predictions[0]["DASH_p"])

    assert len(rows_of(tmp_path / "confusion.csv")) == 390
    assert sorted(path.name for path in tmp_path.glob("*.png")) == FIGURES


def test_an_action_that_never_happens_is_null_and_nothing_fails(tmp_path):
    played = played_split()
    played.truth[:, 2] = False
    split = predicted_split(played, noisy(played.truth))
    flat = evaluate_split(split, KNOWN, POLICIES, SETTINGS, tmp_path, "", {})
    for name in ("f1_DASH", "onset_f1_DASH", "onset_skill_DASH", "ap_DASH", "ap_DASH_low", "composite_f1"):
        assert flat[name] is None, name
    assert flat["onsets_DASH"] == 0
    assert 0 < flat["frame_f1"] < 1 and 0 < flat["onset_f1"] < 1
    assert '"f1_DASH": null' in (tmp_path / "metrics.json").read_text(encoding="utf-8")
    row = next(r for r in rows_of(tmp_path / "actions.csv") if (r["action"], r["metric"]) == ("DASH", "f1"))
    assert row["value"] == row["low"] == row["high"] == ""


def test_a_single_frame_is_evaluated_and_drawn(tmp_path):
    played = played_split((1,))
    split = predicted_split(played, noisy(played.truth))
    flat = evaluate_split(split, KNOWN, POLICIES, SETTINGS, tmp_path, "", {})
    assert flat["exact_match"] in (0, 1)
    assert flat["exact_match_low"] is flat["exact_match_high"] is None


@pytest.mark.parametrize("lengths", [(30,), (1, 1, 2)])
def test_one_episode_has_values_but_no_interval(lengths):
    played = played_split(lengths)
    exact = card_of(played, noisy(played.truth)).value("model", "exact_match")
    assert 0 <= exact.value <= 1
    assert math.isnan(exact.low) == (len(lengths) == 1)


def test_the_gap_to_training_is_the_same_metric_on_train():
    played = played_split()
    split = predicted_split(played, noisy(played.truth), threshold=0.4)
    card = card_of(played, split.probabilities, threshold=0.4)
    gap = train_scores(split, SETTINGS)
    assert gap == {
        "train_frame_f1": pytest.approx(card.value("model", "frame_f1").value),
        "train_ap": pytest.approx(card.value("model", "ap").value),
    }


class LastMinusFirst(torch.nn.Module):
    """Logits = last latent of the window - first, so that a wrong window shows."""

    reads, window, step, spans, chunk = ("latents",), 3, 1, {}, 1

    def forward(self, latents):
        return latents[:, -1] - latents[:, 0]


def test_every_frame_is_predicted_from_its_own_window(tmp_path, monkeypatch):
    params = read_params().model_copy(update={"actions": ("A", "B")})
    monkeypatch.chdir(tmp_path)
    attrs = {"action_names": ["B", "A"], "state_columns": [], "fps": 10.0, "recordings": "x"}
    lengths, latents = (5, 3), []
    with StoreWriter("data/episodes.zarr", attrs=attrs):
        pass  # its frames are not read
    with StoreWriter("data/latents/episodes.zarr", attrs=attrs) as writer:
        for i, length in enumerate(lengths):
            latents.append(np.random.default_rng(i).normal(size=(length, 2)).astype(np.float32))
            info = EpisodeInfo(episode_name(i), "s", i, "val", length, None, None)
            actions = np.tile(np.array([[0, 1]], dtype=np.uint8), (length, 1))
            writer.episode(info, {"latents": latents[i], "actions": actions, "t": np.arange(length) / 10 + i})
    compute = prepare_compute("cpu", "no", threads=1, seed=0)
    split = predict_split(params, "val", LastMinusFirst(), acting_at(0.5, 2), compute)
    expected = [z[i] - z[max(0, i - 2)] for z in latents for i in range(len(z))]
    assert split.probabilities == pytest.approx(1 / (1 + np.exp(-np.array(expected))), abs=1e-6)
    assert split.played.truth.tolist() == [[True, False]] * 8  # columns by name
    assert split.played.episode.tolist() == [0] * 5 + [1] * 3


def test_a_policy_between_combinations_is_judged_key_by_key():
    together = np.array([[False, False], [True, False], [False, True]])
    shares = np.array([[0.2, 0.5, 0.3], [0.9, 0.06, 0.04]])
    played = PlayedSplit(("A", "B"), np.zeros((2, 2), bool), np.arange(2.0), np.zeros(2, int))
    acting = replace(acting_at(0.4, 2), combinations=together)
    split = PredictedSplit("val", [], played, np.log(shares), acting)
    assert split.probabilities == pytest.approx(shares[:, 1:], abs=1e-6)
    assert split.pressed.tolist() == [[True, False], [False, False]]


def test_the_stage_reads_the_trained_policy_and_writes_val_and_test(tmp_path, monkeypatch, capsys):
    tree = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    tree["evaluate"]["bootstrap"], tree["evaluate"]["min_onsets"], tree["threads"] = 20, 1, 1
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    actions = tree["actions"]
    attrs = {"action_names": actions, "state_columns": [], "fps": 10.0, "recordings": "x"}
    rng = np.random.default_rng(0)
    with StoreWriter("data/episodes.zarr", attrs=attrs):
        pass  # its frames are not read
    with StoreWriter("data/latents/episodes.zarr", attrs=attrs) as writer:
        for i, split in enumerate(["train", "train", "val", "val", "test", "test"]):
            info = EpisodeInfo(episode_name(i), split, i % 2, split, 40, None, None)
            arrays = {"latents": rng.normal(size=(40, 5)).astype(np.float32), "t": np.arange(40) / 10 + 100 * i}
            writer.episode(info, arrays | {"actions": (rng.random((40, len(actions))) < 0.4).astype(np.uint8)})
    torch.manual_seed(0)
    policy = Recurrent(shapes={"latents": [5]}, window=4, actions=4, hidden=[8, 4], cell="gru", dropout=0.3)
    about = About(tuple(actions), {a: ("x",) for a in actions}, 10.0, {}, {}, (), "noise", acting_at(0.5, 4))
    write_agent("data/models/policy", about, policy, None)

    main()

    val = json.loads(Path("reports/policy/metrics.json").read_text(encoding="utf-8"))
    test = json.loads(Path("reports/test/policy/metrics.json").read_text(encoding="utf-8"))
    assert {"train_frame_f1", "train_ap"} == {name for name in val if not name.startswith("val_")}
    assert {name.removeprefix("val_") for name in val if name.startswith("val_")} == set(test)
    assert val["val_frames"] == test["frames"] == 80
    assert val["val_frame_f1"] == val["val_frame_f1_at_half"]  # thresholds are .5
    for directory in ("reports/policy", "reports/test/policy"):
        assert sorted(path.name for path in Path(directory).glob("*.png")) == FIGURES
    printed = capsys.readouterr().out
    assert "val: 80 frames of 2 episodes -> reports/policy" in printed and "onset_skill" in printed

    Path("params.yaml").write_text(yaml.safe_dump(tree | {"actions": actions[::-1]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"was trained for \['LEFT', .*run dvc repro"):
        main()


def test_combinations_in_words(tmp_path):
    held = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 0]])
    assert tables.combinations(ACTIONS, held) == ["nothing", "LEFT+DASH", "SHOOT"]


def test_confusion_keeps_the_common_combinations_and_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "COMBINATIONS", 1)
    monkeypatch.setattr(tables, "CONFUSION_ROWS", 3)
    truth = np.zeros((6, 3))
    truth[4] = 1
    tables.write_confusion(tmp_path / "c.csv", ACTIONS, truth, np.roll(truth, 2, axis=0))
    assert [(row["actual"], row["predicted"]) for row in rows_of(tmp_path / "c.csv")] == [
        ("nothing", "other"), ("nothing", "nothing"), ("other", "nothing"),
    ]  # fmt: skip


def test_the_shown_stretch_is_where_the_rare_presses_are():
    episode, times = episode_index([100, 100]), np.r_[np.arange(100), np.arange(100)] / 10
    truth = np.zeros((200, 2), dtype=bool)
    truth[5:60:4, 0] = True  # many presses of a common action in episode 0
    truth[150, 1] = True  # the only press of a rare one
    truth[155, 1] = True
    part = policy_figures.eventful_stretch(truth, times, episode, seconds=2.0)
    assert 100 <= part.start <= 150 and 155 < part.stop <= 200
    assert times[part.stop - 1] - times[part.start] <= 2.0


def test_saved_figures_carry_no_date_and_no_version(tmp_path):
    figure, axes = style.new_figure(2, 1)
    axes[0, 0].plot([0, 1])
    data = style.save(figure, tmp_path / "new" / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG") and b"Software" not in data and b"tEXt" not in data
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "a.png"]
