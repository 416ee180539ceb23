"""The parts of a page: numbers and names in words, pictures and videos, chapters, targets, curves."""

import numpy as np
import pytest

from stages.episodes.store import EpisodeInfo
from stages.evaluation.figures import report as figures
from stages.evaluation.figures import style
from stages.pages import chapters, page, score_tables
from stages.pages.glossary import HEADLINE, headline_first, in_words, lower_is_better, with_interval
from stages.pages.latent_action_chapter import latent_action_chapter
from stages.pages.targets import targets, weaknesses
from tests.test_report import interval


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"x": 0.8123, "x_low": 0.74, "x_high": 0.869}, "0.81 (0.74-0.87)"),
        ({"x": 0.1, "x_low": -0.2, "x_high": 0.4}, "0.10 (-0.20 to 0.40)"),
        ({"x": 0.5}, "0.50"),
        ({"x": 0.5, "x_low": None, "x_high": None}, "0.50"),
        ({"x": None}, "–"),
        ({}, "–"),
    ],
)
def test_numbers_stand_with_their_interval(metrics, words):
    assert with_interval(metrics, "x", 2) == words


def test_errors_of_pixels_keep_their_digits():
    val, test = {"lam_l2": 0.00071, "val_ap": 0.80004}, {"lam_l2": 0.00122, "ap": 0.7}
    table = chapters.metrics_table(val, test, list(val))
    assert table.rows == [["L2", "0.00071", "0.00122"], ["AP", "0.800", "0.700"]]


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), ("", "–"), (float("nan"), "–"), (3.0, "3"), (0.12345, "0.123"), (True, "yes"), ("0.5", "0.500"),
     (12345, "12\u202f345"), (1234.5, "1\u202f234"), ("reflex", "reflex")],
)  # fmt: skip
def test_numbers_are_short(value, words):
    assert page.number(value) == words


def test_headline_comes_first_and_the_rest_by_name():
    assert list(headline_first({"z": 1, "b": 2, "a": 3}, ("missing", "b"))) == ["b", "a", "z"]
    assert len(HEADLINE) == 15


def test_metric_names_in_words():
    assert in_words("val_onset_f1_DASH") == "onset F1 DASH"
    assert in_words("ae_moving_psnr_db") == "moving PSNR dB"


def test_errors_and_distances_are_better_when_small():
    lower = ("ae_object_error_px", "val_distribution_kl", "val_distribution_l1")
    assert all(map(lower_is_better, lower))
    assert not any(map(lower_is_better, ("val_ap", "val_onset_f1_LEFT", "ae_psnr_db", "val_long_f1")))


def test_pictures_come_in_the_known_order_then_the_rest(tmp_path):
    figure, _ = style.new_figure(1, 1)
    for name in ("b.png", "z_y.png", "a.png"):
        style.save(figure, tmp_path / name)
    (tmp_path / "note.txt").write_text("not a picture")
    found = page.pictures(tmp_path, {"z_y.png": "The z.", "missing.png": "None."})
    assert [picture.words for picture in found] == ["The z.", "a", "b"]
    assert all(picture.uri.startswith("data:image/png;base64,iVBOR") for picture in found)
    assert page.pictures(tmp_path / "nowhere", {}) == []
    with pytest.raises(ValueError, match="note.txt: a page holds files"):
        page.data_uri(tmp_path / "note.txt")


def test_videos_beyond_the_budget_stay_files(tmp_path):
    for name in ("small", "large"):
        (tmp_path / f"{name}.mp4").write_bytes(b"x" * (300_000 if name == "small" else 1_000_000))
    budget = page.VideoBudget(left_mb=1.0)
    assert budget.video(tmp_path / "none.mp4", "") is None
    assert budget.video(tmp_path / "large.mp4", "").uri is None
    assert budget.video(tmp_path / "small.mp4", "").uri is not None
    assert budget.left_mb == pytest.approx(0.6)
    html = page.render("comparison.html", **minimal_comparison())
    assert "<video" not in html


def minimal_comparison():
    table = page.Table(["a"], [])
    names = ("headline", "full", "gap", "winner")
    lists = ("failed", "open", "ranking", "heatmap", "timelines", "timeline_notes", "sizes", "gap_pictures")
    words = ("title", "criterion", "criterion_words", "verdict", "timeline_models", "winner_words")
    return dict.fromkeys(names, table) | {name: [] for name in lists} | dict.fromkeys(words, "<w>") | {"models": 1}


def test_a_page_escapes_and_asks_for_every_name():
    values = minimal_comparison()
    assert "&lt;w&gt;" in page.render("comparison.html", **values)
    values.pop("verdict")
    with pytest.raises(Exception, match="'verdict' is undefined"):
        page.render("comparison.html", **values)


