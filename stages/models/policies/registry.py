"""The kinds of policies by name: what `policy` in params.yaml may say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.learning.checkpoints import load_config, load_weights, save_model
from stages.models.policies.policy import Policy
from stages.models.policies.recurrent import Recurrent
from stages.params import FitParams, Params
from stages.paths import EPISODES, LATENT_STORE, LATENTS

KINDS: dict[str, type[Policy]] = {
    "recurrent": Recurrent,
}


def kind_of(name: str) -> type[Policy]:
    """The policy class of that name; ValueError lists the names."""
    if name not in KINDS:
        raise ValueError(f"policy is {name!r}; the kinds are {', '.join(KINDS)} (stages/models/policies)")
    return KINDS[name]


def section_of(params: Params) -> FitParams:
    """The validated section of the chosen kind of policy; ValueError names the key that is wrong."""
    return params.section(params.policy, kind_of(params.policy).Section)


def policy_input(params: Params) -> Path:
    """The store that the chosen kind reads; ValueError where `policy_reads` names another."""
    expected = LATENTS if "latents" in kind_of(params.policy).reads else EPISODES
    if Path(params.policy_reads) != expected:
        raise ValueError(
            f"policy is {params.policy}, which reads {expected}, but policy_reads is {params.policy_reads}: set both, "
            f"-S policy={params.policy} -S policy_reads={expected.as_posix()}"
        )
    return LATENT_STORE if expected == LATENTS else EPISODES


def made_policy(params: Params, shapes: Mapping[str, Sequence[int]]) -> Policy:
    """An untrained policy as params.yaml asks for; `shapes` {array of the store: shape of one frame's row}."""
    values = kind_of(params.policy).values(section_of(params), params)
    return kind_of(params.policy)(shapes=shapes, actions=len(params.actions), **values)


def save_policy(directory: str | Path, policy: Policy) -> None:
    """Writes weights and config; the folder appears whole or not at all."""
    name = next(name for name, kind in KINDS.items() if type(policy) is kind)
    save_model(directory, policy, {"kind": name, **policy.config})


def load_policy(directory: str | Path) -> Policy:
    """The saved policy on the CPU in eval mode; ValueError when weights and config do not fit together."""
    config = load_config(directory)
    if "kind" not in config:
        raise ValueError(f"{directory} holds a policy of an earlier version; train it again (dvc repro)")
    policy = kind_of(config.pop("kind"))(**config)
    return load_weights(policy, directory).eval()
