"""What can be repaired without guessing, written as a new session beside the old one.

Stuck keys get a keyup at the end of the episode they were pressed in (or of the last frame), unclosed episodes end at
the next one or at the last frame, frames that stand in the video or the log alone are cut off. Nothing else is touched.

Where a recording that ended cleanly has more frames in one than in the other, nobody knows whether they are missing at
the end; that they are is taken on trust only when `cut_end` asks for it.
"""

from pathlib import Path

from stages.recordings.doctor import common_frames, usable_frames
from stages.recordings.examination import Reading
from stages.recordings.pairing import paired
from stages.recordings.session import Session, read_session
from stages.recordings.timeline import end_of, episode_spans, presses
from stages.recordings.video import read_frames, readable_frames
from stages.recordings.writer import SessionWriter

Event = tuple[float, int, str, str]  # t, order among equal times, keydown | keyup | marker, key or type
UP, MARK, DOWN, TAP_UP = 0, 1, 2, 3  # at one and the same time


def repaired(
    folder: Path, stem: str, reading: Reading, *, crf: int, cut_end: bool = False
) -> tuple[str | None, list[str]]:
    """Write `<stem>-fixed`; its name and what was done, or (None, []) when the session needs nothing.

    ValueError when it cannot be read, video and log differ by too much (unless `cut_end`), or `<stem>-fixed` exists.
    """
    session = read_session(folder, stem, on_bad_line="skip", picture_fps=reading.picture_fps)
    if not session.keys_logged:
        return None, []
    logged = len(session.times)
    video, damage = readable_frames(session.video)
    usable = common_frames(session, video) if damage or cut_end else _told_usable(session, video)
    if not usable:
        raise ValueError(f"{session.video}: no frame can be read that stands in all of the session's files")
    done = [f"{max(video, logged) - usable} frames cut off at the end"] if max(video, logged) > usable else []
    session = session.cut_to(usable)
    events, mended = _mended(session)
    done += mended
    if session.skipped_lines:
        done.append(f"{session.skipped_lines} unreadable lines left out")
    if session.closed is False and not done:
        done.append("closed")
    if not done:
        return None, []
    _write(session, f"{stem}-fixed", events, done, crf)
    return f"{stem}-fixed", done


def _told_usable(session: Session, video_frames: int) -> int:
    try:
        return usable_frames(session, video_frames, None)
    except ValueError as error:
        raise ValueError(f"{error}. Or, if you know that they are missing at the end: --fix --cut-end") from None


def _mended(session: Session) -> tuple[list[Event], list[str]]:
    """All events in order with what was missing, and in words what that was."""
    end = end_of(session.times)
    ends = [float(t) for t in episode_spans(session.markers, end)[:, 1]] if session.markers else []
    keys = paired(session.key_events, [*ends, end])
    done = [f"{each.key}, down since {each.down:.3f}, goes up at {each.up:.3f}" for each in keys.repairs]
    events: list[Event] = []
    for key, spans in presses(keys.events).items():
        for down, up in spans.tolist():
            if up == float("inf"):
                up = max(end, down)
                done.append(f"{key}, down since {down:.3f}, goes up at {up:.3f}")
            events += [(down, DOWN, "keydown", key), (up, UP if up > down else TAP_UP, "keyup", key)]
    spans = episode_spans(session.markers, end)
    closed = sum(marker.type == "fight_end" for marker in session.markers)
    for start, stop in spans.tolist():
        events += [(start, MARK, "marker", "fight_start"), (max(stop, start), MARK, "marker", "fight_end")]
    if closed < len(spans):
        done.append(f"{len(spans) - closed} episodes closed")
    elif closed > len(spans):
        done.append(f"{closed - len(spans)} episode ends without a start left out")
    return sorted(events, key=lambda event: event[:2]), done


def _write(session: Session, name: str, events: list[Event], done: list[str], crf: int) -> None:
    own = {"fps", "closed", "episodes"}
    metadata = {key: value for key, value in session.metadata.items() if key not in own}
    metadata |= {"repaired_from": session.metadata.get("repaired_from", session.stem), "repairs": done}
    frames = read_frames(session.video)
    first = next(frames)
    columns = session.state.columns if session.state else None
    with SessionWriter(
        session.directory, name, width=first.shape[1] & ~1, height=first.shape[0] & ~1, fps=session.fps,
        metadata=metadata, crf=crf, state_columns=columns,
    ) as writer:  # fmt: skip
        for i, t in enumerate(session.times.tolist()):
            image = first if i == 0 else next(frames)
            state = dict(zip(columns, session.state.values[i].tolist(), strict=True)) if columns else None
            even = image[: image.shape[0] & ~1, : image.shape[1] & ~1]
            writer.frame(even, t, repeat=bool(session.repeats[i]), state=state)
        episode = 0
        for t, _, event, what in events:
            if event != "marker":
                writer.key(event, what, t)
                continue
            writer.marker(what, t)
            if what == "fight_start":
                writer.episode_result(*session.episode_result(episode))
                episode += 1
