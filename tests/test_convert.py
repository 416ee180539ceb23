from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import convert
from stages.episodes.conversion import SessionJob, Span, convert_session, describe, plan_episodes
from stages.episodes.preprocess import preprocess
from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter
from stages.episodes.timelines import episode_spans, frame_rate, read_timelines
from stages.recordings.timeline import Timeline, write_timeline
from stages.recordings.video import read_frames
from stages.recordings.writer import SessionWriter

FPS = 10.0
# Two episodes of 12 and 7 frames, three frames outside: -1 -1 0... -1 1...
EPISODE = np.array([-1, -1, *[0] * 12, -1, *[1] * 7])


def picture(number, width=32, height=24):
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 5 + number * 9) % 256, (y * 7 + number) % 256, (x + y + 3 * number) % 256], -1).astype(
        np.uint8
    )


def record(recordings, timelines, stem, *, columns=("x", "y"), episode=EPISODE, start=1000.0):
    """A session of pictures that all differ, and its timeline."""
    metadata = {"game": "none", "keys": {}, "recorder": "test", "player": "test"}
    options = {"width": 32, "height": 24, "fps": FPS, "metadata": metadata, "crf": 10, "state_columns": columns}
    times = np.round(start + np.arange(len(episode)) / FPS, 6)
    with SessionWriter(recordings, stem, **options) as writer:
        writer.key("keydown", "a", times[0])
        for number, t in enumerate(times):
            if number and episode[number] > episode[number - 1]:
                writer.marker("fight_start", t)
                writer.episode_result(float(episode[number]) + 0.5, "won" if episode[number] else None)
            state = {"x": number, "y": -number} if columns else None
            writer.frame(picture(number), t, state={key: state[key] for key in columns} if columns else None)
    actions = (np.arange(len(episode))[:, None] % np.array([2, 3]) == 0).astype(np.uint8)
    timelines.mkdir(parents=True, exist_ok=True)
    repeats = np.zeros(len(episode), bool)
    write_timeline(
        timelines / f"{stem}.csv",
        Timeline(stem, np.arange(len(times)), times, repeats, episode, actions, ("LEFT", "SHOOT")),
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with four short sessions, their timelines and params.yaml, as the working directory."""
    tree = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
    tree |= {"recordings": "data/raw/mine", "workers": 1, "actions": ["LEFT", "SHOOT"], "rare_actions": []}
    tree["evaluate"]["composite"] = {"SHOOT": 1.0}
    tree["latent_action"]["probe_actions"] = ["LEFT"]
    tree["convert"] = {"width": 16, "height": 12, "pixels": [36864], "color": "gray"}
    tree["split"] = {"unit": "session", "val": ["c"], "test": ["d"], "seed": 0}
    monkeypatch.chdir(tmp_path)
    for stem in "abcd":
        record(Path("data/raw/mine"), Path("data/timelines"), stem)
    set_params(tree)
    return tree


def set_params(tree, **changes):
    Path("params.yaml").write_text(yaml.safe_dump(tree | changes), encoding="utf-8")


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_every_episode_becomes_an_episode_with_its_frames_labels_and_result(project, capsys):
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.action_names == ("LEFT", "SHOOT")
    assert store.state_columns == ("x", "y")
    assert store.fps == 10.0
    assert store.attrs["recordings"] == "data/raw/mine"
    assert (store.attrs["width"], store.attrs["height"], store.attrs["color"]) == (16, 12, "gray")
    episodes = [(episode.session, episode.episode, episode.split, episode.length) for episode in store.episodes()]
    assert episodes[:4] == [("a", 0, "train", 12), ("a", 1, "train", 7), ("b", 0, "train", 12), ("b", 1, "train", 7)]
    assert episodes[4:] == [("c", 0, "val", 12), ("c", 1, "val", 7), ("d", 0, "test", 12), ("d", 1, "test", 7)]
    assert [(episode.score, episode.outcome) for episode in store.episodes()[:2]] == [(0.5, None), (1.5, "won")]
    second = store.episodes()[1].name
    rows = np.flatnonzero(EPISODE == 1)
    every = [preprocess(image, width=16, height=12, color="gray") for image in read_frames("data/raw/mine/a.mp4")]
    difference = store.read(second, "frames").astype(int) - np.stack(every)[rows]
    assert np.abs(difference).max() <= 2
    assert store.read(second, "actions").tolist() == [[number % 2 == 0, number % 3 == 0] for number in rows]
    np.testing.assert_allclose(store.read(second, "t"), 1000 + rows / 10, atol=1e-6)
    assert store.read(second, "state").tolist() == [[number, -number] for number in rows]
    said = capsys.readouterr().out
    assert "4 sessions, 88 frames, 8 episodes" in said
    assert "12 frames lie outside episodes and are left out (14%)" in said
    assert "val: 2 episodes, 19 frames from 1 session (c)" in said


def test_rgb_is_kept_where_params_say_so(project):
    set_params(project, convert={"width": 32, "height": 24, "pixels": [36864], "color": "rgb"})
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.row_layout("frames") == ((3, 24, 32), np.dtype(np.uint8))
    image = list(read_frames("data/raw/mine/a.mp4"))[2]
    np.testing.assert_array_equal(store.read("episode_00000", "frames", 0, 1)[0], image[..., ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize(("needed", "size"), [(0.0, (6, 8)), (1.1, (24, 32))])
def test_the_smallest_pictures_that_keep_what_moves_are_written(project, monkeypatch, needed, size, capsys):
    monkeypatch.setattr("stages.episodes.conversion.KEPT", needed)
    set_params(project, convert={"width": "auto", "height": "auto", "pixels": [48, 768], "color": "gray"})
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.row_layout("frames")[0] == (1, *size) == (1, store.attrs["height"], store.attrs["width"])
    assert f"pictures of {size[1]} x {size[0]} px keep" in capsys.readouterr().out


def test_the_number_of_workers_changes_no_byte(project):
    convert.main()
    alone = files_of("data/episodes.zarr")
    set_params(project, workers=2)
    convert.main()
    assert files_of("data/episodes.zarr") == alone
    assert not Path("data/episodes.zarr.partial").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_session_that_cannot_be_converted_leaves_the_store_from_before(project, workers):
    convert.main()
    before = files_of("data/episodes.zarr")
    video = Path("data/raw/mine/b.mp4")
    video.write_bytes(video.read_bytes()[:-900])
    set_params(project, workers=workers)
    with pytest.raises(ValueError, match=r"b\.mp4"):
        convert.main()
    assert files_of("data/episodes.zarr") == before
    assert not Path("data/episodes.zarr.partial").exists()


def test_a_timeline_longer_than_its_video_names_both_counts(project):
    record(Path("other"), Path("data/timelines"), "a", episode=np.zeros(30, np.int64))
    with pytest.raises(ValueError, match=r"a\.mp4 has 22 frames, at least 30 are expected"):
        convert.main()


def test_a_timeline_shorter_than_its_video_uses_the_frames_it_names(project):
    record(Path("other"), Path("data/timelines"), "a", episode=EPISODE[:10])
    convert.main()
    assert [episode.length for episode in EpisodeStore("data/episodes.zarr").episodes()[:2]] == [8, 12]


def test_sessions_with_and_without_state_share_a_store(project):
    Path("data/raw/mine/b_state.csv").unlink()
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.state_columns == ("x", "y")
    assert np.isnan(store.read("episode_00002", "state")).all()
    assert not np.isnan(store.read("episode_00000", "state")).any()


def test_a_state_table_may_begin_with_a_byte_order_mark(project):
    for path in Path("data/raw/mine").glob("*_state.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.state_columns == ("x", "y") and not np.isnan(store.read("episode_00000", "state")).any()


def test_without_any_state_there_is_no_state_array(project):
    for path in Path("data/raw/mine").glob("*_state.csv"):
        path.unlink()
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.state_columns == ()
    assert not store.has("state")


def test_what_a_script_meant_is_no_state_and_may_be_the_label(project):
    for stem in "abcd":
        path = Path("data/raw/mine") / f"{stem}_state.csv"
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        meant = [f"{row},{number % 2},1" for number, row in enumerate(rows)]
        text = "\n".join([f"{head},intended_SHOOT,intended_LEFT", *meant]) + "\n"
        path.write_text(text, encoding="utf-8")
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.state_columns == ("x", "y")
    assert store.read("episode_00000", "actions").tolist() != [[1, number % 2] for number in range(2, 14)]
    set_params(project, labels={"rule": "interval", "delay_ms": 0, "intended": True})
    convert.main()
    store = EpisodeStore("data/episodes.zarr")
    assert store.read("episode_00000", "actions").tolist() == [[1, number % 2] for number in range(2, 14)]


def test_what_was_meant_must_have_been_recorded(project):
    set_params(project, labels={"rule": "interval", "delay_ms": 0, "intended": True})
    with pytest.raises(ValueError, match="session a does not say what was meant .no intended_LEFT"):
        convert.main()
    set_params(project, labels={"rule": "interval", "delay_ms": 50, "intended": True})
    with pytest.raises(ValueError, match="labels.delay_ms: 0, found interval and 50"):
        convert.main()


def test_no_timelines_and_timelines_of_other_actions(project):
    table = Path("data/timelines/b.csv").read_text(encoding="utf-8")
    Path("data/timelines/b.csv").write_text(table.replace("SHOOT", "DASH"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"b.csv has the actions \['LEFT', 'DASH'\].*\['LEFT', 'SHOOT'\]"):
        convert.main()
    for path in Path("data/timelines").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="holds no timeline"):
        convert.main()


def test_a_episode_longer_than_a_shard_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.episodes.conversion.SHARD", 64)
    monkeypatch.setattr("stages.episodes.store.SHARD", 64)
    record(tmp_path, tmp_path / "timelines", "long", episode=np.zeros(150, np.int64))
    heard = []
    span = Span(EpisodeInfo("episode_00000", "long", 0, "train", 150, None, None), 0, 150)
    attrs = {"action_names": ["LEFT", "SHOOT"], "state_columns": [], "fps": FPS, "recordings": "x"}
    with StoreWriter(tmp_path / "e.zarr", attrs=attrs) as writer:
        job = SessionJob(
            recordings=tmp_path, timeline=tmp_path / "timelines" / "long.csv", session="long", spans=(span,),
            root=writer.partial, width=16, height=12, color="gray", state_columns=(), on_bad_line="error",
            picture_fps=10.0,
        )  # fmt: skip
        convert_session(job, heard.append)
    assert heard == [64, 64, 22]
    every = [preprocess(image, width=16, height=12, color="gray") for image in read_frames(tmp_path / "long.mp4")]
    difference = EpisodeStore(tmp_path / "e.zarr").read("episode_00000", "frames").astype(int) - np.stack(every)
    assert np.abs(difference).max() <= 2


def test_episodes_are_found_by_hand():
    assert episode_spans(EPISODE) == [(0, 2, 14), (1, 15, 22)]
    assert episode_spans(np.array([0, 0, 1])) == [(0, 0, 2), (1, 2, 3)]
    assert episode_spans(np.array([-1, -1])) == []
    assert episode_spans(np.array([], np.int64)) == []
    assert episode_spans(np.array([0, -1, 0])) == [(0, 0, 1), (0, 2, 3)]  # in two pieces, both of episode 0


def test_episodes_are_numbered_by_session_and_episode():
    splits = {("b", 0): "train", ("a", 0): "val", ("a", 2): "test"}
    plan = plan_episodes({"b": [(0, 0, 4)], "a": [(0, 1, 3), (2, 5, 9)]}, splits)
    infos = [span.info for spans in plan.values() for span in spans]
    assert [(info.name, info.session, info.episode, info.split, info.length) for info in infos] == [
        ("episode_00000", "a", 0, "val", 2),
        ("episode_00001", "a", 2, "test", 4),
        ("episode_00002", "b", 0, "train", 4),
    ]


def test_the_frame_rate_is_that_of_the_median_session(project):
    timelines = read_timelines("data/timelines")
    assert frame_rate(timelines) == 10.0
    slow = replace(timelines["a"], times=timelines["a"].times * 2)
    assert frame_rate(timelines | {"a": slow}) == 10.0
    single = replace(timelines["a"], times=timelines["a"].times[:1])
    with pytest.raises(ValueError, match="at least 2 frames"):
        frame_rate({"a": single})


def test_the_plan_in_words_shortens_long_lists():
    names = [f"s{number}" for number in range(7)]
    splits = {(name, 0): "train" for name in names[:5]} | {("s5", 0): "val", ("s6", 0): "test"}
    timelines = {name: Timeline(name, None, np.arange(4.0), None, np.zeros(4), None, ()) for name in names}
    text = describe(timelines, plan_episodes({name: [(0, 0, 4)] for name in names}, splits))
    assert "outside" not in text
    assert "train: 5 episodes, 20 frames from 5 sessions (s0, s1, ..., s4)" in text
