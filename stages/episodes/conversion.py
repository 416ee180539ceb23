"""From sessions and their timelines to the episode store: which frames become which episode, and the work itself.

The plan (names, splits, lengths) is made beforehand from the timelines, so that several processes fill
different episodes of one store and the bytes do not depend on how many there are. A process holds one
shard of frames at a time, however long a session is.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stages.episodes.decode import read_small_frames
from stages.episodes.preprocess import CHANNELS, contrast_kept, picture_size, preprocess
from stages.episodes.splits import SPLITS
from stages.episodes.store import SHARD, EpisodeInfo, create_episode, episode_name, write_rows
from stages.params import ConvertParams
from stages.recordings.actions import INTENDED, intended_column
from stages.recordings.files import session_path
from stages.recordings.logs import state_columns
from stages.recordings.pictures import read_pictures
from stages.recordings.session import Session, read_session
from stages.recordings.timeline import Timeline, read_timeline
from stages.recordings.video import read_frames

KEPT = 0.5  # of the contrast of what moves must be left in the pictures
LOOKED_AT, LOOKED_AT_FRAMES = 3, 300  # sessions, and frames of each, by which the size is chosen,
APART = 4  # and from a frame to the one that it is compared with


@dataclass(frozen=True)
class Span:
    """The frames start <= i < stop of a session that are one episode."""

    info: EpisodeInfo
    start: int
    stop: int


@dataclass(frozen=True)
class SessionJob:
    """All that a process needs to turn one session into episodes of the store being built at `root`."""

    recordings: Path
    timeline: Path
    session: str
    spans: tuple[Span, ...]
    root: Path
    width: int
    height: int
    color: str
    state_columns: tuple[str, ...]
    on_bad_line: str
    picture_fps: float
    intended: bool = False  # whether labels are what a script meant to hold


def plan_episodes(
    spans: Mapping[str, Sequence[tuple[int, int, int]]], splits: Mapping[tuple[str, int], str]
) -> dict[str, tuple[Span, ...]]:
    """The episodes of each session, numbered through in the order of session names and episodes."""
    planned, number = {}, 0
    for session in sorted(spans):
        members = []
        for episode, start, stop in spans[session]:
            split = splits[session, episode]
            info = EpisodeInfo(episode_name(number), session, episode, split, stop - start, None, None)
            members.append(Span(info, start, stop))
            number += 1
        planned[session] = tuple(members)
    return planned


def union_of_state_columns(recordings: Path, sessions: Sequence[str]) -> list[str]:
    """The names of the state columns of all sessions, each once; a session without one has NaN there.

    What a script meant to hold is no state: it may be a label, and nothing that a model reads.
    """
    columns: dict[str, None] = {}
    for session in sessions:
        path = session_path(recordings, session, "state")
        if path.exists():
            columns.update(dict.fromkeys(name for name in state_columns(path) if not name.startswith(INTENDED)))
    return list(columns)


def chosen_size(
    recordings: Path, plan: Mapping[str, Sequence[Span]], convert: ConvertParams
) -> tuple[tuple[int, int], float | None]:
    """(H, W) of the pictures that are learned from, and the share of the contrast of what moves that is left (or None).

    The smallest of those that the params allow that keeps KEPT of it, else the largest: from a picture in which the
    things that matter are gone nothing can be learned, and a larger one costs time.
    """
    with_frames = [session for session, spans in plan.items() if spans]
    trained = [name for name in with_frames if any(span.info.split == "train" for span in plan[name])]
    sessions = trained or with_frames
    with closing(_pictures_of(recordings, sessions[0])) as pictures:
        source = next(pictures).shape[:2]
    sizes = sorted({picture_size(convert, source, pixels) for pixels in convert.pixels}, key=math.prod)
    if len(sizes) == 1:
        return sizes[0], None
    before, later = [], []
    for session in sessions[:: -(-len(sessions) // LOOKED_AT)]:
        start = plan[session][0].start
        with closing(_pictures_of(recordings, session)) as pictures:
            seen = [
                preprocess(picture, width=sizes[-1][1], height=sizes[-1][0], color="gray")[0]
                for picture in islice(pictures, start, start + LOOKED_AT_FRAMES)
            ]
        before, later = before + seen[:-APART:APART], later + seen[APART::APART]
    kept = {size: contrast_kept(before, later, size) for size in sizes}
    size = next((size for size in sizes if kept[size] >= KEPT), sizes[-1])
    return size, kept[size]


def _pictures_of(recordings: Path, session: str) -> Iterator[np.ndarray]:
    folder = recordings / session
    return read_pictures(folder) if folder.is_dir() else read_frames(session_path(recordings, session, "video"))


def convert_sessions(jobs: Sequence[SessionJob], workers: int, on_frames: Callable[[int], None]) -> None:
    """Fill the episodes of all sessions; on_frames hears of every so many frames written."""
    jobs = [job for job in jobs if job.spans]
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            convert_session(job, on_frames)
        return
    # The longest first, so that no process is left alone with it at the end.
    jobs = sorted(jobs, key=lambda job: -sum(span.info.length for span in job.spans))
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(convert_session, job): job for job in jobs}
        try:
            for done in as_completed(running):
                done.result()
                on_frames(sum(span.info.length for span in running[done].spans))
        except BaseException:
            # Wait for those that still write: the caller removes the half-built store next.
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def convert_session(job: SessionJob, on_frames: Callable[[int], None] | None = None) -> None:
    """Decode one session once, from front to back, and write its episodes."""
    timeline = read_timeline(job.timeline)
    session = read_session(job.recordings, job.session, on_bad_line=job.on_bad_line, picture_fps=job.picture_fps)
    wanted = np.zeros(timeline.frames[-1] + 1, bool)
    for span in job.spans:
        wanted[timeline.frames[span.start : span.stop]] = True
    pictures = read_small_frames(session.video, width=job.width, height=job.height, color=job.color, wanted=wanted)
    for span in job.spans:
        arrays = _labels(job, span, timeline, session)
        shape = (span.info.length, CHANNELS[job.color], job.height, job.width)
        layout = {"frames": (shape, np.dtype(np.uint8))} | {n: (a.shape, a.dtype) for n, a in arrays.items()}
        score, outcome = session.episode_result(span.info.episode)
        info = replace(span.info, score=None if score is None else float(score), outcome=outcome)
        group = create_episode(job.root, info, layout)
        for name, values in arrays.items():
            write_rows(group[name], values)
        for start in range(0, span.info.length, SHARD):
            rows = min(SHARD, span.info.length - start)
            block = np.fromiter(pictures, np.dtype((np.uint8, shape[1:])), count=rows)
            group["frames"][start : start + SHARD] = block
            if on_frames:
                on_frames(len(block))


def _labels(job: SessionJob, span: Span, timeline: Timeline, session: Session) -> dict[str, np.ndarray]:
    """The small arrays of an episode: t float64 [T], actions uint8 [T, A] where keys were logged, and, if any session
    has one, state [T, S]."""
    rows = slice(span.start, span.stop)
    arrays = {"t": timeline.times[rows].astype(np.float64)}
    if timeline.action_names:
        arrays["actions"] = (_intended(timeline, session) if job.intended else timeline.actions)[rows].astype(np.uint8)
    if job.state_columns:
        arrays["state"] = np.full((span.info.length, len(job.state_columns)), np.nan, np.float32)
        if session.state is not None:
            # Fewer rows than frames: the recorder crashed, read_session lets nothing else pass. The rest stays NaN.
            places = timeline.frames[rows]
            values = session.state.values[places[places < len(session.state.values)]]
            read = [i for i, name in enumerate(session.state.columns) if name in job.state_columns]
            columns = [job.state_columns.index(session.state.columns[i]) for i in read]
            arrays["state"][: len(values), columns] = values[:, read]
    return arrays


def _intended(timeline: Timeline, session: Session) -> np.ndarray:
    """What the script of a recording meant to hold, bool [T, A]; ValueError where no script recorded it whole.

    Of frames that `align.fps` left out, it counts for the kept frame before them.
    """
    columns = [intended_column(action) for action in timeline.action_names]
    known = () if session.state is None else session.state.columns
    if missing := [name for name in columns if name not in known]:
        raise ValueError(
            f"labels.intended is true, but the session {session.stem} does not say what was meant (no {missing[0]} in "
            f"its state): only collect's scripts do, record them again (dvc repro) or set labels.intended: false"
        )
    if timeline.frames[-1] >= len(session.state.values):
        raise ValueError(f"labels.intended is true, but the state of session {session.stem} ends before its frames")
    meant = session.state.values[:, [known.index(name) for name in columns]] > 0
    until = int(np.median(np.diff(timeline.frames))) if len(timeline.frames) > 1 else 1
    later = [np.minimum(timeline.frames + frame, len(meant) - 1) for frame in range(until)]
    return np.any([meant[rows] for rows in later], axis=0)


def describe(timelines: Mapping[str, Timeline], plan: Mapping[str, Sequence[Span]]) -> str:
    """What will be converted, in words: frames, episodes, what is left out, and each split."""
    every = [span.info for spans in plan.values() for span in spans]
    frames = sum(len(timeline.times) for timeline in timelines.values())
    kept = sum(info.length for info in every)
    lines = [f"{_counted(len(timelines), 'session')}, {frames} frames, {_counted(len(every), 'episode')}"]
    if frames > kept:
        lines.append(f"{frames - kept} frames lie outside episodes and are left out ({(frames - kept) / frames:.0%})")
    for split in SPLITS:
        infos = [info for info in every if info.split == split]
        sessions = sorted({info.session for info in infos})
        lines.append(
            f"{split}: {_counted(len(infos), 'episode')}, {sum(info.length for info in infos)} frames "
            f"from {_counted(len(sessions), 'session')} ({_shortened(sessions)})"
        )
    return "\n".join(lines)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 4 else [*names[:2], "...", names[-1]])
