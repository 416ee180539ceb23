"""A second process that lets go of the agent's keys when the agent's own process is killed.

Nothing inside a process can clean up after kill -9. The agent tells this one, over a pipe, every key before it goes
down and after it went up ("+Key.left", "-Key.left"); when the pipe closes, whatever is still down is released.
"""

import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import IO

READY = "ready\n"


class Guardian:
    """The agent's end of the pipe; a context manager."""

    def __enter__(self) -> "Guardian":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stages.live.guardian"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            start_new_session=True,  # Ctrl-C in the terminal must not end it before it has done its work
        )  # fmt: skip
        if self._process.stdout.readline() != READY:
            raise ValueError("the process that releases the keys after a crash did not start; nothing is pressed")
        return self

    def pressing(self, key: str) -> None:
        self._say(f"+{key}\n")

    def released(self, key: str) -> None:
        with suppress(ValueError):  # it can no longer be told, and the key is up
            self._say(f"-{key}\n")

    def _say(self, line: str) -> None:
        try:
            self._process.stdin.write(line)
        except BrokenPipeError:
            raise ValueError("the process that releases the keys after a crash has died; the agent stops") from None

    def __exit__(self, kind, error, traceback) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # it has died before; the hands have let go themselves
                pipe.close()
        self._process.wait(timeout=10)


def keys_left_down(lines: Iterable[str]) -> list[str]:
    """The keys that a stream of "+key" and "-key" lines leaves down, in the order they went down."""
    down: dict[str, None] = {}
    for line in lines:
        sign, key = line[:1], line[1:].rstrip("\n")
        if sign == "+":
            down[key] = None
        elif sign == "-":
            down.pop(key, None)
    return list(down)


def main(pipe: IO[str] = sys.stdin) -> None:
    """Every key left down is released, even when one cannot be; the process then ends with that one's error."""
    from stages.live.keyboard import Fingers

    fingers, stuck = Fingers(), []
    print(READY, end="", flush=True)
    for key in keys_left_down(pipe):
        try:
            fingers.release(key)
        except Exception as error:
            stuck.append(f"{key} could not be released: {error}")
    if stuck:
        sys.exit("\n".join(stuck))


if __name__ == "__main__":
    main()
