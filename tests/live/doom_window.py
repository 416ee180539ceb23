"""A real game in a real window, in real time: Doom as a person would play it, by keys from the X server.

python -m tests.live.doom_window SECONDS OUT.json [SEED]: prints "ready" when the window is there, plays episode after
episode, and writes what the game itself knows: the score of each, and the player's keys tic by tic.
"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import vizdoom

SCENARIO = "defend_the_center"
KEYS = {"LEFT": "Key.left", "RIGHT": "Key.right", "SHOOT": "Key.ctrl", "DASH": "Key.shift"}  # the engine's own bindings
BUTTONS = ("TURN_LEFT", "TURN_RIGHT", "ATTACK", "SPEED")


def opened_game(seed: int) -> vizdoom.DoomGame:
    """640x360, steered by the keyboard, 35 tics a second."""
    game = vizdoom.DoomGame()
    game.load_config(str(Path(vizdoom.scenarios_path) / f"{SCENARIO}.cfg"))
    game.set_window_visible(True)
    game.set_mode(vizdoom.Mode.ASYNC_SPECTATOR)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_640X360)
    game.set_render_hud(False)
    game.set_available_buttons([getattr(vizdoom.Button, name) for name in BUTTONS])
    game.set_objects_info_enabled(True)
    game.set_episode_timeout(2100)
    game.set_seed(seed)
    game.init()
    return game


def main() -> None:
    seconds, out = float(sys.argv[1]), Path(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    scores, rows = [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        game = opened_game(seed)
        print("ready", flush=True)
        end = time.time() + seconds
        while time.time() < end:
            game.new_episode()
            while not game.is_episode_finished() and time.time() < end:
                game.advance_action()
                rows.append([time.time(), *map(int, game.get_last_action())])
            scores.append({"score": game.get_total_reward(), "finished": game.is_episode_finished()})
        game.close()
    out.write_text(json.dumps({"scores": scores, "keys": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
