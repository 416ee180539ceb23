"""Keeps what the agent saw and pressed: as a table, and as a session that can be looked at like any other."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from stages.live.clock import SteadyClock
from stages.live.encoder import Encoder
from stages.live.tape import Tape


class PlayLog:
    """A CSV: t, a column of probability an action, the keys held."""

    def __init__(self, path: Path, actions: Sequence[str]):
        """ValueError where no file can be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise ValueError(f"{path} cannot be written: {error.strerror}") from None
        self._table = csv.writer(self._file, lineterminator="\n")
        self._table.writerow(["t", *actions, "keys"])

    def row(self, t: float, probabilities: np.ndarray, keys: Sequence[str]) -> None:
        self._table.writerow([f"{t:.6f}", *(f"{p:.4f}" for p in probabilities), " ".join(keys)])

    def close(self) -> None:
        self._file.close()


class Witness:
    """Hears of everything the agent does; log, tape and encoder may each be missing.

    A session of the agent has the form of a person's: its episodes end where it had to let go of the keys. When the
    recording fails it is told at once, and the run goes on without.
    """

    def __init__(
        self,
        clock: SteadyClock,
        log: PlayLog | None,
        tape: Tape | None,
        encoder: Encoder | None,
        say: Callable[[str], None] = print,
    ):
        self._clock, self._log, self._tape, self._encoder, self._say = clock, log, tape, encoder, say
        self._episode_open, self._frames, self._repeats = False, 0, 0
        self._trouble: str | None = None

    def begin(self, t: float) -> None:
        """The agent starts to play."""
        self._mark("fight_start", t)

    def end(self, t: float) -> None:
        """The agent has let go; saying so twice does nothing."""
        if self._episode_open:
            self._mark("fight_end", t)

    def seen(self, image_bgr: np.ndarray, t: float, keys: Sequence[str], probabilities: np.ndarray) -> None:
        """A picture uint8 [H, W, 3] captured at `t` and what came of it."""
        if self._log:
            self._log.row(t, probabilities, keys)
        if self._recording():
            self._repeats += not self._encoder.put(image_bgr, t)
            self._frames += 1

    def missed(self, t: float) -> None:
        """A slot without a picture."""
        if self._frames and self._recording():
            self._encoder.put(None, t)
            self._repeats += 1

    def told(self, event: str, key: str) -> None:
        """Of a key before it goes down and after it went up."""
        if self._tape:
            self._tape.key("keydown" if event == "pressing" else "keyup", key, self._clock.now())

    def finish(self) -> None:
        """After the encoder's end: the session's files, with what was dropped; tells when there is no session."""
        if not self._encoder.alive:  # one that stands still has the tape in its hands
            why = self._trouble or self._encoder.trouble or "the run ended"
            self._tape.close({"why_stopped": why, "dropped": self._encoder.dropped, "repeats": self._repeats})
        self._recording()
        if not self._tape.frames:
            self._say("not one picture was recorded: no session was kept")

    def _recording(self) -> bool:
        """Whether the run is recorded; says so, once, when that has failed."""
        if self._encoder and self._trouble is None and (trouble := self._encoder.trouble):
            self._trouble = trouble
            self._say(f"the run is no longer recorded: {trouble}")
        return self._encoder is not None and self._trouble is None

    def _mark(self, type: str, t: float) -> None:
        self._episode_open = type == "fight_start"
        if self._tape:
            self._tape.marker(type, t)
