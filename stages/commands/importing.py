"""understudy import: recordings that another program made, as sessions."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from stages.commands.doctor import report_on
from stages.commands.options import actions_of, add_keys, keys_of, read_project, require_writable
from stages.recordings.actions import ActionVocabulary
from stages.recordings.files import OPTIONAL, REQUIRED, files_named, session_path
from stages.recordings.importers.imported import Episode, Imported, all_or_none, write_session
from stages.recordings.importers.lerobot import episodes_of_lerobot
from stages.recordings.importers.owamcap import episodes_of_owamcap
from stages.recordings.importers.pictures import episodes_of_pictures
from stages.recordings.importers.zarr_episodes import MARKS, episodes_of_zarr

ABOUT = """Reads recordings of another program and writes them as sessions, all or none of them, says what could not be
carried over, and lets the doctor look at the result. It reads

  a folder of numbered pictures with labels.csv or labels.jsonl, or a folder of such folders
  a zarr store with episode_0/{frames, actions, state}, ..., as a folder or a .zip
  OWAMcap: a .mcap file with its video or pictures beside it, or a folder of such
  a LeRobot data set, version 3, with a --column for each action"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a folder, a zarr store, a .mcap file or a data set")
    parser.add_argument("--out", type=Path, default=Path("data/raw/mine"), help="folder to write to (%(default)s)")
    parser.add_argument("--fps", type=float, help="frames a second, where the recording does not say")
    parser.add_argument(
        "--skip-bad", action="store_true", help="import the good recordings and name the bad ones, not all or none"
    )
    parser.add_argument(
        "--column", nargs="+", action="extend", default=[], metavar='"NAME[PART] > VALUE = ACTION"',
        help='LeRobot: when which action is held, for example "action[3] > 0.5 = SHOOT"',
    )  # fmt: skip
    parser.add_argument(
        "--camera", metavar="NAME", help="LeRobot: the camera whose pictures are taken, if it has several"
    )
    parser.add_argument(
        "--empty-chunks", action="store_true", help="zarr: chunks that are not in the store are all 0, not lost"
    )
    add_keys(parser)


def run(options: argparse.Namespace) -> None:
    params = read_project()
    vocabulary = ActionVocabulary.from_params(actions_of(options, params), keys_of(options, params.keys))
    require_writable(options.out)
    with files_named():
        episodes = episodes_of(options, vocabulary, params.align.picture_fps)
    done, bad = imported_to(options.out, episodes, vocabulary, crf=params.collect.crf, skip_bad=options.skip_bad)
    for one in done:
        print(f"{one.source} -> {options.out / one.name}.mp4; not carried over:")
        for words in one.lost:
            print(f"  - {words}")
    for words in bad:
        print(f"left out: {words}")
    stems = [one.name for one in done]
    if report_on(options.out, stems, vocabulary, params, out=Path("reports/doctor"), sync=False):
        sys.exit(1)


def imported_to(
    out: Path, episodes: Sequence[Episode], vocabulary: ActionVocabulary, *, crf: int, skip_bad: bool
) -> tuple[list[Imported], list[str]]:
    """What was written to `out` as sessions, and what is wrong with the episodes that were left out.

    ValueError for the first bad episode; with `skip_bad` only when all are bad.
    """
    done, bad = [], []
    with files_named(), all_or_none(out, [episode.name for episode in episodes]) as work:
        for episode in tqdm(episodes, desc="import", unit="session"):
            try:
                with files_named():
                    imported = episode.read()
                    write_session(work, imported, vocabulary.keys, crf=crf)
            except ValueError as error:
                if not skip_bad:
                    raise
                bad.append(str(error))
                for part in REQUIRED | OPTIONAL:
                    session_path(work, episode.name, part).unlink(missing_ok=True)
            else:
                done.append(imported)
        if not done:
            raise ValueError(f"all {len(bad)} recordings are bad, the first: {bad[0]}")
    return done, bad


def _is_mcap(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".mcap"


def episodes_of(options: argparse.Namespace, vocabulary: ActionVocabulary, picture_fps: float) -> list[Episode]:
    """The recordings that the source holds, whatever kind it is; ValueError when it is none that is known."""
    source: Path = options.source
    if options.fps is not None and not 0 < options.fps < 1000:
        raise ValueError(f"--fps {options.fps:g}: expected frames a second")
    if source.is_symlink() and not source.exists():
        raise ValueError(f"{source} is a link to {source.readlink()}, which is not there")
    suffix = source.suffix.lower()
    if _is_mcap(source):
        return episodes_of_owamcap(source)
    if source.is_dir() and (recordings := [path for path in sorted(source.glob("[!.]*")) if _is_mcap(path)]):
        return [episode for each in recordings for episode in episodes_of_owamcap(each)]
    zipped = source.is_file() and suffix == ".zip"
    if not source.is_dir() and not zipped:
        raise ValueError(f"{source} is neither a folder nor a .mcap file nor a zipped zarr store")
    if zipped or any((source / mark).exists() for mark in MARKS):
        return episodes_of_zarr(source, vocabulary, fps=options.fps, empty_chunks=options.empty_chunks)
    lerobot = (source / "meta").is_dir()
    if options.column and not lerobot:
        raise ValueError(f"--column is for data sets of LeRobot; {source} has no folder meta")
    if lerobot:
        return episodes_of_lerobot(source, vocabulary, columns=options.column, camera=options.camera)
    return episodes_of_pictures(source, vocabulary, fps=options.fps or picture_fps)
