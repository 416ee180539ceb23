"""understudy import: recordings that another program made, as sessions."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from stages.commands.doctor import report_on
from stages.commands.options import actions_of, add_keys, keys_of, read_project, require_writable
from stages.recordings.actions import ActionVocabulary
from stages.recordings.importers.imported import Imported, all_or_none, write_session
from stages.recordings.importers.owamcap import imported_owamcap
from stages.recordings.importers.pictures import imported_pictures
from stages.recordings.importers.zarr_episodes import imported_zarr

ABOUT = """Reads recordings of another program and writes them as sessions, all or none of them, says what could not be
carried over, and lets the doctor look at the result. It reads

  a folder of numbered pictures with labels.csv or labels.jsonl, or a folder of such folders
  a zarr store with episode_0/{frames, actions, state}, ...
  OWAMcap: a .mcap file with its .mkv beside it"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a folder, a zarr store or a .mcap file")
    parser.add_argument("--out", type=Path, default=Path("data/raw/mine"), help="folder to write to (%(default)s)")
    parser.add_argument("--fps", type=float, help="frames a second, where the recording does not say")
    add_keys(parser)


def run(options: argparse.Namespace) -> None:
    params = read_project()
    keys = keys_of(options, params.keys)
    vocabulary = ActionVocabulary.from_params(actions_of(options, params), keys)
    require_writable(options.out)
    imported = read_source(options.source, keys, options.fps or None, params.align.picture_fps)
    stems = [one.name for one in imported]
    with all_or_none(options.out, stems) as work:
        for one in tqdm(imported, desc="import", unit="session"):
            write_session(work, one, keys, crf=params.collect.crf)
    for one in imported:
        print(f"{one.source} -> {options.out / one.name}.mp4; not carried over:")
        for words in one.lost:
            print(f"  - {words}")
    if report_on(options.out, stems, vocabulary, params, out=Path("reports/doctor"), sync=False):
        sys.exit(1)


def read_source(
    source: Path, keys: Mapping[str, Sequence[str]], fps: float | None, picture_fps: float
) -> list[Imported]:
    """What `source` holds, whatever kind it is; ValueError when it is none that is known."""
    if source.suffix == ".mcap" and source.is_file():
        return imported_owamcap(source)
    if not source.is_dir():
        raise ValueError(f"{source} is neither a folder nor a .mcap file")
    if any((source / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
        return imported_zarr(source, keys, fps=fps)
    return imported_pictures(source, keys, fps=fps or picture_fps)
