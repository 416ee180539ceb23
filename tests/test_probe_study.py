"""The study probe: what is hidden of the picture, how answers are counted, what is said of where a signal is lost."""

import numpy as np
import pytest

from stages.evaluation.figures.foresight import BINS, answers_figure
from stages.evaluation.press_probe import Looking
from stages.studies.probe.ask import pixels
from stages.studies.probe.summarise import best_threshold, classified, lost_in_words, table

ANSWERS = {"press": [0.9, 0.8, 0.4], "near": [0.1, 0.5, 0.3], "far": [0.0, 0.0]}


class Bank:
    """Frames that hold their own number."""

    lengths, shape = [6, 4], (1, 4, 8)

    def take(self, rows):
        return np.broadcast_to(rows[..., None, None, None].astype(np.uint8), (*rows.shape, *self.shape)).copy()


def test_a_box_of_shares_is_hidden_in_every_frame():
    rows, columns = pixels((0.5, 0.25, 1.0, 1.0), width=8, height=4)
    assert (rows, columns) == (slice(1, 4), slice(4, 8))
    shown = Looking(Bank(), 3, hidden=(rows, columns)).take(np.array([4, 9]))
    assert shown[:, :, 0, 0, 0].tolist() == [[2, 3, 4], [7, 8, 9]]
    assert not shown[..., 1:, 4:].any() and shown[..., 0, :].all() and shown[..., :4].all()
    with pytest.raises(ValueError, match=r"probe.hidden is \[0.5, 0.0, 0.5, 1.0\]: expected left, top, right, bottom"):
        pixels((0.5, 0.0, 0.5, 1.0), width=8, height=4)


def test_shuffled_windows_hold_the_same_frames_and_stay_as_they_are():
    looking = Looking(Bank(), 4, shuffled=np.random.default_rng(0))
    ends = np.arange(3, 6)
    seen = looking.take(ends)[..., 0, 0, 0].numpy().astype(int)
    assert np.sort(seen, axis=1).tolist() == [[e - 3, e - 2, e - 1, e] for e in ends.tolist()]
    assert (np.diff(seen, axis=1) < 0).any()
    assert (looking.take(ends)[..., 0, 0, 0].numpy() == seen).all()


def test_answers_are_counted_at_the_threshold_of_val():
    assert best_threshold([0.9, 0.8, 0.4], [0.1, 0.5, 0.3]) == 0.4
    assert best_threshold([], []) == 0.5
    found = classified(ANSWERS, {"press": [0.9, 0.2], "near": [0.4, 0.1, 0.1, 0.1], "far": [0.1, 0.1]}, least=2)
    assert found["threshold"] == 0.4 and found["confusion"] == [[3, 1], [1, 1]]
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert (found["accuracy_near"], found["accuracy_far"]) == (0.625, 0.75)
    assert classified(ANSWERS, {"press": [0.9], "near": [0.1], "far": [0.1]}, least=2)["accuracy_far"] is None


def rows(**aucs):
    return [
        {"action": "DASH", "lead": 0, "from": source, "against": "near", "auc": auc, "auc_low": auc - 0.05,
         "auc_high": auc + 0.05}
        for source, auc in aucs.items()
    ]  # fmt: skip


def test_what_tells_less_than_the_frames_is_named():
    assert lost_in_words(rows(window=0.9, latents=0.7, policy=0.88), ["DASH"]) == [
        "DASH: the latents tell less (0.70) than the frames (0.85 at least)"
    ]
    assert lost_in_words(rows(window=0.58, latents=0.5), ["DASH"]) == []  # nothing that could be lost


def test_a_table_of_sources_and_leads():
    lines = table([*rows(window=0.9, state=0.6), *(row | {"lead": 4} for row in rows(window=0.7))], ["DASH", "UP"])
    assert lines.splitlines()[2:] == [
        "| window | 0 | 0.90 (0.85-0.95) | - |", "| state | 0 | 0.60 (0.55-0.65) | - |",
        "| window | 4 | 0.70 (0.65-0.75) | - |",
    ]  # fmt: skip


def test_answers_as_histograms():
    axis = answers_figure({"DASH": ANSWERS}, ["press", "near", "matched"]).axes[0]
    assert [patch.get_label() for patch in axis.patches] == ["press", "near"]
    assert (
        axis.patches[0].get_data().values.sum() == pytest.approx(1) and len(axis.patches[0].get_data().values) == BINS
    )
