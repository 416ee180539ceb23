"""Stage report: one page that holds everything, of a bundled game and of own recordings; its headline, its errors."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest

from stages import report
from stages.commands import headline
from stages.episodes.store import EpisodeInfo, StoreWriter
from stages.evaluation.figures import style
from stages.recordings.timeline import Timeline, write_timeline
from stages.recordings.writer import SessionWriter

ROOT = Path(__file__).parent.parent
ACTIONS = ("LEFT", "RIGHT", "SHOOT", "DASH")
SESSIONS = ("a", "b", "c")
FRAMES = 24
FPS = 10.0


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def interval(name, value):
    return {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}


def held():
    """Keys of every frame, uint8 [T, A]: each action held in another stretch."""
    keys = np.zeros((FRAMES, len(ACTIONS)), np.uint8)
    for i in range(len(ACTIONS)):
        keys[4 * i + 2 : 4 * i + 6, i] = 1
    return keys


def frame(i, gray):
    image = np.full((72, 128, 3), gray, np.uint8)
    image[:, 4 * i : 4 * i + 8] = 250
    return image


def write_recordings(folder):
    times = 1000 + np.arange(FRAMES) / FPS
    split = dict(zip(SESSIONS, ("train", "val", "test"), strict=True))
    for number, session in enumerate(SESSIONS):
        metadata = {"game": "doom_center", "keys": {}, "recorder": "test", "player": "test"}
        with SessionWriter(
            folder / "data/raw/doom_center", session, width=128, height=72, fps=FPS, metadata=metadata, crf=10,
            state_columns=None,
        ) as writer:  # fmt: skip
            for i, t in enumerate(times):
                writer.frame(frame(i, 40 * number), t)
        write_timeline_of(folder, session, times)
    with StoreWriter(
        folder / "data/episodes.zarr",
        attrs={"action_names": list(ACTIONS), "state_columns": [], "fps": FPS, "recordings": "data/raw/doom_center",
               "width": 128, "height": 72, "color": "gray"},
    ) as store:  # fmt: skip
        for i, session in enumerate(SESSIONS):
            info = EpisodeInfo(f"episode_{i:05d}", session, 0, split[session], FRAMES, 7.0 + i, "died")
            frames = np.zeros((FRAMES, 1, 72, 128), np.uint8)
            store.episode(info, {"frames": frames, "actions": held(), "t": times})


def write_timeline_of(folder, session, times):
    (folder / "data/timelines").mkdir(parents=True, exist_ok=True)
    timeline = Timeline(
        session, np.arange(FRAMES), times, np.zeros(FRAMES, bool), np.zeros(FRAMES, np.int64), held(), ACTIONS
    )
    write_timeline(folder / f"data/timelines/{session}.csv", timeline)


def write_policy(folder, prefix, onset_f1):
    rows = ["predictor,playable,action,metric,value,low,high"]
    for action in ("all", *ACTIONS):
        rows += [f"model,true,{action},onset_f1,{onset_f1},0.5,0.9", f"model,true,{action},f1,0.9,0.8,0.95"]
        rows += [f"majority,true,{action},onset_f1,0,0,0", f"iid_random,true,{action},onset_f1,0.65,,"]
        rows += [f"repeat_last,false,{action},onset_f1,0.99,0.9,1", f"model,true,{action},onsets,30,,"]
    keys = held()
    header = ["session", "episode", "frame", "t"] + [f"{a}_{end}" for a in ACTIONS for end in ("true", "p", "pressed")]
    lines = [",".join(header)]
    for i in range(FRAMES):
        cells = [f"{k},{0.1 + 0.8 * k:.5f},{k}" for k in keys[i]]
        lines.append(f"c,0,{i},{1000 + i / FPS:.6f},{','.join(cells)}")
    folder.mkdir(parents=True)
    (folder / "actions.csv").write_text("\n".join(rows) + "\n")
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    write_json(folder / "metrics.json", interval(f"{prefix}onset_f1", onset_f1) | {f"{prefix}ap": 0.123456789})


def write_reports(folder, *, own):
    """What the stages leave in reports/; `own`: recordings of no bundled game and without state."""
    reports = folder / "reports"
    for base, prefix in ((reports, "val_"), (reports / "test", "")):
        write_policy(base / "policy", prefix, 0.7)
        objects = {"ae_object_ap": None} if own else interval("ae_object_ap", 0.8) | {"ae_object_ap_raw": 0.9}
        write_json(base / "autoencoder/metrics.json", {"ae_psnr_db": 30.0, **objects})
        write_json(base / "latent_action/metrics.json", interval("lam_gain_db", 2.0) | {"lam_information_gained": 0.4})
        fraction = {f"{prefix}return_fraction": None} if own else interval(f"{prefix}return_fraction", 0.8)
        write_json(base / "play/metrics.json", fraction | ({} if prefix or own else {"return": 14.0}))
    write_json(folder / "data/models/policy/policy/config.json", {"window": 10, "shapes": {"latents": [128]}})
    write_json(folder / "data/models/policy/agent.json", {"acting": {"thresholds": dict.fromkeys(ACTIONS, 0.5)}})
    session = {"frames": FRAMES, "seconds": 2.4, "gaps": {"count": 1, "longest_s": 1.0, "list": []}, "repeats": 0,
               "unclosed_episodes": [{"episode": 0}], "unmapped_keys": {"x": 2, "y": 3}, "episodes": 1,
               "interval_ms": {"median": 100.0}, "warnings": ["still down <at> the end"]}  # fmt: skip
    write_json(folder / "data/timelines/alignment.json", {"sessions": {"a": session}, "totals": {}})
    if own:
        return
    write_json(reports / "explore/warnings.json", {"warnings": ["DASH has 3 presses in val: too few for an F1"]})
    balance = "scope,split,action,frames,active_frames,share,presses,mean_hold_s,median_hold_s,kind\n"
    balance += "episodes,all,DASH,100,3,0.03,9,0.21,0.2,reflex\nepisodes,train,DASH,80,2,0.02,6,,,reflex\n"
    (reports / "explore/balance.csv").write_text(balance)
    tsv = reports / "policy_training/live/plots/metrics/train/loss.tsv"
    tsv.parent.mkdir(parents=True)
    tsv.write_text("step\tloss\n0\t0.5\n1\t0.25\n")
    figure, _ = style.new_figure(2, 1)
    style.save(figure, reports / "explore/extra.png")
    summary = {
        "policies": {name: {"mean": m, "low": m - 1, "high": m + 1, "episodes": 2} for name, m in POLICIES.items()},
        "paired": {"agent - best blind": {"mean": 10.0, "low": 9.0, "high": 11.0},
                   "agent - blindfolded": {"mean": 0.5, "low": -0.5, "high": 1.5}},
        "acting_rule": "threshold", "blind_policy": {"kind": "square wave", "period": 16},
    }  # fmt: skip
    write_json(reports / "test/play/summary.json", summary)
    rows = [f"{name},{seed},{mean + seed},300" for name, mean in POLICIES.items() for seed in (-2, 0, 2)]
    (reports / "test/play/returns.csv").write_text("policy,seed,return,length\n" + "\n".join(rows) + "\n")
    shutil.copy(folder / "data/raw/doom_center/a.mp4", reports / "test/play/best.mp4")


POLICIES = {"agent": 14.0, "script": 19.0, "best blind": 4.0}


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    write_recordings(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project of a bundled game after the stage report."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copy(ROOT / "params.yaml", folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_recordings(folder)
        write_reports(folder, own=False)
        report.main()
    return folder


class Page(HTMLParser):
    """What a page would load from outside, what it holds, and its words."""

    def __init__(self, path):
        super().__init__()
        self.outside, self.kinds, self.tags, self.words, self.links, self.ids = [], [], [], "", set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("src", "href", "srcset", "poster", "data", "action"):
                if value.startswith("data:"):
                    self.kinds.append(value[5:].split(";")[0])
                elif value.startswith("#"):
                    self.links.add(value[1:])
                else:
                    self.outside.append(value)

    def handle_data(self, data):
        self.words += data


def test_the_page_of_a_bundled_game_holds_everything_inside(built):
    found = Page(built / "reports/index.html")
    assert found.outside == [] and "script" not in found.tags
    assert found.links <= found.ids
    assert found.kinds.count("video/mp4") == 2 and "@import" not in found.words and "url(" not in found.words
    assert found.tags.count("img") == 3  # a frame, the figure of explore, the curves of the policy
    for words in ("0.80 (0.70-0.90)", "14.00 (13.00-15.00)", "above the limit in the table", "square wave",
                  "DASH has 3 presses", "not certain",
                  "still down <at> the end", "latent_dim: 128"):  # fmt: skip
        assert words in found.words, words


def test_the_page_says_which_targets_are_missed(built):
    words = Page(built / "reports/index.html").words
    missed = "latent action: information on the keys (0: what the past tells, 1: what the next frame shows): 0.40"
    assert f"Missed: {missed}, wanted at least 0.6" in words
    assert "Missed: mean gain: agent - blindfolded, in the same games: 0.50 (-0.50 to 1.50)" in words
    assert "Missed: LEFT" not in words and "Missed: the agent" not in words


def test_the_page_of_own_recordings_lives_with_what_is_missing(project):
    write_reports(project, own=True)
    report.main()
    found = Page(project / "reports/index.html")
    assert found.outside == []
    assert "come from no bundled game" in found.words and "do not say where objects were" in found.words
    assert "No training curves were found" in found.words
    metrics = json.loads((project / "reports/metrics.json").read_text())
    assert metrics["val_return_fraction"] is None and metrics["ae_object_ap"] is None


def test_metrics_are_merged_headline_first_and_rounded(built):
    val = json.loads((built / "reports/metrics.json").read_text())
    assert list(val)[:6] == [
        "val_return_fraction",
        "val_onset_f1",
        "val_ap",
        "ae_psnr_db",
        "ae_object_ap",
        "lam_gain_db",
    ]
    assert list(val)[7:] == sorted(list(val)[7:]) and val["val_ap"] == 0.123457
    test = json.loads((built / "reports/test/metrics.json").read_text())
    assert list(test)[:4] == ["return_fraction", "return", "onset_f1", "ap"]


def test_the_overlay_shows_the_frames_of_the_episode(built):
    with av.open(str(built / "reports/overlay.mp4")) as container:
        images = [image.to_ndarray(format="bgr24") for image in container.decode(video=0)]
    assert len(images) == FRAMES
    for i in (0, 10, 23):  # a bright bar moves to the right, 5x as large; session c is of gray 80
        row = images[i][180, :640].mean(axis=1)
        assert abs(row[20 * i + 20] - 250) < 25 and abs(row[(20 * i + 320) % 640] - 80) < 20


def test_two_reports_are_equal(built, monkeypatch):
    monkeypatch.chdir(built)
    outs = ["reports/index.html", "reports/overlay.mp4", "reports/metrics.json", "reports/test/metrics.json"]
    first = [(built / out).read_bytes() for out in outs]
    report.main()
    assert [(built / out).read_bytes() for out in outs] == first


def test_headline_prints_the_table_and_where_the_report_is(built, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is missing; run `dvc repro` first"):
        headline.main()
    monkeypatch.chdir(built)
    headline.main()
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[1].split()[-4:] == ["0.80", "(0.70-0.90)"] * 2 and max(map(len, lines[:8])) <= 120
    assert (built / "reports/index.html").resolve().as_uri() in printed


def test_merging_refuses_what_nobody_could_read(tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    write_json(one, {"a": 1.0})
    with pytest.raises(ValueError, match="two.json is missing; run `dvc repro`"):
        report.merged_metrics([one, two], [])
    write_json(two, {"a": 2.0})
    with pytest.raises(ValueError, match="a stands in both .*one.json and .*two.json"):
        report.merged_metrics([one, two], [])
    write_json(two, {"b": float("nan")})
    with pytest.raises(ValueError, match="two.json: b is nan; a metric that is not defined must be null"):
        report.merged_metrics([one, two], [])
    two.write_text("{")
    with pytest.raises(ValueError, match="two.json is not JSON"):
        report.merged_metrics([one, two], [])


def test_a_time_that_the_session_does_not_have_is_an_error(project):
    video, timeline = project / "data/raw/doom_center/c.mp4", project / "data/timelines/c.csv"
    assert len(list(report.frames_at(video, timeline, np.array([1000.1, 1000.1, 1002.3])))) == 3
    for t in (999.9, 1000.15, 1002.4):
        with pytest.raises(ValueError, match=rf"no frame at t = {t:.6f} s"):
            next(report.frames_at(video, timeline, np.array([t])))
