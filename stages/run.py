"""How a stage starts and how it says that its input is bad."""

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage; bad input and a full disk end it with one clear message instead of a traceback."""
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        free_mb = shutil.disk_usage(".").free / 1e6
        where = error.filename or f"what {Path(sys.argv[0]).stem} writes"
        sys.exit(f"error: the disk is full while writing {where} ({free_mb:.0f} MB are free); free some and repeat")
