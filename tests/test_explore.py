import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import explore
from stages.episodes import balance
from stages.episodes.balance import Stretch
from stages.episodes.store import EpisodeInfo, StoreWriter, episode_name
from stages.evaluation.figures import explore as figures
from stages.recordings.timeline import Timeline, write_timeline

NAMES = ("WALK", "DASH")


def timeline(session, columns, episode, fps=10.0, names=NAMES):
    actions = np.array([[int(mark) for mark in column] for column in columns], np.uint8).T
    times = 100 + np.arange(len(episode)) / fps
    return Timeline(
        session, np.arange(len(times)), times, np.zeros(len(episode), bool), np.array(episode), actions, names
    )


def by_hand():
    """Two sessions of ten frames, 10 a second: one episode of frames 2..7, and one of all frames."""
    return {
        "a": timeline("a", ["1110111100", "0000100001"], [-1, -1, 0, 0, 0, 0, 0, 0, -1, -1]),
        "b": timeline("b", ["0000000000", "1000000000"], [0] * 10),
    }


SPLITS = {("a", 0): "train", ("b", 0): "test"}


def read_table(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def row_of(rows, split, action):
    return next(row for row in rows if (row.split, row.action) == (split, action))


def test_runs_by_hand():
    starts, stops = balance.runs(np.array([1, 1, 0, 1, 0, 0, 1], np.uint8))
    assert (starts.tolist(), stops.tolist()) == ([0, 3, 6], [2, 4, 7])
    assert [part.tolist() for part in balance.runs(np.zeros(3, np.uint8))] == [[], []]
    assert [part.tolist() for part in balance.runs(np.array([], np.uint8))] == [[], []]


def test_whole_recordings_count_every_frame_and_episodes_only_theirs():
    whole, episodes = balance.stretches(by_hand(), SPLITS)
    everywhere = balance.balance_of(whole, NAMES, scope="recordings")
    walk = row_of(everywhere, "all", "WALK")
    assert (walk.frames, walk.active_frames, walk.share, walk.presses) == (20, 7, 0.35, 2)
    assert walk.mean_hold_s == pytest.approx(0.35)
    inside = balance.balance_of(episodes, NAMES, scope="episodes")
    walk = row_of(inside, "train", "WALK")
    assert (walk.frames, walk.active_frames, walk.presses) == (6, 5, 2)
    assert walk.mean_hold_s == pytest.approx(0.25)  # .1 s of the first press lies in the episode, .4 s of the second
    assert walk.median_hold_s == pytest.approx(0.25)
    assert walk.typical_hold_s == pytest.approx(0.4)
    dash = row_of(inside, "test", "DASH")
    assert (dash.frames, dash.active_frames, dash.presses) == (10, 1, 1)


def test_a_split_without_frames_has_no_share():
    _, episodes = balance.stretches(by_hand(), SPLITS)
    row = row_of(balance.balance_of(episodes, NAMES, scope="episodes"), "val", "WALK")
    assert (row.frames, row.presses) == (0, 0)
    assert np.isnan([row.share, row.mean_hold_s, row.median_hold_s, row.typical_hold_s]).all()


def test_the_last_frame_lasts_as_long_as_the_others():
    whole, _ = balance.stretches({"a": timeline("a", ["0001"], [0] * 4, names=("WALK",))}, {("a", 0): "train"})
    assert [hold.hold_s for hold in balance.holds_of(whole)] == [pytest.approx(0.1)]


def test_a_session_in_two_splits_counts_as_a_whole_only_in_all():
    both = {"a": timeline("a", ["1100", "0000"], [0, 0, 1, 1])}
    whole, episodes = balance.stretches(both, {("a", 0): "train", ("a", 1): "val"})
    everywhere = balance.balance_of(whole, NAMES, scope="recordings")
    assert [row_of(everywhere, split, "WALK").frames for split in ("all", "train", "val")] == [4, 0, 0]
    inside = balance.balance_of(episodes, NAMES, scope="episodes")
    assert [row_of(inside, split, "WALK").frames for split in ("all", "train", "val")] == [4, 2, 2]


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({("a", 0): "train"}, "episode 0 of b is in the timelines"),
        (SPLITS | {("c", 0): "val"}, "has 3 episodes, the timelines 2"),
    ],
)
def test_a_store_of_other_timelines_is_refused(splits, words):
    with pytest.raises(ValueError, match=words):
        balance.stretches(by_hand(), splits)


def test_the_typical_hold_weighs_presses_by_their_length():
    assert balance.typical(np.array([0.1] * 9 + [2.0])) == 2.0
    assert balance.typical(np.array([0.1, 0.1, 0.1])) == 0.1
    assert np.isnan(balance.typical(np.array([])))


def test_actions_held_together():
    piece = Stretch("a", 0, "train", np.array([[1, 1], [1, 0], [0, 0], [1, 1]], np.uint8), np.arange(5.0))
    pairs, at_once = balance.together([piece, piece], 2)
    assert pairs.tolist() == [[6, 4], [4, 4]]
    assert at_once.tolist() == [2, 2, 4]


def rows(presses, *, share=0.3, hold=1.0, action="DASH"):
    """Rows of one action with so many presses in train, val and test."""
    counts = dict(zip(("train", "val", "test"), presses, strict=True))
    counts = {"all": sum(presses)} | counts
    return [balance.Balance("episodes", s, action, 100, 30, share, n, hold, hold, hold) for s, n in counts.items()]


