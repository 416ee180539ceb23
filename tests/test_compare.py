"""The comparison page: ranking, labels, gaps, and all that it shows."""

import csv
import json
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from stages.commands import compare
from stages.evaluation.figures.compare import row_shades
from stages.evaluation.predictions import parse_predictions
from stages.pages import comparison
from stages.pages.experiments import Experiment, ranked


def model(name, score, low=None, high=None, metrics=(), **params):
    found = {"val_return_fraction": score} | dict(metrics)
    if low is not None:
        found |= {"val_return_fraction_low": low, "val_return_fraction_high": high}
    params = {"latent_dim": 128, "cell": "gru", "loss": "focal", "rare_factor": 6, "autoencoder.kind": "dense"} | params
    return Experiment(name, name, "experiment", "done", params, {k: v for k, v in found.items() if v is not None})


def test_ranking_goes_by_the_first_criterion_then_the_next():
    rows = [
        model("a", 0.5, metrics={"val_onset_f1": 0.1}),
        model("none", None, metrics={"val_onset_f1": 0.99}),
        model("b", 0.5, metrics={"val_onset_f1": 0.2}),
        model("c", -0.7),
    ]
    criteria = comparison.criteria_of(rows)
    assert criteria == ["val_return_fraction", "val_onset_f1"]
    assert [row.name for row in ranked(rows, criteria)] == ["b", "a", "c", "none"]


def test_without_any_game_the_onsets_rank():
    assert comparison.criteria_of([model("a", None, metrics={"val_onset_f1": 0.3})]) == ["val_onset_f1"]
    with pytest.raises(ValueError, match="no experiment has any of val_return_fraction"):
        comparison.criteria_of([model("a", None)])


def test_labels_say_what_differs_and_no_more():
    naive = {"loss": "bce", "rare_factor": 1, "autoencoder.kind": "spatial"}
    rows = [model("a", 1, latent_dim=512), model("b", 1, cell="lstm"), model("c", 1, **naive)]
    assert comparison.model_labels(rows) == {
        "a": "latent_dim 512, gru, focal, dense",
        "b": "latent_dim 128, lstm, focal, dense",
        "c": "gru, bce, spatial",  # a spatial latent has no size, and rare_factor changes only together with loss
    }


def test_models_with_the_same_params_are_told_apart_by_name():
    rows = [model("a", 1), model("b", 2)]
    assert comparison.model_labels(rows) == {"a": "a", "b": "b"}
    rows = [model("a", 1, seed=1), model("b", 2, seed=1), model("c", 2, seed=2)]
    assert comparison.model_labels(rows) == {"a": "seed 1 (a)", "b": "seed 1 (b)", "c": "seed 2"}


def test_told_apart_means_that_intervals_do_not_overlap():
    rows = [model("a", 0.8, 0.7, 0.9), model("b", 0.6, 0.5, 0.7), model("c", 0.6, 0.5, 0.699), model("d", None)]
    assert [row.name for row in comparison.told_apart(rows, "val_return_fraction")] == ["c", "d"]
    assert comparison.told_apart([model("a", 0.8), *rows[1:3]], "val_return_fraction") == []


def test_ends_of_intervals_are_no_metrics_of_their_own():
    names = comparison.metric_names(
        [model("a", 0.8, 0.7, 0.9, {"val_x_low": 1.0, "train_ap": 0.1, "ae_b": 1, "val_a": 2})]
    )
    assert names == ["val_return_fraction", "ae_b", "val_a", "val_x_low"]


def test_the_gap_is_train_minus_val():
    rows = [model("a", 0.8, metrics={"train_ap": 0.9, "val_ap": 0.75, "ae_train_psnr_db": 31.0, "ae_psnr_db": 30.5})]
    assert comparison.gap_pairs(rows) == [("ae_train_psnr_db", "ae_psnr_db"), ("train_ap", "val_ap")]
    table = comparison.gap_table(rows, {"a": "A"})
    assert table.rows == [["A", "31", "30.500", "+0.500", "0.900", "0.750", "+0.150"]]
    assert comparison.gap_table([model("a", 1.0)], {"a": "A"}).rows == []


def test_shades_go_from_worst_to_best_of_a_row():
    values = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [np.nan, 1.0, 3.0]])
    shades = row_shades(values, [False, True, False, False])
    assert shades[:3].tolist() == [[0, 0.5, 1], [1, 0.5, 0], [0.5, 0.5, 0.5]]
    assert np.isnan(shades[3, 0]) and shades[3, 1:].tolist() == [0, 1]


