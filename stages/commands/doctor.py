"""understudy doctor: are the recordings good, and are they enough?"""

import argparse
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stages.commands.options import actions_of, add_keys, keys_of, read_project, require_writable, session_of
from stages.episodes.balance import ALL
from stages.episodes.enough import Supply, enough_lines, splits_of, supplies
from stages.episodes.splits import SPLITS
from stages.evaluation.figures import style
from stages.evaluation.figures.recording import session_figure
from stages.params import Params
from stages.recordings.actions import ActionVocabulary
from stages.recordings.doctor import totals
from stages.recordings.examination import Examined, Reading, examined_session
from stages.recordings.files import OPTIONAL, REQUIRED, session_path
from stages.recordings.pictures import pictures_in
from stages.recordings.repair import repaired
from stages.recordings.session import session_stems
from stages.recordings.sync import Certificate, certificate, pooled_lag
from stages.recordings.timeline import end_of, episode_spans, presses
from stages.recordings.verdict import BAD, Verdict, other_rates, repaired_twins, twin_words

ABOUT = """Looks at a folder of recordings, or at one session, and says for each: good, usable with warnings, or do not
train on this. Draws a picture of each, tells by how much the picture follows the keys, and whether there is enough.

--fix writes a repaired session beside the old one (stuck keys, unclosed episodes, frames at the end that do not fit);
take the old one out of the folder then, for both are one recording.
--calibrate measures the recorder itself on this machine: it opens a window, presses a key by program, records it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recordings", nargs="?", help="a folder of sessions, or one session (its name or any of its files)"
    )
    add_keys(parser)
    parser.add_argument("--out", type=Path, default=Path("reports/doctor"), help="folder of the pictures (%(default)s)")
    parser.add_argument("--fix", action="store_true", help="write <session>-fixed where something can be repaired")
    parser.add_argument(
        "--cut-end", action="store_true",
        help="with --fix: where video and log differ by many frames, take it that they are missing at the end",
    )  # fmt: skip
    parser.add_argument("--no-sync", action="store_true", help="leave out the sync certificate")
    parser.add_argument("--calibrate", action="store_true", help="measure the recorder on this machine instead")
    parser.add_argument("--fps", type=float, default=10.0, help="pictures a second of --calibrate (%(default)s)")
    parser.add_argument("--presses", type=int, default=60, help="key presses of --calibrate (%(default)s)")


@dataclass(frozen=True)
class Case:
    """One session on the table; `examined` is None where it cannot be read."""

    name: str
    examined: Examined | None
    verdict: Verdict
    sync: Certificate


def run(options: argparse.Namespace) -> None:
    params = read_project()
    if options.calibrate:
        from stages.live.calibration import calibrate, calibration_lines  # needs a screen, the rest does not

        print("\n".join(calibration_lines(calibrate(options.fps, options.presses))))
        return
    if options.recordings is None:
        raise ValueError("say what to look at: understudy doctor data/raw/mine (a folder or a session)")
    folder, stems = folder_and_stems(options.recordings)
    vocabulary = ActionVocabulary.from_params(actions_of(options, params), keys_of(options, params.keys))
    worst_is_bad = report_on(folder, stems, vocabulary, params, out=options.out, sync=not options.no_sync)
    if options.fix:
        require_writable(folder)
        for line in repairs(folder, stems, params, cut_end=options.cut_end):
            print(line)
    elif worst_is_bad:
        print("\n".join(read_only_lines(folder, stems)))
        sys.exit(1)


def read_only_lines(folder: Path, stems: Sequence[str]) -> list[str]:
    """What to do before a file is repaired by hand that DVC shares with its cache; empty where there is none."""
    paths = (session_path(folder, stem, part) for stem in stems for part in REQUIRED | OPTIONAL)
    locked = [path for path in paths if path.is_file() and not path.stat().st_mode & stat.S_IWUSR]
    if not locked:
        return []
    return [f"{locked[0]} is read-only, shared with DVC's cache; before a repair by hand: dvc unprotect {folder}"]


def folder_and_stems(text: str) -> tuple[Path, list[str]]:
    """The folder and the sessions in it that were asked for."""
    path = Path(text)
    logs = path.is_dir() and any(path.glob(f"*{REQUIRED['frames']}"))  # pictures beside them are none of a recording
    if path.is_dir() and (logs or not any(each.stem.isdecimal() for each in pictures_in(path))):
        return path, session_stems(path)
    folder, stem = session_of(text)
    return folder, [stem]


def report_on(
    folder: Path, stems: list[str], vocabulary: ActionVocabulary, params: Params, *, out: Path, sync: bool
) -> bool:
    """Prints table, reasons and supply, and writes the pictures; whether a session must not be trained on."""
    cases = [case_of(folder, stem, vocabulary, params, sync=sync) for stem in stems]
    cases = refused_together(cases, params.align.fps)
    print("\n".join(table_lines(cases)))
    for case in cases:
        for reason in case.verdict.reasons:
            print(f"{case.name}: {reason}")
    if sync:
        print("\n".join(sync_lines(cases)))
    for case in cases:
        if case.examined is not None:
            style.save(picture_of(case), out / f"{case.name}.png")
    print(f"pictures: {out}")
    print("\n".join(("", *supply_lines(cases, params))))
    return any(case.verdict.word == BAD for case in cases)


def case_of(folder: Path, stem: str, vocabulary: ActionVocabulary, params: Params, *, sync: bool) -> Case:
    try:
        examined = examined_session(folder, stem, vocabulary, Reading.from_params(params))
    except ValueError as error:
        return Case(stem, None, Verdict(BAD, (str(error),)), Certificate(why_not="it cannot be read"))
    found = certificate_of(examined, params.seed) if sync else Certificate(why_not="not asked for")
    return Case(stem, examined, examined.verdict, found)


def refused_together(cases: list[Case], fps: float | None) -> list[Case]:
    """The same cases, those refused that do not go with the others: repaired ones lie beside them, or another rate."""
    read = {case.name: case.examined for case in cases if case.examined}
    twins = repaired_twins({name: examined.session.metadata for name, examined in read.items()})
    why = {name: twin_words(kept) for name, kept in twins.items()}
    why |= other_rates({name: examined.report["interval_ms"]["median"] for name, examined in read.items()}, fps)
    return [
        replace(case, verdict=Verdict(BAD, (why[case.name], *case.verdict.reasons))) if case.name in why else case
        for case in cases
    ]


def certificate_of(examined: Examined, seed: int) -> Certificate:
    session = examined.session
    if not session.key_events:
        return Certificate(why_not="there are no keys")
    inside = np.zeros(len(session.times), bool)
    inside[examined.timeline.frames] = examined.timeline.episode >= 0
    return certificate(session.times, inside, session.key_events, examined.pictures.change, seed)


def table_lines(cases: list[Case]) -> list[str]:
    """A row a session; the sync column: by how many ms the picture follows the keys."""
    width = max(7, *(len(case.name) for case in cases))
    lines = [
        f"{'session':<{width}} {'frames':>7} {'min':>5} {'episodes':>8} {'ms/frame':>8} {'p99':>6} {'repeats':>7} "
        f"{'gaps':>4} {'presses':>7}  {'picture after keys, ms':<26} verdict"
    ]
    for case in cases:
        if case.examined is None:
            lines.append(f"{case.name:<{width}} {'':>59}  {'':<26} {case.verdict.word}")
            continue
        r = case.examined.report
        lines.append(
            f"{case.name:<{width}} {r['frames']:>7} {r['seconds'] / 60:>5.1f} {r['episodes']:>8} "
            f"{r['interval_ms']['median']:>8.1f} {r['interval_ms']['p99']:>6.1f} {r['repeats']:>7} "
            f"{r['gaps']['count']:>4} {sum(r['presses'].values()):>7}  {sync_words(case.sync):<26} {case.verdict.word}"
        )
    return lines


def sync_words(found: Certificate) -> str:
    if found.why_not:
        return "not known"
    return f"{found.lag_ms:.0f} ({found.lag_low_ms:.0f} to {found.lag_high_ms:.0f})"


def sync_lines(cases: list[Case]) -> list[str]:
    """The sync certificates in sentences."""
    lines = []
    for case in cases:
        c = case.sync
        if c.why_not:
            lines.append(f"{case.name}: sync not known: {c.why_not}")
            continue
        drift = "too short to tell a drift"
        if not np.isnan(c.drift_ms_per_min):
            drift = f"drift {c.drift_ms_per_min:+.1f} +-{c.drift_pm_ms_per_min:.1f} ms a minute"
            drift += f", jitter {c.jitter_ms:.0f} ({c.jitter_low_ms:.0f} to {c.jitter_high_ms:.0f}) ms"
        lines.append(f"{case.name}: the picture follows the keys by {sync_words(c)} ms; {drift}; R2 {c.r2:.2f}")
    together = pooled_lag([case.sync for case in cases])
    if together:
        lines.append("all sessions together: {:.0f} ({:.0f} to {:.0f}) ms".format(*together))
    return lines


def picture_of(case: Case):
    session = case.examined.session
    episodes = episode_spans(session.markers, end_of(session.times)).tolist() if session.markers else []
    return session_figure(
        case.name, session.times, session.repeats, presses(session.key_events), episodes, case.verdict.word
    )


def supply_lines(cases: list[Case], params: Params) -> list[str]:
    """Whether what may be trained on is enough."""
    usable = {
        case.name: case.examined for case in cases if case.verdict.word != BAD and case.examined.session.keys_logged
    }
    timelines = {name: found.timeline for name, found in usable.items()}
    if not timelines:
        return ["nothing here can be learned from"]
    try:
        splits = splits_of(timelines, **params.split.model_dump())
    except ValueError as error:  # too few sessions to split
        so_far = totals(found.report for found in usable.values())["presses"]
        words = ", ".join(f"{action} {count}" for action, count in so_far.items())
        return [f"not enough yet: {error}", f"presses so far: {words}"]
    min_presses = params.explore.min_presses
    found = supplies(timelines, splits, min_presses=min_presses, reflex_hold_s=params.explore.reflex_hold_s)
    return [*enough_lines(found, min_presses=min_presses), "", *share_lines(found)]


def share_lines(found: Sequence[Supply]) -> list[str]:
    """Of the frames in episodes, the share in which each action is held, by split."""
    width = max(10, *(len(row.action) for row in found))
    lines = [f"{'held, of':<{width}}  {'all':>6} " + " ".join(f"{split:>6}" for split in SPLITS)]
    for row in found:
        lines.append(f"{row.action:<{width}}  " + " ".join(f"{row.share[split]:>6.1%}" for split in (ALL, *SPLITS)))
    return lines


def repairs(folder: Path, stems: list[str], params: Params, *, cut_end: bool):
    """Writes what can be repaired; yields a line or two a session."""
    for stem in stems:
        try:
            name, done = repaired(folder, stem, Reading.from_params(params), crf=params.collect.crf, cut_end=cut_end)
        except ValueError as error:
            yield f"{stem}: cannot be repaired: {error}"
            continue
        if name is None:
            yield f"{stem}: nothing to repair"
            continue
        yield f"{stem}: wrote {name}: {'; '.join(done)}"
        yield f"{stem}: take it out of {folder} now: {name} is the same recording"
