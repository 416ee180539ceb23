"""A session as the doctor and the agent get it: read, cut to its usable frames, with the doctor's report.

The same steps as the stage align takes, for sessions that are not part of the pipeline yet.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.doctor import check, usable_frames
from stages.recordings.session import Session, read_session
from stages.recordings.timeline import episode_ids, labels
from stages.recordings.video import readable_frames


@dataclass(frozen=True)
class Reading:
    """How logs are read: the params labels.* and align.*."""

    rule: str
    delay_ms: float
    on_bad_line: str
    picture_fps: float


@dataclass(frozen=True)
class Examined:
    """A session cut to its usable frames, the doctor's report on it, and its labels.

    `episode` int64 [T], -1 outside of episodes; `actions` uint8 [T, A].
    """

    session: Session
    report: dict
    episode: np.ndarray
    actions: np.ndarray


def examined_session(directory: Path, stem: str, vocabulary: ActionVocabulary, reading: Reading) -> Examined:
    """Read and examine a session; ValueError when it cannot be learned from at all."""
    session = read_session(directory, stem, on_bad_line=reading.on_bad_line, picture_fps=reading.picture_fps)
    logged_frames = len(session.times)
    video_frames, damage = readable_frames(session.video)
    session = session.cut_to(usable_frames(session, video_frames, damage))
    rules = {"rule": reading.rule, "delay_ms": reading.delay_ms}
    report = check(session, vocabulary, video_frames=video_frames, logged_frames=logged_frames, **rules)
    episode = episode_ids(session.times, session.markers)
    learned = vocabulary if session.keys_logged else ActionVocabulary((), {})
    return Examined(session, report, episode, labels(session.times, session.key_events, learned, **rules))
