"""How a stage starts and how it says that its input is bad."""

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage; bad input and a full disk end it with one clear message instead of a traceback.

    numpy's and scipy's BLAS has one thread: how many it takes would change the last digits of what it solves. torch has
    its own, and `threads` of params.yaml.
    """
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            main()
    except ValueError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        free_mb = shutil.disk_usage(".").free / 1e6
        where = error.filename or f"what {Path(sys.argv[0]).stem} writes"
        sys.exit(f"error: the disk is full while writing {where} ({free_mb:.0f} MB are free); free some and repeat")