def said(table, episodes=(), min_presses=20, min_share=0.01):
    return balance.warnings_of(table, episodes, min_presses=min_presses, min_share=min_share)


def test_warnings_in_words():
    assert said(rows([60, 20, 20])) == []
    assert said(rows([60, 20, 6])) == ["DASH has 6 presses in test: too few for an F1"]
    assert said(rows([60, 1, 20])) == ["DASH has 1 press in val: too few for an F1"]
    assert said(rows([0, 20, 20])) == ["DASH is never pressed in train: it cannot be learned; choose other sessions"]
    assert said(rows([0, 0, 0]))[0].startswith("DASH is never pressed inside an episode")
    assert len(said(rows([0, 0, 0]))) == 1


def test_rare_and_ever_held_actions_are_named():
    assert said(rows([60, 20, 20], share=0.01)) == []
    assert said(rows([60, 20, 20], share=0.007))[0].startswith("DASH is held in 0.70% of the frames: rare")
    assert "always pressing it is nearly right" in said(rows([60, 20, 20], share=0.995))[0]


def test_weak_splits_are_named():
    def episode(session, number, split):
        return Stretch(session, number, split, np.zeros((1, 1), np.uint8), np.arange(2.0))

    sound = [episode(s, n, split) for s, split in zip("abc", ("train", "val", "test"), strict=True) for n in (0, 1)]
    assert said(rows([60, 20, 20]), sound) == []
    weak = [episode("a", 0, "train"), episode("a", 1, "val"), episode("a", 2, "test"), episode("a", 3, "test")]
    found = said(rows([60, 20, 20]), weak)
    assert found[0].startswith("val is a single episode")
    assert found[1].startswith("the splits share 1 session")
    assert len(found) == 2


@pytest.mark.parametrize(("hold", "kind"), [(0.39, "reflex"), (0.4, "state")])
def test_states_and_reflexes(hold, kind):
    assert balance.kind_of(rows([1, 1, 1], hold=hold)[0], 0.4) == kind
    assert balance.kind_of(rows([0, 0, 0], hold=np.nan)[0], 0.4) == "never"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with three sessions of random keys, a store that knows their splits, and params.yaml."""
    text = (Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text, encoding="utf-8")
    Path("data/timelines").mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = tuple(yaml.safe_load(text)["actions"])
    attrs = {"action_names": list(names), "state_columns": [], "fps": 10.0, "recordings": "x"}
    with StoreWriter("data/episodes.zarr", attrs=attrs) as writer:
        for number, split in enumerate(("train", "val", "test")):
            session = f"s{number}"
            columns = ["".join(map(str, rng.integers(0, 2, 300))) for _ in names[:-1]] + ["0" * 300]
            episode = np.repeat([0, -1, 1], 100)
            write_timeline(f"data/timelines/{session}.csv", timeline(session, columns, episode, names=names))
            for i in (0, 1):
                info = EpisodeInfo(episode_name(2 * number + i), session, i, split, 100, None, None)
                writer.episode(info, {"t": np.arange(100.0)})
    return names


def test_the_stage_writes_tables_figures_and_warnings(project, capsys):
    explore.main()
    folder = Path("reports/explore")
    table = read_table(folder / "balance.csv")
    assert len(table) == 2 * 4 * len(project)
    first = next(row for row in table if row["scope"] == "episodes" and row["split"] == "all")
    assert (first["action"], first["frames"]) == (project[0], "600")
    never = next(row for row in table if row["action"] == project[-1])
    assert (never["kind"], never["presses"], never["mean_hold_s"]) == ("never", "0", "")
    holds = read_table(folder / "holds.csv")
    pressed = [row for row in table if (row["scope"], row["split"]) == ("episodes", "all")]
    assert len(holds) == sum(int(row["presses"]) for row in pressed)
    at_once = read_table(folder / "at_once.csv")
    assert sum(int(row["frames"]) for row in at_once) == 600
    warnings = json.loads((folder / "warnings.json").read_text(encoding="utf-8"))["warnings"]
    assert any(text.startswith(f"{project[-1]} is never pressed") for text in warnings)
    printed = capsys.readouterr().out
    assert all(f"warning: {text}" in printed for text in warnings)
    for name in ("balance.png", "holds.png", "together.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert not Path("reports/explore.partial").exists()


def test_the_same_recordings_give_the_same_bytes(project):
    explore.main()
    before = {path.name: path.read_bytes() for path in Path("reports/explore").iterdir()}
    explore.main()
    assert {path.name: path.read_bytes() for path in Path("reports/explore").iterdir()} == before


def test_figures_can_be_drawn_when_nothing_was_pressed():
    nothing = np.full(2, np.nan)
    figures.balance_bars({"all": nothing}, {"train": np.zeros(2)}, NAMES, min_presses=20)
    holds = {name: np.array([]) for name in NAMES}
    figures.hold_histograms(holds, dict.fromkeys(NAMES, "never"), frame_s=0.1, reflex_hold_s=0.4)
    figures.together_map(np.zeros((2, 2), np.int64), np.array([5, 0, 0]), NAMES)
