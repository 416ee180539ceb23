"""How a stage starts and how it says that its input is bad."""

import errno
import sys
from collections.abc import Callable


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage; bad input and a full disk end it with one clear message instead of a traceback."""
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(f"error: the disk is full while writing {error.filename or 'an output'}; free some space and repeat")
