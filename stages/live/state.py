"""What the game itself knows while it is recorded or played, told by a program of the player's (`--state-from`).

The program prints a line of JSON whenever it likes: numbers by name, and `"t"`, UTC seconds, if it knows when they
were true (else it is the moment at which the line arrives): `{"t": 1767225600.1, "health": 87, "boss_x": 12.5}`.
"""

import json
import math
import shlex
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from stages.live.clock import SteadyClock

FIRST_LINE_S = 10.0  # to wait for it
FRESH_S = 1.0  # what is older says nothing of the present
KEPT_S = 10.0
SHOWN = 80  # characters of a line in a message


class StateSource(AbstractContextManager):
    """Runs the program until it is left; `columns` are the names of its first line, in their order.

    ValueError where it cannot be started, ends, or tells no numbers within FIRST_LINE_S.
    """

    def __init__(self, command: str, clock: SteadyClock):
        self._command, self._clock = command, clock
        self._rows: deque[tuple[float, dict[str, float]]] = deque()
        self._lock, self._first = threading.Lock(), threading.Event()
        self.trouble: str | None = None  # why nothing more comes, in words
        self.columns: tuple[str, ...] = ()
        try:
            words = command if sys.platform == "win32" else shlex.split(command)
            self._program = subprocess.Popen(
                words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace"
            )
        except (OSError, ValueError, IndexError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"--state-from {command!r} cannot be started: {reason}") from None
        self._reader = threading.Thread(target=self._read, name="state", daemon=True)
        self._reader.start()
        told = self._first.wait(FIRST_LINE_S)
        if self.trouble or not told:
            self.__exit__()
            raise ValueError(self.trouble or f"{self._named}: not a line within {FIRST_LINE_S:g} s; does it flush?")

    def __exit__(self, *error) -> None:
        self._program.terminate()
        self._reader.join(FRESH_S)
        if self._reader.is_alive():
            self._program.kill()
            self._reader.join()
        self._program.stdout.close()
        self._program.wait()

    def require(self, columns: Sequence[str]) -> None:
        """ValueError for columns that it does not tell."""
        if missing := [name for name in columns if name not in self.columns]:
            raise ValueError(f"the agent reads {missing}; {self._named} tells {list(self.columns)}")

    def at(self, t: float) -> dict[str, float]:
        """What was known at `t` UTC seconds; NaN for what was last told more than FRESH_S before."""
        with self._lock:
            known = next((row for told, row in reversed(self._rows) if t - FRESH_S <= told <= t), {})
        return {name: known.get(name, math.nan) for name in self.columns}

    @property
    def _named(self) -> str:
        return f"--state-from {Path(self._command.split()[0]).name}"

    def _read(self) -> None:
        """In a thread of its own, until the program ends or tells nonsense."""
        for number, line in enumerate(self._program.stdout, start=1):
            if not line.strip():
                continue
            try:
                t, row = self._parsed(line)
            except ValueError as error:
                self.trouble = f"{self._named}, line {number}: {error}: {line.strip()[:SHOWN]!r}"
                break
            with self._lock:
                self._rows.append((t, row))
                while self._rows[0][0] < t - KEPT_S:
                    self._rows.popleft()
            self._first.set()
        else:
            self.trouble = f"{self._named} ended with exit code {self._program.wait()}"
        self._first.set()

    def _parsed(self, line: str) -> tuple[float, dict[str, float]]:
        """A line's moment and numbers; the first one names the columns."""
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("no JSON") from None
        if not isinstance(told, dict):
            raise ValueError('no object such as {"health": 87}')
        now = self._clock.now()
        row = {name: _number(name, value) for name, value in told.items()}
        t = row.pop("t", now)
        if not abs(t - now) < KEPT_S:
            raise ValueError(f"t is {t - now:+.0f} s from this machine's clock, expected UTC seconds")
        if not self.columns:
            if not row:
                raise ValueError("not one number")
            if odd := [name for name in row if not name.isprintable() or set(name) & set(',"')]:
                raise ValueError(f"the name {odd[0]!r} cannot head a column: no commas, quotes or line breaks")
            self.columns = tuple(row)
        elif unknown := row.keys() - set(self.columns):
            raise ValueError(f"{min(unknown)!r} is new; the first line has to name all columns, null where absent")
        return t, row


def _number(name: str, value: object) -> float:
    """NaN for null."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name!r} is no number")
    return float(value)
