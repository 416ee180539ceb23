"""The doctor: what is wrong with a recording, in numbers and in words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from stages.recordings.actions import ActionVocabulary
from stages.recordings.files import session_path
from stages.recordings.keys import hint
from stages.recordings.pairing import KeyLog
from stages.recordings.scan import Scan
from stages.recordings.session import Session
from stages.recordings.stretches import Stretch
from stages.recordings.timeline import (
    covered_frames,
    end_of,
    episode_ids,
    median_interval,
    moved_earlier,
    presses,
)

GAP = 1.5  # an interval longer than this many median intervals is a gap, or between two episodes a pause
SHOWN, MOST_SENTENCES = 3, 8  # of many like things in a sentence, of many like sentences
LONGEST_KEY = 40  # letters of a key's name in a sentence
FOREIGN_TAIL = 2  # frames by which the video of another recorder may differ from its log: it stops them one by one


def usable_frames(session: Session, video_frames: int, damage: str | None) -> int:
    """How many frames of a session stand in its video, its frame log and its state table alike.

    `video_frames` can be decoded before `damage` (None: a sound file). The tail of a session that was not closed
    cleanly is cut, and up to two frames of one from another recorder, of whose frame log no line
    was skipped. Raises ValueError for any other difference.
    """
    logged = len(session.times)
    if session.closed is False:
        usable = common_frames(session, video_frames)
        if not usable:
            raise ValueError(damage or f"{session.video}: this session crashed before its first frame; take it out")
        return usable
    if damage:
        raise ValueError(damage)
    tail = abs(video_frames - logged)
    if tail and (session.closed or tail > FOREIGN_TAIL or session.skipped_frames):
        word = "shorter" if video_frames < logged else "longer"
        log = session_path(session.directory, session.stem, "frames")
        raise ValueError(
            f"{session.video} is {word} than its frame log: {video_frames} frames, but {logged} lines in {log}. "
            f"Frames and times cannot be matched: restore both files, or take the session out"
        )
    return min(video_frames, logged)


def common_frames(session: Session, video_frames: int) -> int:
    """How many frames stand in the video, the frame log and the state table alike, if they all begin with the first."""
    rows = [] if session.state is None else [len(session.state.values)]
    return min(video_frames, len(session.times), *rows)


@dataclass(frozen=True)
class Findings:
    """What the examination of a session knows beside its files.

    The session, cut to its usable frames already; `keys`: its key log, paired; `episode` int64 [T]: that of each frame,
    -1 in none and where it is `left_out`; `faults`: why it must not be trained on.
    """

    session: Session
    keys: KeyLog
    pictures: Scan
    logged_frames: int
    episode: np.ndarray
    left_out: Sequence[Stretch]
    faults: Sequence[str]


def check(found: Findings, vocabulary: ActionVocabulary, *, rule: str, delay_ms: float) -> dict:
    """The doctor's report of one session, ready for JSON."""
    session, keys, episode = found.session, found.keys, found.episode
    video_frames, same = len(found.pictures), found.pictures.same[: len(session.times)]
    spans = presses(session.key_events)
    report = {
        "frames": len(session.times),
        "video_frames": video_frames,
        "logged_frames": found.logged_frames,
        "tail_frames_cut": max(video_frames, found.logged_frames) - len(session.times),
        "closed": session.closed,
        "keys_logged": session.keys_logged,
        "seconds": round(end_of(session.times) - float(session.times[0]), 3),
        "skipped_lines": session.skipped_lines,
        "other_events": dict(session.other_events),
        "repeats": int(session.repeats.sum()),
        "unmarked_repeats": int((same & ~session.repeats).sum()),
        "interval_ms": _intervals(session.times, episode),
        **_gaps(session.times, episode),
        **_episodes(session, episode),
        "left_out": [_told(stretch, session) for stretch in found.left_out],
        "frames_left_out": int(((episode_ids(session.times, session.markers) >= 0) & (episode < 0)).sum()),
        "key_repairs": [asdict(repair) for repair in keys.repairs if np.isfinite(repair.up)],
        "key_repeats": keys.repeats,
        "keyups_without_keydown": keys.stray_keyups,
        **_keys(session, spans, vocabulary),
        **_taps(session, spans, vocabulary, rule=rule, delay_ms=delay_ms),
    }
    return {**report, "faults": list(found.faults), "warnings": list(_warnings(session, report))}