def test_the_doctors_table_leaves_out_what_nobody_has():
    found = chapters.recorded(
        {"sessions": {"a": {"seconds": 90, "gaps": {"count": 2}, "repeats": 0, "unmapped_keys": {"x": 1, "y": 4}}}},
        [EpisodeInfo("episode_00000", "a", 0, "train", 600, None, None)],
        10.0,
    )
    assert found["doctor"].head == ["session", "minutes", "gaps", "presses of\nunknown keys"]
    assert found["doctor"].rows == [["a", "1.5", "2", "5"]]
    assert "repeated frames" in found["clean"]
    assert found["splits"].rows[0] == ["learned from (train)", "1", "1", "600", "1.0", "–"]
    assert found["minutes"] == "1.0"


def test_without_any_file_every_chapter_is_empty(tmp_path):
    assert chapters.recorded(None, [], 10.0)["doctor"].rows == []
    enough = chapters.enough(tmp_path)
    assert enough["warnings"] == [] and enough["balance"].rows == [] and enough["pictures"] == []
    learned = chapters.learned(tmp_path, {}, {}, {}, tmp_path)
    assert learned["curves"] == [] and learned["by_key"].rows == []
    judged = chapters.judged(tmp_path, {}, {})
    assert judged["by_key"].rows == judged["predictors"].rows == []
    assert chapters.played(tmp_path, page.VideoBudget()) is None
    assert latent_action_chapter(tmp_path, {}, {}, page.VideoBudget())["metrics"].rows == []


SCORES = {
    ("model", "LEFT", "onset_f1"): {"value": 0.5},
    ("model", "LEFT", "onsets"): {"value": 20},
    ("model", "DASH", "onset_f1"): {"value": 0.5},
    ("model", "DASH", "onsets"): {"value": 19},
    ("iid_random", "LEFT", "onset_f1"): {"value": 0.5},
    ("majority", "LEFT", "onset_f1"): {"value": 0.1},
    ("repeat_last", "LEFT", "onset_f1"): {"value": 0.99},
    ("iid_random", "DASH", "onset_f1"): {"value": 0.9},
    ("playable", "model"): True,
    ("playable", "iid_random"): True,
    ("playable", "majority"): True,
    ("playable", "repeat_last"): False,
}


def test_the_best_baseline_can_play():
    assert score_tables.best_baseline(SCORES, "LEFT", "onset_f1") == ("iid_random", 0.5)
    assert score_tables.best_baseline(SCORES, "LEFT", "nothing") is None


def test_targets_are_reached_missed_or_unsaid():
    test = interval("return_fraction", 0.65) | {
        "ae_object_ap": 0.71,
        "ae_object_ap_raw": 0.9,
        "lam_information_gained": 0.49,
    }
    paired = {"agent - best blind": {"mean": 1.0, "low": 0.0, "high": 2.0}, "agent - script": {"mean": -3.0}}
    met = {target.words: target.met for target in targets(test, SCORES, paired, min_onsets=20)}
    assert met["the agent's skill in the game (0: blind, 1: the player)"] is True
    assert met["mean gain: agent - best blind, in the same games"] is False  # 0 is not above 0
    assert met["LEFT: presses found at the right moment (onset F1)"] is False  # as good as the baseline is not better
    assert not any(words.startswith("DASH") for words in met)  # 19 onsets are too few
    assert not any("script" in words for words in met)
    assert met["small objects found in the latent (AP)"] is False
    assert met["latent action: information on the keys (0: what the past tells, 1: what the next frame shows)"] is False
    assert met["latent action: dB lost when codes are shuffled"] is None


def test_what_is_weak_is_said_in_sentences():
    args = {"unit": "episode", "warnings": ["w"], "in_game": False, "probed": False}
    lines = weaknesses([], **args)
    assert len(lines) == 4 and "weaker test" in lines[0] and lines[3] == "About the recordings: w"
    assert weaknesses([], unit="session", warnings=[], in_game=True, probed=True) == []


def test_curves_are_read_from_the_folder_of_dvclive(tmp_path):
    for name, text in {
        "train/loss": "step\tloss\n0\t2.0\n1\t1.0\n",
        "val/loss": "step\tloss\n0\t3.0\n",
        "learning_rate": "step\tlearning_rate\n0\t\n",
        "val/probe/ap": "step\tap\n",
    }.items():
        path = tmp_path / "plots/metrics" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    curves = figures.read_curves(tmp_path)
    assert set(curves) == {"loss", "learning_rate", "probe/ap"}
    assert curves["loss"]["train"][1].tolist() == [2.0, 1.0] and curves["loss"]["val"][0].tolist() == [0.0]
    assert np.isnan(curves["learning_rate"][""][1]).all()
    figure = figures.training_curves(curves, title="t")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["loss", "probe/ap val", "learning_rate"]
    assert figures.read_curves(tmp_path / "nowhere") == {}
