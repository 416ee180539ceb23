"""What a policy reads of the state beside the picture: columns of the episodes' state, as numbers that suit a network.

What a column is, its name says: `..._id` is a kind of thing (an embedding), `..._deg` and `..._rad` are angles (sine
and cosine), `<thing>_x_<unit>` beside `<thing>_y_<unit>` is a place, seen from the `origin` where there is one
(distance and direction); all others are numbers, scaled to those of the training. What is absent (NaN) is 0, and a
flag says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

ID_SIZE = 8  # numbers of an embedding
PER_TURN = {"_deg": 360.0, "_rad": 2 * math.pi}


@dataclass(frozen=True)
class StateDesign:
    """Which columns of the store's [T, S] are read, and what they hold in training.

    `columns` names all S. `scales` {read column: (mean, standard deviation)}; `ids` {id column: its values, ascending};
    `lagged` columns are read one frame late: the action itself changes them, they would give it away.
    """

    columns: tuple[str, ...]
    scales: Mapping[str, tuple[float, float]]
    ids: Mapping[str, tuple[float, ...]]
    lagged: tuple[str, ...]
    origin: str

    @classmethod
    def from_training(
        cls, rows: np.ndarray, columns: Sequence[str], *, read: Sequence[str], lagged: Sequence[str], origin: str
    ) -> "StateDesign":
        """From the training's state [N, S]; ValueError for a column that is missing, or there tells nothing."""
        scales, ids = {}, {}
        for name in read:
            if name not in columns:
                known = ", ".join(columns) or "none"
                raise ValueError(f"state.columns names {name!r}; the columns of the recordings are: {known}")
            found = rows[:, list(columns).index(name)]
            found = found[~np.isnan(found)]
            if not len(found) or found.min() == found.max():
                what = "is never there" if not len(found) else f"is always {found[0]:g}"
                raise ValueError(f"state.columns names {name!r}, which {what} in training: leave it out")
            if name.endswith("_id"):
                ids[name] = tuple(np.unique(found).tolist())
            else:
                scales[name] = (float(found.mean()), float(found.std()))
        if unread := [name for name in lagged if name not in read]:
            raise ValueError(f"state.lagged names {unread[0]!r}, which is not among state.columns {list(read)}")
        if origin and not set(_place(origin, scales)):
            raise ValueError(f"state.origin is {origin!r}, but state.columns has no {origin}_x_... and {origin}_y_...")
        return cls(tuple(columns), scales, ids, tuple(lagged), origin)

    @classmethod
    def from_json(cls, content: Mapping) -> "StateDesign":
        return cls(
            tuple(content["columns"]), {name: tuple(two) for name, two in content["scales"].items()},
            {name: tuple(values) for name, values in content["ids"].items()}, tuple(content["lagged"]),
            content["origin"],
        )  # fmt: skip

    def as_json(self) -> dict:
        return {
            "columns": list(self.columns), "scales": {name: list(two) for name, two in self.scales.items()},
            "ids": {name: list(values) for name, values in self.ids.items()}, "lagged": list(self.lagged),
            "origin": self.origin,
        }  # fmt: skip

    def places(self) -> list[tuple[str, str]]:
        """The pairs of columns that are a place beside the origin."""
        things = {name.partition("_x_")[0] for name in self.scales if "_x_" in name} - {self.origin}
        return [pair for thing in sorted(things) if self.origin and (pair := _place(thing, self.scales))]


def _place(thing: str, columns) -> tuple[str, str] | tuple:
    for name in columns:
        unit = name.removeprefix(f"{thing}_x_")
        if unit != name and f"{thing}_y_{unit}" in columns:
            return name, f"{thing}_y_{unit}"
    return ()


class StateReader(nn.Module):
    """State float [B, T, S] -> [B, size]: the last frame's row, what is lagged of the one before."""

    def __init__(self, design: StateDesign, window: int, size: int = 64):
        super().__init__()
        if design.lagged and window < 2:
            raise ValueError(f"state.lagged {list(design.lagged)} needs windows of 2 frames, the policy has {window}")
        self.design, self.size = design, size
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(len(values) + 1, ID_SIZE) for name, values in design.ids.items()}
        )
        for name, values in design.ids.items():
            self.register_buffer(f"values_of_{name}", torch.tensor(values), persistent=False)
        with torch.no_grad():
            found = self._numbers(torch.zeros(1, max(window, 2), len(design.columns))).shape[1]
        self.layer = nn.Linear(found, size)

    def forward(self, state: Tensor) -> Tensor:
        return torch.relu(self.layer(self._numbers(state)))

    def _numbers(self, state: Tensor) -> Tensor:
        """[B, numbers]"""
        row = {
            name: state[:, -2 if name in self.design.lagged else -1, i].float()
            for i, name in enumerate(self.design.columns)
        }
        numbers = []
        for name, (mean, deviation) in self.design.scales.items():
            absent = row[name].isnan()
            numbers.append(absent.float())
            turn = next((full for suffix, full in PER_TURN.items() if name.endswith(suffix)), None)
            if turn:
                angle = row[name].nan_to_num() * (2 * math.pi / turn)
                numbers += [angle.sin() * ~absent, angle.cos() * ~absent]
            else:
                numbers.append(((row[name] - mean) / deviation).nan_to_num())
        if places := self.design.places():
            x0, y0 = (row[name] for name in _place(self.design.origin, self.design.scales))
            far = max(self.design.scales[name][1] for place in places for name in place)
            for x, y in places:
                across, down = ((row[x] - x0) / far).nan_to_num(), ((row[y] - y0) / far).nan_to_num()
                distance = (across**2 + down**2).sqrt()
                numbers += [across, down, distance, across / (distance + 1e-3), down / (distance + 1e-3)]
        shown = [torch.stack(numbers, dim=1)] if numbers else []
        return torch.cat([*shown, *(self._embedded(name, row[name]) for name in self.design.ids)], dim=1)

    def _embedded(self, name: str, found: Tensor) -> Tensor:
        """Embeddings [B, ID_SIZE]; what training never showed, or is absent, has one of its own."""
        known = getattr(self, f"values_of_{name}")
        at = torch.searchsorted(known, found.nan_to_num()).clamp(max=len(known) - 1)
        return self.embeddings[name](torch.where(known[at] == found, at + 1, 0))
