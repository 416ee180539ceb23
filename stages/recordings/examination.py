"""One examination of a session, for all who read one (align, the doctor, predict): read, cut to its usable frames, with
the doctor's report."""

from dataclasses import dataclass
from pathlib import Path

from stages.params import Params
from stages.recordings.actions import ActionVocabulary
from stages.recordings.doctor import check, usable_frames
from stages.recordings.session import Session, read_session
from stages.recordings.timeline import Timeline, episode_ids, labels
from stages.recordings.video import readable_frames


@dataclass(frozen=True)
class Reading:
    """How logs are read: the params labels.* and align.*."""

    rule: str
    delay_ms: float
    on_bad_line: str
    picture_fps: float

    @classmethod
    def from_params(cls, params: Params) -> "Reading":
        labels, align = params.labels, params.align
        return cls(labels.rule, labels.delay_ms, align.on_bad_line, align.picture_fps)


@dataclass(frozen=True)
class Examined:
    """A session cut to its usable frames, the doctor's report, and its labels (no action where no key was logged)."""

    session: Session
    report: dict
    timeline: Timeline


def examined_session(directory: Path, stem: str, vocabulary: ActionVocabulary, reading: Reading) -> Examined:
    """Read and examine a session; ValueError when it cannot be learned from at all."""
    session = read_session(directory, stem, on_bad_line=reading.on_bad_line, picture_fps=reading.picture_fps)
    logged_frames = len(session.times)
    video_frames, damage = readable_frames(session.video)
    session = session.cut_to(usable_frames(session, video_frames, damage))
    rules = {"rule": reading.rule, "delay_ms": reading.delay_ms}
    report = check(session, vocabulary, video_frames=video_frames, logged_frames=logged_frames, **rules)
    learned = vocabulary if session.keys_logged else ActionVocabulary((), {})
    timeline = Timeline(
        session=stem,
        times=session.times,
        repeats=session.repeats,
        episode=episode_ids(session.times, session.markers),
        actions=labels(session.times, session.key_events, learned, **rules),
        action_names=learned.names,
    )
    return Examined(session, report, timeline)
