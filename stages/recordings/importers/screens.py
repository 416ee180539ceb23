"""Which picture of a video was on the screen at a time: the last one whose own time is not later."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from stages.recordings.importers.imported import reading
from stages.recordings.video import bgr

TOLERANCE_S = 1.5e-3  # a matroska file keeps times to the millisecond


def pts_of(video: Path) -> np.ndarray:
    """The times of all pictures of a video, float64 [N] s, in order; ValueError when it is damaged."""
    return np.array([pts_s for pts_s, _ in _frames(video, 0.0)])


def last_up_to(pts_s: np.ndarray, wanted_s: np.ndarray) -> np.ndarray:
    """For each wanted time the picture that is shown then, int [N]; -1 before the first and after the last one's end.

    The last picture is taken to stay as long as pictures usually do.
    """
    index = np.searchsorted(pts_s, wanted_s + TOLERANCE_S, side="right") - 1
    usual_s = float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 0.0
    ended = wanted_s > pts_s[-1] + usual_s + TOLERANCE_S if len(pts_s) else True
    return np.where(ended, -1, index)


def pictures_at(video: Path, wanted_s: np.ndarray, *, longest_s: float = np.inf) -> Iterator[np.ndarray]:
    """For each wanted time, in order, the picture that is shown then, uint8 BGR [H, W, 3].

    ValueError where none is, or has been for longer than `longest_s`.
    """
    frames = _frames(video, float(wanted_s[0]))
    coming = next(frames, None)
    if coming is not None and coming[0] > wanted_s[0] + TOLERANCE_S:  # a video whose index leads astray
        frames = _frames(video, 0.0)
        coming = next(frames, None)
    shown, image, of = None, None, None
    for t in wanted_s:
        while coming is not None and coming[0] <= t + TOLERANCE_S:
            shown, coming = coming, next(frames, None)
        if shown is None or t - shown[0] > longest_s:
            raise ValueError(f"{video} holds no picture at {t:.3f} s; restore it or leave the recording out")
        if shown is not of:
            image, of = bgr(shown[1]), shown
        yield image


def _frames(video: Path, start_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Time in s and frame, from the last key frame up to `start_s` on."""
    with reading(video), av.open(str(video)) as container:
        if not container.streams.video:
            raise ValueError("it holds no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if start_s > 0:
            container.seek(int(start_s / stream.time_base), stream=stream)
        for i, frame in enumerate(container.decode(stream)):
            if frame.pts is None:
                raise ValueError(f"its picture {i} has no time")
            pts_s = float(frame.pts * frame.time_base)
            if frame.is_corrupt and pts_s >= start_s:  # those before may lack the pictures that they build on
                raise ValueError(f"its picture at {pts_s:.3f} s is corrupt")
            yield pts_s, frame
