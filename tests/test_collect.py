"""Recording a bundled game: two runs write identical files, and what is written is what was played."""

from pathlib import Path

import numpy as np

from stages.collect import Recording, record_sessions
from stages.games.rollout import GameSetting
from stages.params import read_params
from stages.recordings.actions import ActionVocabulary
from stages.recordings.session import read_session, session_stems
from stages.recordings.timeline import episode_ids, labels
from stages.recordings.video import count_frames

ACTIONS = ("LEFT", "RIGHT", "SHOOT", "DASH")


def record(directory: Path) -> list[tuple[int, list[float]]]:
    setting = GameSetting("doom_center", 320, 180, ACTIONS, max_episode_s=3)
    recording = Recording(setting, read_params().collect.script, 23, directory)
    return record_sessions(recording, [(0, [71, 72]), (1, [73])])


def test_two_runs_write_identical_files_that_read_back(tmp_path):
    results = [record(tmp_path / name) for name in ("one", "two")]
    assert results[0] == results[1]
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 2 * 5
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name

    stems = session_stems(tmp_path / "one")
    session = read_session(tmp_path / "one", stems[0], on_bad_line="error", picture_fps=10.0)
    assert count_frames(session.video) == len(session.times) == results[0][0][0] == 70
    assert [session.episode_result(n)[0] for n in (0, 1)] == results[0][0][1]
    assert np.bincount(episode_ids(session.times, session.markers) + 1).tolist() == [0, 35, 35]
    vocabulary = ActionVocabulary.from_params(ACTIONS, session.metadata["keys"])
    held = labels(session.times, session.key_events, vocabulary, rule="interval", delay_ms=0)
    assert 0.2 < held[:, :2].any(axis=1).mean() <= 1, "somebody turned"
    assert session.state.values.shape == (70, len(session.state.columns))


def test_key_events_stand_at_tics_and_every_key_comes_up(tmp_path):
    record(tmp_path)
    for stem in session_stems(tmp_path):
        session = read_session(tmp_path, stem, on_bad_line="error", picture_fps=10.0)
        down = set()
        for event in session.key_events:
            tics = (event.t - session.times[0]) * 35
            assert abs(tics - round(tics)) < 1e-3
            (down.add if event.event == "keydown" else down.discard)(event.key)
        assert not down