def _told(stretch: Stretch, session: Session) -> dict:
    start, last = (round(float(session.times[i] - session.times[0]), 3) for i in (stretch.start, stretch.stop - 1))
    return {"from_s": start, "to_s": last, "frames": stretch.stop - stretch.start, "why": stretch.why}


def totals(reports: Iterable[Mapping]) -> dict:
    """The sums of all sessions' reports."""
    reports = list(reports)
    summed = (
        "frames", "video_frames", "logged_frames", "tail_frames_cut", "seconds", "skipped_lines", "repeats", "episodes",
        "frames_in_episodes", "frames_left_out", "unmarked_repeats",
        "key_events", "key_events_outside_episodes", "short_taps", "short_taps_kept",
    )  # fmt: skip
    counted = ("presses", "keyups_without_keydown", "unmapped_keys", "known_keys_not_learned")
    return {
        "sessions": len(reports),
        "keys_logged": all(report["keys_logged"] for report in reports),
        **{name: round(sum(report[name] for report in reports), 3) for name in summed},
        "sessions_without_marker": sum(report["no_marker"] for report in reports),
        "unclosed_episodes": sum(len(report["unclosed_episodes"]) for report in reports),
        "key_repairs": sum(len(report["key_repairs"]) for report in reports),
        "keys_down_at_end": sum(len(report["keys_down_at_end"]) for report in reports),
        "gaps": sum(report["gaps"]["count"] for report in reports),
        "longest_gap_s": max(report["gaps"]["longest_s"] for report in reports),
        **{name: _merged(report[name] for report in reports) for name in counted},
    }


