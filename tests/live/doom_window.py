"""A real game in a real window, in real time: Doom as a person would play it, by keys from the X server.

python -m tests.live.doom_window SECONDS OUT.json [SEED [script]]: prints "ready" when the window is there and plays
episode after episode until the seconds are over. With `script` the bundled player, who sees the game's own state,
presses real keys of the X server; without, whoever has the keyboard plays. OUT.json: the score of every episode, and
every key that the script pressed.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import vizdoom

from stages.games.doom import CenterScript, DoomCenter
from stages.games.scripts import HumanLikeScript
from stages.live.keyboard import Fingers
from stages.params import read_params

KEYS = {"LEFT": "Key.left", "RIGHT": "Key.right", "SHOOT": "Key.ctrl", "DASH": "Key.shift"}  # the engine's own bindings
TICS = DoomCenter.tics_per_frame


class WindowedDoom(DoomCenter):
    """The bundled game, seen in a window and steered by the keyboard, 35 tics a second whatever anybody does."""

    def __init__(self, seed: int):
        self._width, self._height = 640, 360
        self._game = game = vizdoom.DoomGame()
        game.load_config(str(Path(vizdoom.scenarios_path) / f"{self.scenario}.cfg"))
        game.set_window_visible(True)
        game.set_mode(vizdoom.Mode.ASYNC_SPECTATOR)
        game.set_screen_resolution(vizdoom.ScreenResolution.RES_640X360)
        game.set_render_hud(False)
        game.set_objects_info_enabled(True)
        game.set_available_buttons(list(self.buttons.values()))
        names = ("POSITION_X", "POSITION_Y", "ANGLE", "HEALTH", "AMMO2", "KILLCOUNT")
        game.set_available_game_variables([getattr(vizdoom.GameVariable, name) for name in names])
        game.set_episode_timeout(self.episode_tics)
        game.set_seed(seed)
        game.init()

    def next_episode(self) -> None:
        self._game.new_episode()

    def tic(self) -> None:
        """Wait for the game's next tic."""
        self._game.advance_action()

    def close(self) -> None:
        self._game.close()


class ScriptedFingers:
    """The bundled player at the real keyboard, with a log of what it pressed."""

    def __init__(self, seed: int):
        self._fingers, self._params, self._seed = Fingers(), read_params().collect.script, seed
        self._down: frozenset[str] = frozenset()
        self.log: list[tuple[float, str, str]] = []

    def begin(self) -> None:
        self._seed += 1
        game = SimpleNamespace(script=CenterScript, keys=KEYS, tic_rate_hz=35, tics_per_frame=TICS)
        self._player = HumanLikeScript(game, self._params, np.random.default_rng(self._seed))
        self._coming: list[frozenset[str]] = []

    def tic(self, game: WindowedDoom) -> None:
        """Press what is wanted for the coming tic."""
        if not self._coming:
            self._coming = list(self._player.keys(game.state()))
        self.hold(self._coming.pop(0))

    def hold(self, wanted: frozenset[str]) -> None:
        for action in sorted(self._down ^ wanted):
            down = action in wanted
            self.log.append((time.time(), "keydown" if down else "keyup", KEYS[action]))
            (self._fingers.press if down else self._fingers.release)(KEYS[action])
        self._down = wanted


def play(game: WindowedDoom, script: ScriptedFingers | None, seconds: float) -> list[dict]:
    """Episode after episode; the scores."""
    scores, end = [], time.time() + seconds
    while time.time() < end:
        game.next_episode()
        if script:
            script.begin()
        while not game.done and time.time() < end:
            if script:
                script.tic(game)
            game.tic()
        if script:
            script.hold(frozenset())
        scores.append({"score": game.score, "finished": game.done, "t": time.time()})
    return scores


def main() -> None:
    seconds, out = float(sys.argv[1]), Path(sys.argv[2]).resolve()
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    script = ScriptedFingers(seed) if sys.argv[4:] == ["script"] else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        game = WindowedDoom(seed)
        print("ready", flush=True)
        scores = play(game, script, seconds)
        game.close()
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps({"scores": scores, "keys": script.log if script else []}), encoding="utf-8")
    os.replace(partial, out)


if __name__ == "__main__":
    main()
