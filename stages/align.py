"""align: one timeline a session, and the doctor's report on the recordings."""

import json
import multiprocessing
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from stages.params import read_params
from stages.paths import TIMELINES
from stages.recordings.actions import ActionVocabulary
from stages.recordings.doctor import totals
from stages.recordings.examination import Reading, examined_session
from stages.recordings.files import session_path
from stages.recordings.logs import read_metadata
from stages.recordings.session import session_stems
from stages.recordings.timeline import write_timeline
from stages.recordings.verdict import BAD, other_rates, require_no_twins
from stages.run import run_stage

SHOWN = 5  # of many bad sessions


def main() -> None:
    params = read_params()
    vocabulary = ActionVocabulary.from_params(params.actions, params.keys)
    report = align(
        Path(params.recordings), TIMELINES, vocabulary, Reading.from_params(params), params.workers,
        skip=params.align.on_bad_session == "skip",
    )  # fmt: skip
    total = report["totals"]
    filmed_s = sum(each["frames"] * each["interval_ms"]["median"] for each in report["sessions"].values()) / 1000
    print(
        f"{params.recordings}: {total['sessions']} sessions, {total['frames']} frames "
        f"({filmed_s / 60:.1f} min), {total['episodes']} episodes"
    )
    if total["keys_logged"]:
        print("presses: " + ", ".join(f"{action} {count}" for action, count in total["presses"].items()))
        for action, count in total["presses"].items():
            if not count:
                print(f"{action} is never pressed: is its key {params.keys[action]} the right one?")
    else:
        print("pictures without a key log: latent actions can be learned from them, keys cannot")
    for stem, reasons in report["left_out"].items():
        print(f"{stem} is left out: {reasons[0]}")
    for stem, session in report["sessions"].items():
        for warning in session["warnings"]:
            print(f"{stem}: {warning}")
    print(f"written: {TIMELINES}")


def align(
    recordings: Path, out: Path, vocabulary: ActionVocabulary, reading: Reading, workers: int, *, skip: bool = False
) -> dict:
    """Write `<stem>.csv` for every session and alignment.json into `out`, all or nothing; returns the report.

    ValueError names the sessions that must not be trained on, and why; with `skip` they are left out instead, and
    stand in the report.
    """
    stems = session_stems(recordings)
    require_no_twins({stem: read_metadata(session_path(recordings, stem, "session"))[0] for stem in stems})
    work = out.with_name(f"{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        one = partial(align_session, recordings, work, vocabulary, reading)
        found = dict(tqdm(_in_order(one, stems, workers), total=len(stems), desc="align", unit="session"))
        reports = {stem: report for stem, (report, _) in found.items() if report is not None}
        bad = {stem: list(reasons) for stem, (report, reasons) in found.items() if report is None}
        rates = other_rates({stem: each["interval_ms"]["median"] for stem, each in reports.items()}, reading.fps)
        for stem, why in rates.items():
            bad[stem] = [why]
            reports.pop(stem)
            (work / f"{stem}.csv").unlink()
        _require_sound(recordings, bad, reports, skip)
        report = {
            "labels": {"rule": reading.rule, "delay_ms": reading.delay_ms},
            "sessions": reports,
            "left_out": bad,
            "totals": totals(reports.values()),
        }
        _require_something_to_learn(report, recordings, vocabulary)
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        (work / "alignment.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        if out.exists():
            shutil.rmtree(out)
        work.rename(out)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return report


def align_session(
    recordings: Path, out: Path, vocabulary: ActionVocabulary, reading: Reading, stem: str
) -> tuple[str, tuple[dict | None, tuple[str, ...]]]:
    """Write one timeline; returns the stem and the session's report, or None and why it must not be trained on."""
    try:
        found = examined_session(recordings, stem, vocabulary, reading)
    except ValueError as error:
        return stem, (None, (str(error),))
    if found.verdict.word == BAD:
        return stem, (None, found.verdict.reasons)
    write_timeline(out / f"{stem}.csv", found.timeline)
    return stem, (found.report, ())


def _in_order(one: partial, stems: Sequence[str], workers: int) -> Iterator[tuple[str, dict]]:
    if min(workers, len(stems)) == 1:
        yield from map(one, stems)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(stems)), mp_context=spawn) as pool:
        yield from pool.map(one, stems)


def _require_sound(recordings: Path, bad: Mapping[str, Sequence[str]], sound: Mapping[str, dict], skip: bool) -> None:
    if not bad or (skip and sound):
        return
    told = [f"{stem}: {BAD}: {reasons[0]}" for stem, reasons in list(bad.items())[:SHOWN]]
    more = [f"and {len(bad) - SHOWN} more sessions"] if len(bad) > SHOWN else []
    todo = f"look at them: understudy doctor {recordings}; mend them, or take them out of the folder"
    raise ValueError("\n  ".join([*told, *more, todo + ("" if skip else ", or set align.on_bad_session: skip")]))


def _require_something_to_learn(report: dict, recordings: Path, vocabulary: ActionVocabulary) -> None:
    total = report["totals"]
    if not total["frames_in_episodes"]:
        raise ValueError(f"{recordings}: no frame of any session lies in an episode; see its fight_start and fight_end")
    if total["keys_logged"] and not any(total["presses"].values()):
        seen = {**total["unmapped_keys"], **total["known_keys_not_learned"]}
        known = {action: list(vocabulary.keys[action]) for action in vocabulary.names}
        raise ValueError(
            f"{recordings}: none of the learned keys {known} is ever pressed; "
            f"pressed are {seen or 'no keys at all'}: set the params actions and keys to match"
        )


if __name__ == "__main__":
    run_stage(main)