def _merged(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _intervals(times: np.ndarray, episode: np.ndarray) -> dict:
    """Median, spread and 99th percentile of the time between frames; pauses between episodes are left out."""
    interval_ms = np.diff(times)[~_between_episodes(episode)] * 1000
    if not len(interval_ms):
        interval_ms = np.zeros(1)
    return {
        "median": round(float(np.median(interval_ms)), 3),
        "std": round(float(interval_ms.std()), 3),
        "p99": round(float(np.percentile(interval_ms, 99)), 3),
    }


def _gaps(times: np.ndarray, episode: np.ndarray) -> dict:
    """Gaps, in which frames are missing, and how many pauses: these lie between two episodes, on purpose."""
    interval, between = np.diff(times), _between_episodes(episode)
    long = interval > GAP * median_interval(times)
    inside = np.where(np.diff(episode) == 0, episode[:-1], -1)
    found = [
        {"frame": int(i), "t": float(times[i]), "seconds": round(float(interval[i]), 6), "episode": int(inside[i])}
        for i in np.flatnonzero(long & ~between)
    ]
    gaps = {"count": len(found), "longest_s": max((gap["seconds"] for gap in found), default=0.0), "list": found}
    return {"gaps": gaps, "pauses": int((long & between).sum())}


def _between_episodes(episode: np.ndarray) -> np.ndarray:
    """Which of the intervals between frames lie between the last frame of an episode and the first of the next."""
    return (episode[:-1] >= 0) & (episode[1:] >= 0) & (np.diff(episode) != 0)


def _episodes(session: Session, episode: np.ndarray) -> dict:
    markers = session.markers
    starts = [i for i, marker in enumerate(markers) if marker.type == "fight_start"]
    ended = {i for i in starts if i + 1 < len(markers) and markers[i + 1].type == "fight_end"}
    stray = [i for i, marker in enumerate(markers) if marker.type == "fight_end" and (i == 0 or i - 1 not in ended)]
    key_times = np.array([event.t for event in session.key_events])
    return {
        "no_marker": not markers,
        "episodes": len(starts) if markers else 1,
        "episodes_without_frames": sorted(set(range(len(starts))) - set(episode.tolist())),
        "frames_in_episodes": int((episode >= 0).sum()),
        "unclosed_episodes": [
            {"episode": k, "line": markers[i].line, "t": markers[i].t} for k, i in enumerate(starts) if i not in ended
        ],
        "episode_ends_without_start": [{"line": markers[i].line, "t": markers[i].t} for i in stray],
        "key_events": len(key_times),
        "key_events_outside_episodes": int((episode_ids(key_times, markers) < 0).sum()),
    }


def _keys(session: Session, spans: Mapping[str, np.ndarray], vocabulary: ActionVocabulary) -> dict:
    ignored = set(vocabulary.ignored_keys)
    pressed = {key: len(spans[key]) for key in sorted(spans)}
    learned = {name: 0 for name in vocabulary.names}
    for key, count in pressed.items():
        if (action := vocabulary.action_of(key)) is not None:
            learned[action] += count
    unlearned = {key: count for key, count in pressed.items() if vocabulary.action_of(key) is None}
    down_at = [
        {"line": m.line, "type": m.type, "t": m.t, "keys": held}
        for m in session.markers
        if (held := [key for key in pressed if ((spans[key][:, 0] <= m.t) & (m.t < spans[key][:, 1])).any()])
    ]
    return {
        "presses": learned,
        "keys_down_at_end": [key for key in pressed if np.isinf(spans[key]).any()],
        "keys_down_at_markers": down_at,
        "unmapped_keys": {key: count for key, count in unlearned.items() if key not in ignored},
        "known_keys_not_learned": {key: count for key, count in unlearned.items() if key in ignored},
    }


def _taps(
    session: Session, spans: Mapping[str, np.ndarray], vocabulary: ActionVocabulary, *, rule: str, delay_ms: float
) -> dict:
    """Presses of learned keys shorter than a frame, begun while frames are recorded, and those the rule kept."""
    times, count, kept = session.times, 0, 0
    for key, span in spans.items():
        if vocabulary.action_of(key) is None:
            continue
        tap = moved_earlier(span[span[:, 1] - span[:, 0] < median_interval(times)], delay_ms)
        tap = tap[(tap[:, 0] >= times[0]) & (tap[:, 0] < end_of(times))]
        first, stop = covered_frames(times, tap, rule=rule)
        count, kept = count + len(tap), kept + int((stop > first).sum())
    return {"short_taps": count, "short_taps_kept": kept}


def _warnings(session: Session, report: Mapping) -> Iterator[str]:
    """What a person should know before learning from this session, in words."""
    if session.metadata.get("dry_run"):
        yield "a dry run of the agent: the keys in it were never pressed"
    if report["tail_frames_cut"]:
        counts = f"{report['video_frames']} in the video, {report['logged_frames']} in the frame log"
        yield f"the last {report['tail_frames_cut']} frames are cut off: {counts}"
    if report["skipped_lines"]:
        yield f"{report['skipped_lines']} lines could not be read and are skipped"
    if report["no_marker"] and report["keys_logged"]:
        yield "there is no marker fight_start: the whole session is one episode"
    elif not report["frames_in_episodes"]:
        yield "no frame lies in an episode: nothing is learned from this session"
    yield from _first_few(
        f"episode {unclosed['episode']} has no fight_end: it runs to the next episode or the last frame"
        for unclosed in report["unclosed_episodes"]
    )
    yield from _first_few(
        f"the fight_end in line {stray['line']} has no fight_start and counts for nothing"
        for stray in report["episode_ends_without_start"]
    )
    for stretch in report["left_out"]:
        when = f"{stretch['from_s']:.1f} to {stretch['to_s']:.1f} s ({stretch['frames']} frames)"
        yield f"left out, {when}: {stretch['why']}"
    if report["key_repairs"]:
        yield f"{len(report['key_repairs'])} keyups were lost: {_repairs_in_words(report['key_repairs'])}"
    if report["keys_down_at_end"]:
        yield f"still down at the end: {', '.join(report['keys_down_at_end'])}"
    yield from _unmapped(report)


def _first_few(sentences: Iterable[str]) -> Iterator[str]:
    """Of many like sentences the first ones, and how many more there are."""
    sentences = list(sentences)
    yield from sentences[:MOST_SENTENCES]
    if len(sentences) > MOST_SENTENCES:
        yield f"and {len(sentences) - MOST_SENTENCES} more like that"


def _repairs_in_words(repairs: Sequence[Mapping]) -> str:
    """The first few."""
    words = [f"{r['key']}, down at {r['down']:.2f}, is taken for up at {r['up']:.2f}" for r in repairs[:SHOWN]]
    return "; ".join(words) + (f"; and {len(repairs) - SHOWN} more" if len(repairs) > SHOWN else "")


def _unmapped(report: Mapping) -> Iterator[str]:
    """Keys that stand for no action, and those that went up but never down, with what they may be."""
    often = sorted(report["unmapped_keys"].items(), key=lambda pressed: -pressed[1])
    yield from _first_few(f"{_cut(key)}, pressed {n} times, stands for no action{hint(_cut(key))}" for key, n in often)
    often = sorted(report["keyups_without_keydown"].items(), key=lambda stray: -stray[1])
    yield from _first_few(
        f"{_cut(key)} goes up {n} times without having gone down{hint(_cut(key))}" for key, n in often
    )


def _cut(key: str) -> str:
    return key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}..."
