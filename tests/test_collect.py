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


def test_what_the_script_meant_is_written_beside_what_it_pressed(tmp_path):
    """Slips show in the keys and not in the columns of the state that say what was meant."""
    script = read_params().collect.script.model_copy(
        update={"slips_per_min": 60.0, "slip_s": 0.3, "reaction_jitter_s": 0.0, "lapses_per_min": 0.0}
    )
    setting = GameSetting("doom_center", 320, 180, ACTIONS, max_episode_s=20)
    record_sessions(Recording(setting, script, 23, tmp_path), [(0, [71])])
    session = read_session(tmp_path, "doom_center_000", on_bad_line="error", picture_fps=10.0)
    vocabulary = ActionVocabulary.from_params(ACTIONS, session.metadata["keys"])
    pressed = labels(session.times, session.key_events, vocabulary, rule="interval", delay_ms=0).astype(bool)
    columns = [session.state.columns.index(f"intended_{action}") for action in ACTIONS]
    meant = session.state.values[:, columns] > 0
    differ = (pressed != meant).any(axis=1)
    assert 0.1 < differ.mean() < 0.6 and meant.any(axis=0).sum() >= 3
    calm = script.model_copy(update={"slips_per_min": 0.0})
    record_sessions(Recording(setting, calm, 23, tmp_path / "calm"), [(0, [71])])
    session = read_session(
        tmp_path / "calm", session_stems(tmp_path / "calm")[0], on_bad_line="error", picture_fps=10.0
    )
    pressed = labels(session.times, session.key_events, vocabulary, rule="interval", delay_ms=0).astype(bool)
    assert np.array_equal(pressed, session.state.values[:, columns] > 0)
