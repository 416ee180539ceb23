"""What makes a script play like a person: it reacts late, lapses and slips.

A game's script says what a skilled player wants to hold in view of one state row; `HumanLikeScript` stands between
that wish and the keys: a reaction delay, moments without attention, and wrong keys. A wrong key is
executed, so recordings hold mistakes and the recoveries from them, as a person's do.
"""

from collections import deque

import numpy as np

from stages.games.game import Game, State
from stages.params import ScriptParams


class HumanLikeScript:
    """One episode of a game's script with a person's handicaps; ask `keys` once a frame."""

    def __init__(self, game: Game, params: ScriptParams, generator: np.random.Generator):
        self._script, self._params, self._actions = game.script(), params, tuple(game.keys)
        self._rate, self._tics, self._random = game.tic_rate_hz, game.tics_per_frame, generator
        self._tic = 0
        self._wishes: deque[tuple[int, frozenset[str]]] = deque()  # (tic at which the hands follow, actions)
        self._hands: frozenset[str] = frozenset()
        self._absent_until = 0
        self._slip: tuple[int, int, str] = (0, 0, "")  # (from which tic, until which tic, the wrong key)
        self._exploring_until, self._tried = 0, frozenset()

    def keys(self, state: State) -> list[frozenset[str]]:
        """What is held during each tic of the coming frame; `intended` is then what would be without slips."""
        self._attend(state)
        self.intended: frozenset[str] = frozenset()
        return [self._held() for _ in range(self._tics)]

    def _attend(self, state: State) -> None:
        frame_s = self._tics / self._rate
        if self._tic >= self._absent_until:
            if self._random.random() < self._params.lapses_per_min / 60 * frame_s:
                self._absent_until = self._tic + round(self._params.lapse_s * self._rate)
            wish = self._wish(state, frame_s)
            jitter = self._random.uniform(-1, 1) * self._params.reaction_jitter_s
            follow = self._tic + max(round((self._params.reaction_s + jitter) * self._rate), 0)
            last = self._wishes[-1][0] if self._wishes else 0
            self._wishes.append((max(follow, last), wish))
        slips = self._params.slips_per_min / 60 * frame_s
        if self._slip[1] <= self._tic and self._random.random() < slips:
            start = self._tic + int(self._random.integers(self._tics))
            wrong = str(self._random.choice(self._actions))
            self._slip = (start, start + max(round(self._params.slip_s * self._rate), 1), wrong)

    def _wish(self, state: State, frame_s: float) -> frozenset[str]:
        """What the script wants or, while exploring, what chance wants: the same keys for a while."""
        wanted = self._script.wish(state, [wish for _, wish in self._wishes])
        often = self._params.explores_per_min
        if often and self._tic >= self._exploring_until and self._random.random() < often / 60 * frame_s:
            self._exploring_until = self._tic + round(self._params.explore_s * self._rate)
            self._tried = frozenset({str(self._random.choice(self._actions))})
        return self._tried if self._tic < self._exploring_until else wanted

    def _held(self) -> frozenset[str]:
        while self._wishes and self._wishes[0][0] <= self._tic:
            self._hands = self._wishes.popleft()[1]
        self.intended |= self._hands
        start, end, wrong = self._slip
        held = self._hands ^ {wrong} if start <= self._tic < end else self._hands
        self._tic += 1
        return held
