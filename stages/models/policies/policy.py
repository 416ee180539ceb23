"""What every kind of policy is: windows of what it reads in, one logit an action for their last frame out."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from stages.params import FitParams, Params


class Policy(nn.Module):
    """A network that decides. A kind is a subclass in a file of its own, named in registry.py.

    `reads` are the arrays of the episode store that it is given, in this order: "latents" or "frames" first, then
    perhaps "state". `Section` validates the kind's section of params.yaml, which has the kind's name.
    `independent_samples` says that parts of a batch may be learned in threads: what comes out for a window depends on
    no other window, and random numbers come from learning/fast/dropout.py alone (`fit` looks for what breaks it).

    `config` builds the same network again: JSON, and the arguments of the constructor.
    """

    reads: ClassVar[tuple[str, ...]] = ("latents",)
    Section: ClassVar[type[FitParams]]
    independent_samples: ClassVar[bool] = False
    config: dict

    def __init__(self, *, shapes: Mapping[str, Sequence[int]], window: int, actions: int):
        """`shapes` {array: shape of one frame's row}, `window` frames it looks back on, the current one included."""
        super().__init__()
        self.shapes = {name: tuple(shapes[name]) for name in self.reads}
        self.window, self.actions = window, actions
        self.config = {"shapes": {name: list(shape) for name, shape in self.shapes.items()}, "window": window}
        self.config["actions"] = actions

    @classmethod
    def values(cls, section: FitParams, params: Params) -> dict:
        """The kind's own arguments of the constructor, `window` included, from its section and the headline knobs."""
        raise ValueError(f"the policy kind {cls.__name__} does not say what it takes from params.yaml")

    def forward(self, *inputs: Tensor) -> Tensor:
        """A tensor [B, T, *shape] for each of `reads` (frames: uint8) -> logits [B, A] of each window's last frame."""
        raise ValueError(f"the policy kind {type(self).__name__} does not decide")

    def require_fitting(self, inputs: Sequence[Tensor]) -> None:
        """ValueError where the inputs are not those that the policy was made for."""
        for name, found in zip(self.reads, inputs, strict=True):
            shape = self.shapes[name]
            if tuple(found.shape[2:]) != shape:
                raise ValueError(
                    f"the policy was made for {name} [B, T, {', '.join(map(str, shape))}], found {list(found.shape)}; "
                    f"train it again (dvc repro)"
                )
