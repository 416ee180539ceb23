"""The timelines of a recording together, and where their episodes lie."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stages.recordings.timeline import Timeline, median_interval, read_timeline


def read_timelines(directory: str | Path) -> dict[str, Timeline]:
    """All timelines of a directory by session, in the order of their names.

    ValueError when there is none, when one holds no frame or when their actions differ.
    """
    paths = sorted(Path(directory).glob("*.csv"))
    if not paths:
        raise ValueError(f"{directory} holds no timeline (*.csv); run dvc repro align, which writes them")
    timelines = {path.stem: read_timeline(path) for path in paths}
    first = next(iter(timelines.values()))
    for path, timeline in zip(paths, timelines.values(), strict=True):
        if len(timeline.times) == 0:
            raise ValueError(f"{path} holds no frame; take this session out of the recordings and run align anew")
        if tuple(timeline.action_names) != tuple(first.action_names):
            raise ValueError(
                f"{path} has the actions {list(timeline.action_names)}, {paths[0]} has {list(first.action_names)}; "
                f"run align anew, so that all have the actions of params.yaml"
            )
    return timelines


def episode_spans(episodes: np.ndarray) -> list[tuple[int, int, int]]:
    """(episode, start, stop) of every piece of an episode in numbers int64 [T] (-1: outside); stop is exclusive.

    An episode is in several pieces where align has left something out.
    """
    borders = np.flatnonzero(np.diff(episodes)) + 1
    edges = [0, *borders.tolist(), len(episodes)]
    return [(int(episodes[a]), a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a and episodes[a] >= 0]


def frame_interval(times: np.ndarray) -> float:
    """The median time between two frames in seconds; ValueError with fewer than two frames."""
    if len(times) < 2:
        raise ValueError(f"a session needs at least 2 frames to tell its frame rate, found {len(times)}")
    return median_interval(times)


def frame_rate(timelines: Mapping[str, Timeline]) -> float:
    """Frames a second: of the median session, by the median time between its frames."""
    return round(1 / float(np.median([frame_interval(timeline.times) for timeline in timelines.values()])), 4)
