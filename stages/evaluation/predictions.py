"""What evaluate wrote for every frame of a split (predictions.csv), read back."""

from dataclasses import dataclass, replace

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
        return replace(self, **{name: rows[frames] for name, rows in vars(self).items() if name != "actions"})


def parse_predictions(words: str) -> Predictions:
    """The content of a predictions.csv (columns: session, episode, frame, t, <ACTION>_true, _p, _pressed, ...)."""
    head, *lines = (line.split(",") for line in words.splitlines())
    if not lines:
        raise ValueError("predictions.csv holds no frame")
    column = dict(zip(head, np.array(lines).T, strict=True))
    actions = tuple(name.removesuffix("_true") for name in head if name.endswith("_true"))

    def of_actions(kind: str) -> np.ndarray:
        return np.stack([column[f"{name}_{kind}"].astype(np.float64) for name in actions], axis=1)

    session, episode = column["session"], column["episode"]
    begins = (session[1:] != session[:-1]) | (episode[1:] != episode[:-1])
    return Predictions(
        actions,
        tuple(zip(session, episode, column["t"], strict=True)),
        column["t"].astype(np.float64),
        np.r_[0, np.cumsum(begins)],
        of_actions("true") > 0.5,
        of_actions("p"),
        of_actions("pressed") > 0.5,
    )
