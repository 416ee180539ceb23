"""Whether the times of a session can be true: its two logs against each other and against the video's own clock."""

from collections.abc import Iterator

import numpy as np

from stages.recordings.scan import Scan
from stages.recordings.session import Session
from stages.recordings.sync import apart, other_rate
from stages.recordings.timeline import end_of, median_interval, presses

FASTEST_S, SLOWEST_S = 0.002, 1.0  # a median interval beyond is more likely a wrong unit than a recording
FEW_EVENTS = 20
COARSE_S, EVEN = 0.5, 0.8  # times so far apart are rounded, but a program's: most of its pauses are the same
MOSTLY = 0.5  # share of the key events that must lie within the video
SOME_OUTSIDE = 0.1
OTHER_RATE = 0.02  # by which two clocks may run apart
STEP_S = 0.25
LONGEST_GAP_S = 3600.0  # between two frames of one recording


def clock_faults(session: Session, scan: Scan, episode: np.ndarray) -> Iterator[str]:
    """Why labels made from these times would be wrong, in sentences; each is certain. `episode` int64 [T]."""
    times = session.times
    interval, whole = median_interval(times), (times == np.round(times)).all()
    if whole and interval < 1 and len(times) > 2:
        yield "the frame log's times are whole seconds, several frames each: write them with decimals"
    elif len(times) > 1 and not FASTEST_S <= interval <= SLOWEST_S:
        yield f"the median interval between frames is {interval * 1000:g} ms: are the times UTC seconds?"
    elif whole and len(times) >= FEW_EVENTS and _are_numbers(times, scan.t):
        yield "the frame log's times are 0, 1, 2, ... and the video lasts otherwise: write seconds, not frame numbers"
    if len(times) > 1 and (gap := np.diff(times)).max() > LONGEST_GAP_S:
        yield (
            f"between the frames {gap.argmax()} and {gap.argmax() + 1} lie {gap.max():.0f} s: was the clock set? "
            f"Cut the session there"
        )
        return
    keys = np.array([event.t for event in session.key_events])
    if len(keys) < 2 or len(times) < 2:
        return
    if len(keys) >= FEW_EVENTS and (keys == np.round(keys)).all() and 0 < interval <= 0.5 and not whole:
        yield "all key events lie at whole seconds: write their times with decimals"
    elif len(keys) >= FEW_EVENTS and interval <= COARSE_S / 2 and _coarse(session):
        yield f"all key events lie {COARSE_S:g} s or a multiple apart: write their times with decimals"
    if (at_once := _at_once(session)) is not None:
        yield (
            f"{at_once} presses begin and end at one moment, so nobody knows how long keys were held: "
            f"write down when each key goes down and up"
        )
    start, end = times[0], end_of(times)
    inside = float(((keys >= start) & (keys < end)).mean())
    if not inside:
        yield "no key event lies in the time of the video: do the two logs share a clock?"
    elif inside < MOSTLY:
        yield f"only {inside:.0%} of the key events lie in the time of the video: do the two logs share a clock?"
    else:
        yield from _moved(keys, start, end, inside)
        yield from _other_rate(keys, scan.t, times, inside)
    if (lags := apart(times, episode >= 0, session.key_events, scan.change)) is not None:
        yield (
            f"the picture follows the keys by {lags[0]:.1f} s at the start and {lags[1]:.1f} s at the end: "
            f"the two logs do not share a clock"
        )
    elif (rate := other_rate(times, episode >= 0, session.key_events, scan.change)) is not None:
        yield (
            f"the picture follows the keys only when their times are stretched by {rate:.2f}: "
            f"the clocks of the two logs run apart"
        )


def _are_numbers(times: np.ndarray, own: np.ndarray) -> bool:
    """Whether times of one a second are the numbers of frames, by the video's own clock."""
    if (np.diff(times) != 1).any() or len(own) < len(times) or np.isnan(own).any():
        return False
    return abs((own[len(times) - 1] - own[0]) / (times[-1] - times[0]) - 1) > SOME_OUTSIDE


def _coarse(session: Session) -> bool:
    """Whether key times are rounded: all a multiple of COARSE_S apart, of keys that no program presses evenly."""
    keys = np.array([event.t for event in session.key_events])
    steps = np.round((keys - keys[0]) / COARSE_S, 3)
    if (steps != np.round(steps)).any():
        return False
    pauses = [np.diff(spans[:, 0]).round(3) for spans in presses(session.key_events).values() if len(spans) > 1]
    usual = [np.unique(each, return_counts=True)[1].max() / len(each) for each in pauses]
    return min(usual, default=1.0) < EVEN


def _at_once(session: Session) -> str | None:
    """How many of the presses last no time, if most do; not of keys told once a frame, where a short press is such."""
    spans = np.concatenate([*presses(session.key_events).values()] or [np.zeros((0, 2))])
    short = spans[spans[:, 0] == spans[:, 1], 0]
    if len(spans) < FEW_EVENTS or len(short) <= MOSTLY * len(spans):
        return None
    own = len(np.unique(short)) > MOSTLY * len(short)
    if own and np.isin(short.round(3), session.times.round(3)).mean() > MOSTLY:
        return None
    return f"{len(short)} of {len(spans)}"


def _moved(keys: np.ndarray, start: float, end: float, inside: float) -> Iterator[str]:
    """The key log begins late and ends late, or both early, by about the same."""
    late = min(keys[0] - start, keys[-1] - end)
    early = min(start - keys[0], end - keys[-1])
    usual = np.percentile(np.diff(keys), 95)
    if inside < 1 - SOME_OUTSIDE and max(late, early) > max(5.0, 5 * usual):
        yield (
            f"the key log runs from {keys[0] - start:+.1f} s to {keys[-1] - start:+.1f} s of a video of "
            f"{end - start:.1f} s: do the two logs share a clock?"
        )


def _other_rate(keys: np.ndarray, own: np.ndarray, times: np.ndarray, inside: float) -> Iterator[str]:
    """The video's own clock against the frame log: another rate, or steps.

    Many recorders write a constant rate into the video whatever it was, so a rate is believed only where the key log
    or the intervals of the video themselves bear it out.
    """
    if len(own) < len(times) or np.isnan(own).any() or len(times) < 10:
        return
    own = own[: len(times)] - own[0]
    logged, constant = times - times[0], np.ptp(np.diff(own)) < 0.1 * np.median(np.diff(own)) + 0.002
    rate = float(own[-1] / logged[-1]) if logged[-1] else 1.0
    nearer = abs(keys[-1] - times[0] - own[-1]) < abs(keys[-1] - times[0] - logged[-1])
    if abs(rate - 1) > OTHER_RATE and (not constant or (inside < 1 - SOME_OUTSIDE and nearer)):
        yield (
            f"by the video's own clock it lasts {own[-1]:.1f} s, by the frame log {logged[-1]:.1f} s, and the key log "
            f"ends at {keys[-1] - times[0]:.1f} s: the frame log's times are not when the pictures were taken"
        )
    elif not constant:
        apart_s = own - logged
        step = np.abs(np.diff(apart_s))
        if step.max() > max(STEP_S, 5 * np.median(np.diff(logged))):
            at = int(np.argmax(step)) + 1
            yield f"at frame {at} the video's own clock and the frame log part by {step.max():.2f} s"
