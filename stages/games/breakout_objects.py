"""Whether predicted pictures of Breakout hold the ball, the paddle and the bricks where the game has them.

Ball and paddle are found as what is bright where the game is otherwise black; the very same search in the true next
picture says how well it finds them at all, and in a copy of the current one how far a copy is off. Positions are px of
the console's 160 x 210 picture.

Conventions: N pictures [N, C, H, W] of 0..255 at any size; state columns float [N], of the next frame.
"""

from collections.abc import Mapping

import numpy as np

from stages.games.atari import HEIGHT, WIDTH

INSIDE = (8, 152)  # columns between the walls
OPEN_ROWS = (95, 187)  # between bricks and paddle, where nothing but the ball is
PADDLE_ROWS = (189, 193)
BRICK_ROWS, BRICK_COLUMNS, BRICKS_TOP, BRICK_SIZE = 6, 18, 57, (8, 6)
BRIGHT = 0.35  # of the brightest that the true pictures show there
NEEDED = ("ball_x_px", "ball_y_px", "paddle_x_px", "bricks1_id")


def ball_x_px(pictures: np.ndarray, bright: float) -> np.ndarray:
    """Where the ball is, float64 [N]; NaN where nothing in the open part is as bright as `bright`."""
    area = _part(pictures, OPEN_ROWS, INSIDE)
    flat = area.reshape(len(area), -1)
    at = np.unravel_index(flat.argmax(axis=1), area.shape[1:])[1]
    columns = np.arange(area.shape[2])
    near = np.abs(columns[None] - at[:, None]) <= 1 + 2 * area.shape[2] // (INSIDE[1] - INSIDE[0])
    return _middle(np.where(near[:, None], area, 0.0).sum(axis=1), flat.max(axis=1) >= bright, pictures.shape[3])


def paddle_x_px(pictures: np.ndarray, bright: float) -> np.ndarray:
    """Where the paddle's middle is, float64 [N]; NaN where its rows hold nothing bright."""
    profile = _part(pictures, PADDLE_ROWS, INSIDE).mean(axis=1)
    seen = np.where(profile >= bright, profile, 0.0)
    return _middle(seen, seen.any(axis=1), pictures.shape[3])


def bricks_in(pictures: np.ndarray, bright: float) -> np.ndarray:
    """Which bricks stand, bool [N, 6, 18], the lowest row first: a brick's place is bright in its middle."""
    gray = pictures.mean(axis=1, dtype=np.float32)
    down, across = (gray.shape[axis] / size for axis, size in ((1, HEIGHT), (2, WIDTH)))
    middles_y = BRICKS_TOP + BRICK_SIZE[1] * (np.arange(BRICK_ROWS)[::-1] + 0.5)
    middles_x = INSIDE[0] + BRICK_SIZE[0] * (np.arange(BRICK_COLUMNS) + 0.5)
    rows, columns = (middles_y * down).astype(int), (middles_x * across).astype(int)
    return gray[:, rows][:, :, columns] >= bright


def true_bricks(state: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which bricks stand by the state, bool [N, 6, 18]; its columns hold a bit a brick."""
    rows = np.stack([state[f"bricks{row}_id"] for row in range(1, BRICK_ROWS + 1)], axis=1).astype(np.int64)
    return (rows[..., None] >> np.arange(BRICK_COLUMNS)) & 1 > 0


def object_metrics(pictures: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """How far ball and paddle are from their true place, how often they are missed, and the share of right bricks.

    `pictures` by name: "true" and those that are judged, each [N, C, H, W]; the names end the metrics' names. The
    ball counts where it is in the open part of the field.
    """
    ball_y = state["ball_y_px"]
    in_open = (ball_y > OPEN_ROWS[0] + 2) & (ball_y < OPEN_ROWS[1] - 2)
    true = pictures["true"]
    levels = [BRIGHT * float(_part(true, rows, INSIDE).max()) for rows in (OPEN_ROWS, PADDLE_ROWS)]
    bricks = true_bricks(state)
    wall = BRIGHT * float(np.median(_part(true, (BRICKS_TOP, BRICKS_TOP + 36), INSIDE).max(axis=(1, 2))))
    found: dict[str, float | None] = {}
    for name, judged in pictures.items():
        ball = np.abs(ball_x_px(judged, levels[0]) - state["ball_x_px"])[in_open]
        paddle = np.abs(paddle_x_px(judged, levels[1]) - state["paddle_x_px"])
        for thing, distance in (("ball", ball), ("paddle", paddle)):
            seen = np.isfinite(distance)
            found[f"lam_{thing}_off_px_{name}"] = float(distance[seen].mean()) if seen.any() else None
            found[f"lam_{thing}_missed_{name}"] = float(1 - seen.mean()) if len(seen) else None
        found[f"lam_bricks_right_{name}"] = float((bricks_in(judged, wall) == bricks).mean())
    return found


def _part(pictures: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """That part of the pictures in grey, [N, h, w]; the rows and columns of the 160 x 210 picture."""
    height, width = pictures.shape[2:]
    (top, bottom), (left, right) = (
        (round(start * size / full), max(round(start * size / full) + 1, round(stop * size / full)))
        for (start, stop), size, full in ((rows, height, HEIGHT), (columns, width, WIDTH))
    )
    return pictures[:, :, top:bottom, left:right].mean(axis=1, dtype=np.float32)


def _middle(profile: np.ndarray, seen: np.ndarray, width: int) -> np.ndarray:
    """The centre of brightness [N] along profiles [N, w] that begin at the left wall, in px of 160; NaN if not seen."""
    start, scale = round(INSIDE[0] * width / WIDTH), WIDTH / width
    total = profile.sum(axis=1)
    centre = profile @ (np.arange(profile.shape[1]) + 0.5) / np.where(total > 0, total, 1)
    return np.where(seen & (total > 0), (centre + start) * scale, np.nan)
