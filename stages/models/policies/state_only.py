"""The policy `state_only`: what the game itself knows, no picture: how much of a policy is the state alone?"""

from stages.models.policies.policy import Policy
from stages.params import Count, FitParams, Params


class StateOnlyParams(FitParams):
    frames: Count


class StateOnly(Policy):
    """State [B, T, S] -> logits [B, A]."""

    reads = ()
    Section = StateOnlyParams
    independent_samples = True

    def __init__(self, **common):
        super().__init__(**common)
        if not self.config.get("state"):
            raise ValueError("the policy state_only reads no picture: name what it reads in state.columns")
        self.decides_from(0)

    @classmethod
    def values(cls, section: StateOnlyParams, params: Params) -> dict:
        return {"window": section.frames}
