"""The agent at the keyboard: picture, decision, keys, at the frame rate of the recordings it learned from."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from stages.live.clock import SteadyClock
from stages.live.hands import Hands
from stages.live.latency import Latencies
from stages.live.screen import Camera
from stages.live.slots import Slots
from stages.live.state import StateSource
from stages.live.witness import Witness
from stages.models.acting import Acting

WAIT_S = 0.05
ALIVE_S = 0.25  # how often a waiting loop says that it is alive


class Brain(Protocol):
    """models/agent.py: pictures in, logits out."""

    def reset(self, lane: int) -> None: ...
    def logits(
        self, images: Mapping[int, np.ndarray], states: Mapping[int, Mapping[str, float]] | None = None
    ) -> dict[int, np.ndarray]: ...


@dataclass(frozen=True)
class Decider:
    """Logits of one frame to keys, by an acting rule."""

    acting: Acting
    actions: tuple[str, ...]
    keys: Mapping[str, str]  # action -> the key to hold
    generator: np.random.Generator

    def __call__(self, logits: np.ndarray) -> tuple[list[str], np.ndarray]:
        """float32 [A] -> the keys to hold, and the calibrated probabilities [A]."""
        held = self.acting.keys(logits, self.generator)
        keys = [self.keys[name] for name, on in zip(self.actions, held, strict=True) if on]
        return keys, self.acting.probabilities(logits)


class Chance:
    """Instead of an agent: logits that do not look, for comparison. Each key is down half of the time."""

    def __init__(self, actions: int, generator: np.random.Generator):
        self._actions, self._generator = actions, generator

    def reset(self, lane: int) -> None:
        """It has no past."""

    def logits(self, images: Mapping[int, np.ndarray], states=None) -> dict[int, np.ndarray]:
        """1000 or -1000, so that every acting rule takes them for certain."""
        draws = self._generator.random(self._actions) < 0.5
        return {lane: np.where(draws, 1000.0, -1000.0) for lane in images}


def for_chance(acting: Acting) -> Acting:
    """The agent's rule for what Chance says: each key by itself, and nothing is drawn once more."""
    return replace(acting, rule="threshold", combinations=None)


class DecisionLoop:
    """Plays until `stop` is set; the hands are empty whenever `run` is left."""

    def __init__(
        self,
        brain: Brain,
        decide: Decider,
        hands: Hands,
        clock: SteadyClock,
        *,
        fps: float,
        stop: threading.Event,
        alive: Callable[[], bool] = lambda: True,
        state: StateSource | None = None,
    ):
        """`alive()` is called before every decision, and at least every ALIVE_S while it waits for one; it
        answers False when the call before was so long ago that the keys have been released. `state` tells what the game
        knows, to a brain that reads it."""
        self._brain, self._decide, self._hands, self._clock = brain, decide, hands, clock
        self._fps, self._stop, self._alive, self._alive_at = fps, stop, alive, clock.now()
        self._slots: Slots | None = None
        self._state = state
        self.latencies = Latencies()

    def run(
        self,
        camera: Camera,
        witness: Witness,
        *,
        in_front: Callable[[], bool],
        count_down_again: Callable[[], bool],
        seconds: float | None,
    ) -> None:
        """After another window was in front, `count_down_again()` comes before the next key; False: stop.

        The `seconds` count from the first decision.
        """
        end = None
        self._logits(*camera.picture())  # the first one takes a second, and must not be a late answer
        try:
            while not self._stop.is_set() and (end is None or self._clock.now() < end):
                if self._hands.may_press:
                    self._step(camera, witness, in_front)
                    continue
                witness.end(self._clock.now())
                if not in_front():
                    self._stop.wait(WAIT_S)
                elif self._slots is not None and not count_down_again():
                    return
                elif in_front():
                    end = self._clock.now() + seconds if seconds and self._slots is None else end
                    self._begin(witness)
                    self._hands.allow()
        finally:
            self._hands.let_go()
            witness.end(self._clock.now())

    def _begin(self, witness: Witness) -> None:
        now = self._clock.now()
        self._brain.reset(0)
        self._slots = Slots(now, self._fps)
        self._alive()  # what was released before was let go of anyway
        witness.begin(now)

    def _step(self, camera: Camera, witness: Witness, in_front: Callable[[], bool]) -> None:
        stood_still_since = self._waited()
        if stood_still_since is not None:
            self._begin_again(witness, in_front, stood_still_since)
            return
        missed = self._slots.missed(self._clock.now())
        self.latencies.missed += len(missed)
        for t in missed:
            witness.missed(t)
        due = self._slots.due()
        image, grabbing = camera.picture()
        self._slots.taken()
        grabbed = self._clock.now()
        keys, probabilities = self._decide(self._logits(image, grabbing))
        if not in_front():
            self._hands.let_go()
            return
        if not self._hands.hold(keys, in_front):
            return
        done = self._clock.now()
        self.latencies.add(due=due, grabbing=grabbing, grabbed=grabbed, done=done, frame_s=1 / self._fps)
        witness.seen(image, grabbing, keys, probabilities)

    def _logits(self, image: np.ndarray, t: float) -> np.ndarray:
        """Of a picture that was taken at `t`; ValueError when the state's program has ended."""
        if self._state is None:
            return self._brain.logits({0: image})[0]
        if self._state.trouble:
            raise ValueError(self._state.trouble)
        return self._brain.logits({0: image}, {0: self._state.at(t)})[0]

    def _waited(self) -> float | None:
        """Until the next picture is due; where its keys have been released meanwhile, since when the player stood
        still."""
        while True:
            last_alive, self._alive_at = self._alive_at, self._clock.now()
            if not self._alive():
                return last_alive
            if self._alive_at >= self._slots.due():
                return None
            self._clock.sleep_until(min(self._slots.due(), self._alive_at + ALIVE_S))

    def _begin_again(self, witness: Witness, in_front: Callable[[], bool], stood_still_since: float) -> None:
        """The episode ended then, the keys are up, and what the agent remembers is of the time before."""
        witness.end(stood_still_since)
        if not in_front():
            self._hands.let_go()
        elif self._hands.hold([]):
            self._begin(witness)
