"""What evaluate wrote for every frame of a split (predictions.csv), read back."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """What the player did and a model's probabilities on val; `keys` names each frame: (session, episode, t)."""

    actions: tuple[str, ...]
    keys: tuple[tuple[str, str, str], ...]
    times: np.ndarray  # [N] in s
    episode: np.ndarray  # [N] number of the episode, ascending
    truth: np.ndarray  # bool [N, A]
    probabilities: np.ndarray  # [N, A]
    pressed: np.ndarray  # bool [N, A]: the keys that these become

    def part(self, frames: slice) -> "Predictions":
        """The same for some of the frames."""
        return Predictions(
            self.actions,
            self.keys[frames],
            self.times[frames],
            self.episode[frames],
            self.truth[frames],
            self.probabilities[frames],
            self.pressed[frames],
        )


def parse_predictions(words: str) -> Predictions:
    """The content of a predictions.csv (columns: session, episode, frame, t, <ACTION>_true, _p, _pressed, ...)."""
    lines = words.splitlines()
    if len(lines) < 2:
        raise ValueError("predictions.csv holds no frame")
    head = lines[0].split(",")
    actions = tuple(name.removesuffix("_true") for name in head if name.endswith("_true"))
    values = np.array([line.split(",") for line in lines[1:]])
    column = {name: values[:, i] for i, name in enumerate(head)}
    begins = (column["session"][1:] != column["session"][:-1]) | (column["episode"][1:] != column["episode"][:-1])
    return Predictions(
        actions,
        tuple(zip(column["session"], column["episode"], column["t"], strict=True)),
        column["t"].astype(np.float64),
        np.r_[0, np.cumsum(begins)],
        np.stack([column[f"{name}_true"].astype(np.float64) > 0.5 for name in actions], axis=1),
        np.stack([column[f"{name}_p"].astype(np.float64) for name in actions], axis=1),
        np.stack([column[f"{name}_pressed"].astype(np.float64) > 0.5 for name in actions], axis=1),
    )
