"""A second process that lets go of the agent's keys when the agent no longer can.

Nothing inside a process can clean up after kill -9, nor while it is stopped or hangs. The agent tells this one, over a
pipe, every key before it goes down and after it went up ("+Key.left", "-Key.left"), and between them that it is alive
("."), which is answered ("here"): an agent that gets no answer stops. When the pipe closes, whatever is still down is
released; when nothing comes for SILENT_S while a key is down, it is released too, and the agent is told so.
"""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import IO

READY = "ready\n"
LET_GO = "let go\n"
ALIVE, HERE = ".\n", "here\n"
SILENT_S = 1.0
ANSWER_S = 0.05
DEAF_S = 3.0  # an agent that has waited so long for an answer stops
END_S = 3.0

KeysDown = dict[str, None]  # the keys that the agent has down, in the order they went down


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
        self._saying, self._let_go = threading.Lock(), threading.Event()
        self._down: KeysDown = {}
        self._alive_at = time.monotonic()
        self._asked_at: float | None = None  # since when an answer is waited for
        self._listening = threading.Thread(target=self._listen, name="guardian", daemon=True)
        self._listening.start()
        return self

    def pressing(self, key: str) -> None:
        self._say(f"+{key}\n")

    def released(self, key: str) -> None:
        with suppress(ValueError):  # it can no longer be told, and the key is up
            self._say(f"-{key}\n")

    def alive(self) -> bool:
        """The agent is; False, once, when it had been silent for so long that its keys were released.

        ValueError when the guardian is not: it has died, or has not answered for DEAF_S in which the agent was awake.
        """
        now = time.monotonic()
        silent_s, self._alive_at = now - self._alive_at, now
        asked_at = None if silent_s > SILENT_S else self._asked_at
        if asked_at is not None and now - asked_at > DEAF_S:
            raise ValueError("the process that releases the keys after a crash does not answer; the agent stops")
        self._asked_at = now if asked_at is None else asked_at
        self._say(ALIVE)
        if silent_s > SILENT_S and self._down:
            self._let_go.wait(ANSWER_S)  # the thread that listens has been asleep too
        let_go = self._let_go.is_set()
        self._let_go.clear()
        return not let_go

    def _say(self, line: str) -> None:
        try:
            with self._saying:
                hear(line, self._down)
                self._process.stdin.write(line)
        except BrokenPipeError:
            raise ValueError("the process that releases the keys after a crash has died; the agent stops") from None

    def _listen(self) -> None:
        for line in self._process.stdout:
            if line == LET_GO:
                self._let_go.set()
            elif line == HERE:
                self._asked_at = None

    def __exit__(self, kind, error, traceback) -> None:
        with suppress(BrokenPipeError):  # it has died before; the hands have let go themselves
            self._process.stdin.close()
        try:
            self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:  # so have they where it does not answer
            self._process.kill()
            self._process.wait()
        self._listening.join()
        self._process.stdout.close()


def hear(line: str, down: KeysDown) -> None:
    """What a "+key" or "-key" says of the keys that are down; any other line says nothing of them."""
    sign, key = line[:1], line[1:].rstrip("\n")
    if sign == "+":
        down[key] = None
    elif sign == "-":
        down.pop(key, None)


def main(pipe: Iterable[str] = sys.stdin, answers: IO[str] = sys.stdout) -> None:
    """Every key left down is released, even when one cannot be; the process then ends with that one's error."""
    from stages.live.keyboard import Fingers

    fingers, lines, down, silent = Fingers(), _queued(pipe), {}, False
    print(READY, end="", flush=True, file=answers)
    while True:
        try:
            line = lines.get(timeout=SILENT_S if down and not silent else None)
        except queue.Empty:
            silent = True
            _release(fingers, down)
            _answer(LET_GO, answers)
            continue
        if line is None:
            break
        if line == ALIVE:
            _answer(HERE, answers)
        silent = False
        hear(line, down)  # what was released in a silence stays until the agent says so: it may have pressed it since
    if stuck := _release(fingers, down):
        sys.exit("\n".join(stuck))


def _queued(pipe: Iterable[str]) -> "queue.SimpleQueue[str | None]":
    """The lines as they come, then None: a pipe cannot be waited for with a limit on every system."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for line in pipe:
                lines.put(line)
        finally:
            lines.put(None)

    threading.Thread(target=read, name="agent's lines", daemon=True).start()
    return lines


def _answer(line: str, answers: IO[str]) -> None:
    with suppress(BrokenPipeError):  # the agent is gone, and its end of the other pipe says so next
        print(line, end="", flush=True, file=answers)


def _release(fingers, down: KeysDown) -> list[str]:
    """Releases every key; what could not be, in words."""
    stuck = []
    for key in down:
        try:
            fingers.release(key)
        except Exception as error:
            stuck.append(f"{key} could not be released: {error}")
    return stuck


if __name__ == "__main__":
    main()
