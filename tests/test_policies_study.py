"""The study policies: what is read of each kind's predictions, and the table and pictures of its rows."""

import numpy as np
import pytest

from stages.evaluation.figures.policies import PANELS, policies_figure
from stages.params import read_params
from stages.studies.policies.inputs import PoliciesParams
from stages.studies.policies.summarise import SCORES, by_action, read_predictions, table, timeline
from stages.studies.workspace import preset

ACTIONS = ("LEFT", "SHOOT")
ROW = {
    "kind": "cnn", "seed": 0, "train_ap": 0.9, "val_ap": 0.8, "episode_s": 33.4, "survived_share": 0.25,
    "parameters": 12345, "decision_ms": 4.25, "seconds": 90.0,
    "actions": {"LEFT": {"precision": 0.5, "recall": None}, "SHOOT": {"precision": 1.0, "recall": 0.25}},
    **{f"{name}{end}": 0.5 for name in SCORES for end in ("", "_low", "_high")},
}  # fmt: skip


def write_predictions(path, pressed):
    """Two episodes of 30 frames; LEFT is held in frames 10 to 14 of the second one."""
    lines = ["session,episode,frame,t,LEFT_true,LEFT_p,LEFT_pressed,SHOOT_true,SHOOT_p,SHOOT_pressed"]
    for episode in (0, 1):
        for frame in range(30):
            held = int(episode == 1 and 10 <= frame < 15)
            lines.append(f"s,{episode},{frame},{100 * episode + frame / 10},{held},0.5,{pressed},0,0.1,0")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_predictions_are_read_as_they_were_written(tmp_path):
    times, episode, truth, pressed = read_predictions(write_predictions(tmp_path / "p.csv", 1), ACTIONS)
    assert times[31] == 100.1 and episode.tolist() == [0] * 30 + [1] * 30
    assert truth[:, 0].sum() == 5 and truth[40:45, 0].all() and not truth[:, 1].any()
    assert pressed[:, 0].all() and not pressed[:, 1].any()


def test_the_timeline_shows_the_player_and_every_kind_in_the_stretch_with_presses(tmp_path):
    predicted = {name: write_predictions(tmp_path / f"{name}.csv", value) for name, value in (("cnn", 1), ("vit", 0))}
    left, shoot = timeline(predicted, ACTIONS).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["player", "cnn", "vit"]
    held = [sum(path.get_extents().width for path in lane.get_paths()) for lane in left.collections]
    assert held == pytest.approx([0.5, np.ptp(left.get_xlim()), 0.0], abs=1e-6)
    assert not any(len(lane.get_paths()) for lane in shoot.collections)


def test_rows_as_tables_and_as_a_chart():
    lines = table([ROW]).splitlines()
    assert lines[0].endswith("| AP train / val | s a game | survived | weights | ms a decision | minutes to train |")
    assert lines[2].endswith("| 0.90 / 0.80 | 33 | 25% | 12,345 | 4.2 | 1.5 |") and "0.50 (0.50-0.50)" in lines[2]
    assert by_action([ROW]).splitlines()[2] == "| cnn | 0 | 0.50 / - | 1.00 / 0.25 |"
    figure = policies_figure([ROW, ROW | {"kind": "vit"}, ROW | {"kind": "vit", "return_fraction": None}])
    assert len(figure.axes) == len(PANELS)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cnn", "vit"]


def test_every_kind_of_the_study_is_a_preset_of_a_policy():
    rows = read_params().section("policies", PoliciesParams).rows
    for row in rows:
        assert {"policy", "policy_reads", "policy_members"} <= preset(row.kind).keys()
    assert len({(row.kind, row.seed) for row in rows}) == len(rows)
