"""A real X server without a monitor."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


def require_xvfb() -> None:
    """ValueError where Xvfb is not installed."""
    if shutil.which("Xvfb") is None:
        raise ValueError("Xvfb, a screen without a monitor, is missing: apt-get install xvfb (Debian, Ubuntu)")


@contextlib.contextmanager
def x_server(log_path: Path, *options: str) -> Iterator[str]:
    """The name of a fresh one, like ":5"."""
    require_xvfb()
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    command += ["-noreset"]  # else it starts anew, and drops who is just connecting, when its last client leaves
    log = log_path.open("w")
    server = subprocess.Popen([*command, *options], pass_fds=[writing], stdout=log, stderr=log)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    try:
        assert number, f"Xvfb did not start, see {log.name}"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(timeout=10)
        log.close()
