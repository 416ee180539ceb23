"""One examination of a session, for all who read one (align, the doctor, predict): read, cut to its usable frames, with
the doctor's report."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stages.params import Params
from stages.recordings.actions import ActionVocabulary
from stages.recordings.clocks import LONGEST_GAP_S, clock_faults
from stages.recordings.doctor import Findings, check, usable_frames
from stages.recordings.files import files_named
from stages.recordings.pairing import paired
from stages.recordings.scan import Scan, scan
from stages.recordings.session import Session, read_session
from stages.recordings.stretches import left_out
from stages.recordings.timeline import Timeline, end_of, episode_ids, episode_spans, labels, median_interval
from stages.recordings.verdict import SAME_RATE, Verdict, verdict_of


@dataclass(frozen=True)
class Reading:
    """How logs are read: the params labels.* and align.*."""

    rule: str
    delay_ms: float
    on_bad_line: str
    picture_fps: float
    fps: float | None = None  # frames a second that are kept; None: all
    agents: bool = False  # whether what an agent or chance pressed is learned, too

    @classmethod
    def from_params(cls, params: Params) -> "Reading":
        labels, align = params.labels, params.align
        return cls(labels.rule, labels.delay_ms, align.on_bad_line, align.picture_fps, align.fps, align.agents)


@dataclass(frozen=True)
class Examined:
    """A session cut to its usable frames, with its key log paired; the doctor's report and verdict, the labels (no
    action where no key was logged), and what its pictures say."""

    session: Session
    report: dict
    verdict: Verdict
    timeline: Timeline
    pictures: Scan


def examined_session(directory: Path, stem: str, vocabulary: ActionVocabulary, reading: Reading) -> Examined:
    """Read and examine a session; ValueError when it cannot be read at all, or a file cannot be opened."""
    with files_named():
        session = read_session(directory, stem, on_bad_line=reading.on_bad_line, picture_fps=reading.picture_fps)
    logged_frames, pictures = len(session.times), scan(session.video)
    session = session.cut_to(usable_frames(session, len(pictures), pictures.damage))
    ends = [*episode_spans(session.markers, end_of(session.times))[:, 1].tolist(), end_of(session.times)]
    keys = paired(session.key_events, ends)
    session = replace(session, key_events=keys.events)
    stretches = left_out(session, pictures, agents=reading.agents)
    episode = episode_ids(session.times, session.markers)
    faults = [*clock_faults(session, pictures, episode), *_rate_faults(session, pictures, reading.fps)]
    for stretch in stretches:
        episode[stretch.start : stretch.stop] = -1
    rules = {"rule": reading.rule, "delay_ms": reading.delay_ms}
    found = Findings(session, keys, pictures, logged_frames, episode, stretches, faults)
    report = check(found, vocabulary, **rules)
    learned = vocabulary if session.keys_logged else ActionVocabulary((), {})
    kept = _kept(session.times, reading.fps)
    timeline = Timeline(
        session=stem,
        frames=kept,
        times=session.times[kept],
        repeats=session.repeats[kept],
        episode=episode[kept],
        actions=labels(session.times[kept], session.key_events, learned, **rules),
        action_names=learned.names,
    )
    return Examined(session, report, verdict_of(report), timeline, pictures)


def _rate_faults(session: Session, pictures: Scan, wanted_fps: float | None) -> Iterator[str]:
    """Why frames do not come often enough, or only seem to."""
    if len(session.times) < 2 or not (interval := median_interval(session.times)):
        return
    period = pictures.period()
    own = 1 / interval / period
    if period > 1 and (wanted_fps is None or wanted_fps > own * SAME_RATE):
        yield (
            f"each picture stands there {period} times: the game shows {own:.3g} a second, recorded are "
            f"{own * period:.3g}; record {own:.3g} a second, or set align.fps: {own:.3g}"
        )
    elif wanted_fps is not None and wanted_fps > own * SAME_RATE:
        yield f"it has {own:.3g} frames a second, align.fps wants {wanted_fps:g}: lower that"


def _kept(times: np.ndarray, fps: float | None) -> np.ndarray:
    """The frames int64 [K] that are nearest to moments of an even rate; all when `fps` is None or no lower rate."""
    if (
        fps is None
        or len(times) < 2
        or np.diff(times).max() > LONGEST_GAP_S
        or fps * SAME_RATE >= 1 / max(median_interval(times), 1e-9)
    ):
        return np.arange(len(times))
    moments = np.arange(times[0], times[-1] + 1e-6, 1 / fps)
    after = np.clip(np.searchsorted(times, moments), 1, len(times) - 1)
    nearer = moments - times[after - 1] <= times[after] - moments
    return np.unique(after - nearer)
