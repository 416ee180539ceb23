"""The README's results come from the reports, and from nowhere else."""

import json
from pathlib import Path

import pytest

from stages.commands import readme
from stages.pages.labels_page import claim, readme_table

ROOT = Path(__file__).parents[1]

TEST = {
    "return": 14.73, "return_low": 14.09, "return_high": 15.37, "return_script": 17.4, "return_blind": 5.7,
    "return_random": 0.8, "return_nothing": -1.0, "return_fraction": 0.77, "onset_f1": 0.66, "frame_f1": 0.75,
    "onset_f1_baseline": 0.31, "ae_object_ap": 0.99, "ae_object_ap_raw": 0.98, "ae_object_ap_blind": 0.76,
    "frame_f1_baseline": 0.41, "frame_f1_repeat": 0.68, "lam_gain_db": 2.7, "lam_shuffle_drop_db": 2.2,
    "lam_zeroed_drop_db": 1.3, "lam_information_gained": 0.67, "lam_probe_past": 0.84, "lam_probe_past_code": 0.92,
    "lam_probe_past_next": 0.97, "lam_probe_repeat": 0.81, "lam_change_accuracy": 0.78, "lam_change_past": 0.38,
    "lam_change_past_next": 0.9, "lam_change_switch": 0.6,
}  # fmt: skip


def test_the_tables_hold_the_numbers_with_their_intervals_and_rivals():
    tables = readme.results(TEST, games=200, candidates=166)
    assert "| **the agent** | **14.7 (14.1-15.4)** |" in tables
    assert "the best of 166 blind policies | 5.7 |" in tables
    assert "| 0.750 | best playable baseline 0.410; the player's last keys again 0.680 |" in tables
    told = "keys told from the past 0.84 (the key before, again: 0.81), with the code 0.92, with the next frame 0.97"
    assert f"| 0.67 | {told} |" in tables
    assert "|  |" not in tables  # a control stands beside every number


def test_only_what_stands_between_the_marks_is_replaced():
    page = f"above\n{readme.BEGIN}\nold\n{readme.END}\nbelow\n"
    assert readme.between_marks(page, "new") == f"above\n{readme.BEGIN}\nnew\n{readme.END}\nbelow\n"
    assert readme.between_marks(readme.between_marks(page, "new"), "new") == readme.between_marks(page, "new")


@pytest.mark.parametrize("page", ["", readme.BEGIN, readme.END])
def test_a_page_without_its_marks_is_refused(page):
    with pytest.raises(ValueError, match="nobody knows where the results go"):
        readme.between_marks(page, "new")


def test_without_a_run_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="dvc repro"):
        readme.main()


def test_the_table_of_few_labels_is_the_committed_one():
    found = json.loads((ROOT / "reports/labels.json").read_text(encoding="utf-8"))
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.between_marks(page, readme_table(found), readme.LABEL_MARKS) == page


def test_the_table_of_few_labels_has_a_row_a_number_and_dashes_where_nobody_played():
    row = {"labels": 10, "choice": "spread", "labeller": "vectors", "exact": 0.5, "exact_low": 0.4, "exact_high": 0.6}
    played = {"labels": 30, "policy": "pseudo_labels", "return": 9.04}
    found = {"curve": [row, row | {"labels": 30, "choice": "random"}], "play": [played], "choice": "spread"}
    lines = readme_table(found).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == 3  # whom nobody asked has no column
    assert lines[2:4] == ["| 10 | 0.50 (0.40-0.60) |", "| 30 | – |"]
    assert lines[4] == "" and lines[6:] == ["|---|---|", "| 10 | – |", "| 30 | 9.0 |"]


def test_the_first_sentences_set_latent_actions_against_the_best_that_does_without():
    def rows(key, measure, count, **values):
        return [{"labels": count, "choice": "spread", key: name, measure: value} for name, value in values.items()]

    named = rows("labeller", "exact", 10, vectors=0.6, latents=0.1, unlearned=0.45, inverse=0.2, cloning=0.3)
    named += rows("labeller", "exact", 30, vectors=0.8, latents=0.85, unlearned=0.75, inverse=0.2, cloning=0.3)
    named += rows("labeller", "exact", 100, vectors=0.9, unlearned=0.75)  # without its rivals nothing is claimed
    random = [row | {"choice": "random", "exact": 1.0} for row in named]
    played = rows("policy", "return", 30, pseudo_labels=9.0, unlearned=9.5, inverse=1.0, cloning=0.0)
    said = claim({"curve": named + random, "play": played, "choice": "spread"})
    assert said == (
        "From 10, 30 labels latent actions name 0.60, 0.80 of the transitions rightly, the best without them 0.45, "
        "0.85. From 30 labels policies cloned from what latent actions name score 9.0, the best without them 9.5."
    )
    assert claim({"curve": named[-2:], "play": [], "choice": "spread"}) == ""
