"""What every kind of policy is: windows of what it reads in, one logit an action for their last frame out."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from stages.models.policies.state import StateDesign, StateReader
from stages.params import FitParams, Params


class Policy(nn.Module):
    """A network that decides. A kind is a subclass in a file of its own, named in registry.py.

    A kind makes numbers of a window of what it `reads` ("latents", "frames", or nothing), in `features`; what comes of
    them, and of the state beside them, is the same for all. `Section` validates the kind's section of params.yaml,
    which has the kind's name.

    `independent_samples` says that parts of a batch may be learned in threads: what comes out for a window depends on
    no other window, and random numbers come from learning/fast/dropout.py alone (`fit` looks for what breaks it).

    `spans` {array: frames}: of an array that it names only so many of a window's frames are given, the last ones.

    `ahead` (frames of the game): in training it also says which keys are held so much later. Who must foresee them
    learns from every frame what the next press depends on, and cannot do with repeating the last one. Those of a
    `chunk` of frames it also says in play, where the mean of all that was said of a frame decides (Zhao et al. 2023).

    `config` builds the same network again: JSON, and the arguments of the constructor.
    """

    reads: tuple[str, ...] = ("latents",)  # of a policy that reads the state, too, "state" is the last
    Section: ClassVar[type[FitParams]]
    independent_samples: ClassVar[bool] = False
    config: dict

    def __init__(
        self, *, shapes: Mapping[str, Sequence[int]], window: int, actions: int, step: int = 1,
        ahead: Sequence[int] = (), chunk: int = 1, combinations: Sequence[Sequence[int]] = (),
        state: Mapping | None = None,
    ):  # fmt: skip
        """`shapes` {array: shape of one frame's row}, `window` frames it looks back on, the current one included.

        Each of them is `step` frames of the game after the one before.
        `state`: a `StateDesign` as JSON, for a policy that reads the state beside the picture.
        `combinations` [K, A] of 0 and 1: it decides between these in place of each key alone; ValueError with a chunk.
        """
        super().__init__()
        self.reads = (*type(self).reads, *(["state"] if state else []))
        self.shapes = {name: tuple(shapes[name]) for name in self.reads}
        self.window, self.step, self.actions = window, step, actions
        self.ahead, self.chunk = tuple(sorted({*range(1, chunk), *ahead})), chunk
        self.combinations = [list(row) for row in combinations]
        self.choices = len(self.combinations) or actions
        if self.combinations and chunk > 1:
            raise ValueError(f"action_head is combinations and action_chunk is {chunk}: set it to 1")
        self.spans: dict[str, int] = {}
        self.config = {
            "shapes": {name: list(shape) for name, shape in self.shapes.items()}, "window": window, "step": step,
            "actions": actions, "ahead": list(self.ahead), "chunk": chunk, "combinations": self.combinations,
            **({"state": dict(state)} if state else {}),
        }  # fmt: skip

    def decides_from(self, size: int) -> None:
        """The last layer, made when all others are: of `size` features, and of the state."""
        state = self.config.get("state")
        self.state = StateReader(StateDesign.from_json(state), self.window) if state else None
        outputs = self.choices + self.actions * len(self.ahead)
        self.output = nn.Linear(size + (self.state.size if self.state else 0), outputs)

    @classmethod
    def values(cls, section: FitParams, params: Params) -> dict:
        """The kind's own arguments of the constructor, `window` included, from its section and the headline knobs."""
        raise ValueError(f"the policy kind {cls.__name__} does not say what it takes from params.yaml")

    def begin(self) -> None:
        """What a new policy does and a saved one never again: read weights that were made elsewhere, for example."""

    def features(self, *windows: Tensor) -> Tensor:
        """[B, T, *shape] of each array that the kind `reads` (frames: uint8) -> [B, size]."""
        raise ValueError(f"the policy kind {type(self).__name__} does not look")

    def forward(self, *inputs: Tensor) -> Tensor:
        """A tensor [B, T, *shape] for each of `reads` (frames: uint8) -> logits of each window's last frame.

        [B, A], one a key, or [B, K], one a combination; of a chunk [B, A * chunk]: those of the frames that follow come
        after them, and in training those of all moments in `ahead`.
        """
        self.require_fitting(inputs)
        kind = type(self).reads
        seen = [self.features(*inputs[: len(kind)])] if kind else []
        told = [self.state(inputs[-1])] if self.state else []
        logits = self.output(torch.cat([*seen, *told], dim=1))
        return logits if self.training else logits[:, : self.choices + self.actions * (self.chunk - 1)]

    def require_fitting(self, inputs: Sequence[Tensor]) -> None:
        """ValueError where the inputs are not those that the policy was made for."""
        for name, found in zip(self.reads, inputs, strict=True):
            shape = self.shapes[name]
            if tuple(found.shape[2:]) != shape:
                raise ValueError(
                    f"the policy was made for {name} [B, T, {', '.join(map(str, shape))}], found {list(found.shape)}; "
                    f"train it again (dvc repro)"
                )
