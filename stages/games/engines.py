"""What games of the gymnasium family share: their engines, and pictures that are smaller than the engine draws them.

The engines are imported when a game starts: who plays another game does not wait for them.
"""

import os
import warnings

import cv2
import numpy as np

HIDE_GREETING = "PYGAME_HIDE_SUPPORT_PROMPT"


def flappy_bird(*, sighted: bool):
    """A new FlappyBirdEnv whose observations are px; it draws only if somebody looks."""
    os.environ.setdefault(HIDE_GREETING, "1")
    try:
        from flappy_bird_gymnasium.envs.flappy_bird_env import FlappyBirdEnv
    except ModuleNotFoundError as error:
        raise _missing(error, "flappy", "pip install --no-deps -r requirements-flappy.lock") from None
    return FlappyBirdEnv(use_lidar=False, normalize_obs=False, render_mode="rgb_array" if sighted else None)


def lunar_lander(*, sighted: bool):
    """A new LunarLander whose engines can all burn at a time; it draws only if somebody looks."""
    os.environ.setdefault(HIDE_GREETING, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Box2D's types make Python warn, and as an error that ends the process
        try:
            import Box2D  # noqa: F401 - gymnasium would say less clearly that it is missing
            from gymnasium.envs.box2d.lunar_lander import LunarLander
        except ModuleNotFoundError as error:
            raise _missing(error, "lunar_lander", "pip install box2d (no wheel: it needs a C++ compiler)") from None
    return LunarLander(continuous=True, render_mode="rgb_array" if sighted else None)


def _missing(error: ModuleNotFoundError, game: str, command: str) -> ValueError:
    return ValueError(f"the game {game} needs {error.name}, which is not installed: {command}")


def check_size(title: str, width: int, height: int, full: tuple[int, int]) -> None:
    """ValueError unless `width` x `height` is the `full` size of a game's picture, half of it or a quarter."""
    sizes = [(full[0] // part, full[1] // part) for part in (1, 2, 4)]
    if (width, height) not in sizes:
        known = ", ".join(f"{w}x{h}" for w, h in sizes)
        raise ValueError(f"collect.width x collect.height is {width}x{height}; {title}'s picture is {known}")


def shrunk_bgr(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """An engine's picture, uint8 [H, W, 3] in RGB, as uint8 [height, width, 3] in BGR."""
    return cv2.resize(picture[..., ::-1], (width, height), interpolation=cv2.INTER_AREA)
