"""The finished pieces of a long command: a second run does only what is missing.

A piece is a JSON object under a name, in a folder that belongs to exactly these params, inputs and sources
(`resume.scratch_folder`); whatever else changes, the command starts with an empty ledger.
"""

import os
from collections.abc import Callable
from pathlib import Path

from stages.learning.checkpoints import read_json, write_json


class Ledger:
    """Pieces of work by name, `<folder>/<name>.json` each."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def once(self, name: str, work: Callable[[], dict]) -> dict:
        """What `work()` gave, now or in an earlier run; it must be JSON, and comes back as JSON reads it."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            partial = path.with_suffix(".partial")
            write_json(partial, work())
            os.replace(partial, path)
        return read_json(path)