def predictions_csv(shift=0.0, frames=40):
    lines = ["session,episode,frame,t,LEFT_true,LEFT_p,LEFT_pressed,SHOOT_true,SHOOT_p,SHOOT_pressed"]
    for i in range(frames):
        on = int(i % 10 < 4)
        episode, frame = divmod(i, 20)
        t = 100 + i / 10 + episode * 50
        lines.append(f"s1,{episode},{frame},{t:.6f},{on},{0.8 * on + shift:.5f},{on},{1 - on},0.40000,0")
    return "\n".join(lines) + "\n"


def test_predictions_are_read_by_column_name():
    found = parse_predictions(predictions_csv())
    assert found.actions == ("LEFT", "SHOOT")
    assert found.truth[:5].tolist() == [[True, False]] * 4 + [[False, True]]
    assert found.probabilities[0].tolist() == [0.8, 0.4] and found.pressed[0].tolist() == [True, False]
    assert found.episode.tolist() == [0] * 20 + [1] * 20
    assert found.keys[21] == ("s1", "1", "152.100000")
    assert found.part(slice(1, 3)).times.tolist() == pytest.approx([100.1, 100.2])
    with pytest.raises(ValueError, match="holds no frame"):
        parse_predictions("session,episode,frame,t\n")


class Outside(HTMLParser):
    """Collects what a page would load or link to, and the data it holds."""

    def __init__(self, html):
        super().__init__()
        self.outside, self.inside, self.tags, self.text = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "poster", "data"):
                (self.inside if value.startswith(("data:", "#")) else self.outside).append((tag, value[:30]))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder in which three models are compared, their files given instead of read from DVC."""
    models = [
        model("best", 0.9, 0.8, 1.0, {"val_onset_f1": 0.8, "train_ap": 0.9, "val_ap": 0.8, "ae_object_ap": 0.9},
              latent_dim=512),
        model("second", 0.7, 0.6, 0.8, {"val_onset_f1": 0.9, "train_ap": 0.9, "val_ap": 0.7, "ae_object_ap": 0.8,
              "ae_object_ap_raw": 0.85}),
        model("naive", None, metrics={"val_onset_f1": 0.2}, **{"autoencoder.kind": "spatial", "loss": "bce"}),
        Experiment("<b>broken</b>", "x", "experiment", "failed", {}, {}),
    ]  # fmt: skip
    files = {(row.name, "reports/policy/predictions.csv"): predictions_csv() for row in models[:2]}
    files |= {(row.name, "reports/test/metrics.json"): json.dumps({"return_fraction": 0.1234}) for row in models}
    asked = []
    monkeypatch.setattr(compare, "show_experiments", lambda all_commits: models)
    monkeypatch.setattr(compare, "read_at", lambda rev, path: asked.append((rev, path)) or files.get((rev, path)))
    monkeypatch.setattr(sys, "argv", ["compare"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    return files, asked


def test_the_page_holds_all_it_shows_and_the_table_is_a_csv_too(project, tmp_path):
    _, asked = project
    compare.main()
    html = (tmp_path / "reports/comparison.html").read_text(encoding="utf-8")
    page = Outside(html)
    assert page.outside == [] and "script" not in page.tags
    assert page.tags.count("img") == 5  # ranking, heat map, timelines, latent size, gap
    assert "<b>broken" not in html and "&lt;b&gt;broken" in html
    words = " ".join(page.text)
    assert "latent_dim 512, dense" in words.replace("focal, ", "") and "0.12" in words
    assert "best" in [rev for rev, path in asked if "test" in path]
    assert {rev for rev, path in asked if "test" in path} == {"best"}  # nobody else's test result is read
    with (tmp_path / "reports/comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rank"], row["name"]) for row in rows] == [("1", "best"), ("2", "second"), ("3", "naive")]
    assert rows[0]["latent_dim"] == "512" and rows[0]["val_return_fraction"] == "0.9"
    assert rows[2]["val_return_fraction"] == ""


def test_what_is_not_in_the_cache_is_said(project, tmp_path):
    files, _ = project
    files.clear()
    compare.main()
    html = (tmp_path / "reports/comparison.html").read_text(encoding="utf-8")
    assert html.count("its predictions are not in DVC") == 3
    assert "Its test result is not in DVC" in html


def test_other_frames_are_not_put_side_by_side(project, tmp_path):
    files, _ = project
    files["second", "reports/policy/predictions.csv"] = predictions_csv(frames=30)
    compare.main()
    assert "its validation frames are others" in (tmp_path / "reports/comparison.html").read_text(encoding="utf-8")


def test_nothing_to_compare_is_an_error(project, monkeypatch):
    monkeypatch.setattr(compare, "show_experiments", lambda all_commits: [])
    with pytest.raises(ValueError, match="no experiment with metrics"):
        compare.main()
