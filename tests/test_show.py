import pytest

from stages.commands import show
from stages.pages.experiments import Experiment
from stages.pages.glossary import HEADLINE


def experiment(name, score, **params):
    metrics = {metric: 0.5 for metric in HEADLINE} | {"val_return_fraction": score}
    return Experiment(name, name * 7, "experiment", "done", {"latent_dim": 128, "cell": "gru", **params}, metrics)


def test_the_best_comes_first_and_only_what_differs_is_shown():
    rows = [experiment("a", 0.4), experiment("b", 0.9, latent_dim=512)]
    lines = show.table_lines(rows)
    assert lines[1].split()[:2] == ["experiment", "latent_dim"]
    assert "cell" not in lines[0] + lines[1]
    assert lines[3].split()[:3] == ["b", "512", "0.90"]
    assert lines[4].split()[:3] == ["a", "128", "0.40"]


def test_columns_are_aligned():
    lines = show.table_lines([experiment("short", 0.4), experiment("a-longer-name-of-it", 0.9, latent_dim=1024)])
    assert len({len(line) for line in (lines[1], lines[2], lines[3], lines[4])}) == 1


@pytest.mark.parametrize("many", [0, 3, 12, 40])
def test_no_line_is_wider_than_120_columns(many):
    params = {f"section.some_long_parameter_{i}": "x" * i for i in range(many)}
    other = {key: [16, 32, 64, 128, 256] for key in params}
    lines = show.table_lines([experiment("a" * 40, 0.1, **params), experiment("b", -12.5, **other)])
    assert max(map(len, lines)) <= 120
    assert "return" in lines[0]  # the most important metric is there however many params differ
    if many == 40:
        assert "section.some_long_parameter_39" in " ".join(lines)  # and what is missing is named


def test_a_metric_that_no_row_has_takes_no_room():
    row = Experiment("a", "1", "experiment", "done", {}, {"val_onset_f1": 0.25})
    lines = show.table_lines([row])
    assert lines[0].split() == ["onset"] and lines[1].split() == ["experiment", "F1"]
    assert lines[3].split() == ["a", "0.250"]


def test_a_row_without_the_metric_shows_a_dash_and_comes_last():
    bare = Experiment("bare", "1", "experiment", "done", {"cell": "lstm"}, {"val_onset_f1": 0.9})
    lines = show.table_lines([bare, experiment("a", -3.0)])
    assert [line.split()[0] for line in lines[3:5]] == ["a", "bare"]
    assert "-" in lines[4].split()


def test_unfinished_experiments_are_named():
    rows = [
        Experiment("x", "1", "experiment", "failed", {}, {}),
        Experiment("y", "2", "experiment", "queued", {}, {}),
        Experiment("main", "3", "commit", "done", {}, {}),
    ]
    assert show.unfinished_lines(rows) == ["failed: x", "queued: y"]
