"""The kinds of policies by name: what `policy` in params.yaml may say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.episodes.store import EpisodeStore
from stages.learning.checkpoints import load_config, load_weights, save_model
from stages.models.policies.cnn import Cnn
from stages.models.policies.ensemble import Ensemble
from stages.models.policies.policy import Policy
from stages.models.policies.pretrained import Pretrained
from stages.models.policies.recurrent import Recurrent
from stages.models.policies.resnet import Resnet
from stages.models.policies.state import StateDesign
from stages.models.policies.state_only import StateOnly
from stages.models.policies.temporal_cnn import TemporalCnn
from stages.models.policies.two_stream import TwoStream
from stages.models.policies.vit import Vit
from stages.params import FitParams, Params
from stages.paths import EPISODES, LATENT_STORE, LATENTS

KINDS: dict[str, type[Policy]] = {
    "two_stream": TwoStream,
    "recurrent": Recurrent,
    "cnn": Cnn,
    "temporal_cnn": TemporalCnn,
    "resnet": Resnet,
    "vit": Vit,
    "pretrained": Pretrained,
    "state_only": StateOnly,
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


def stores_read(
    params: Params, *, episodes: Path = EPISODES, latents: Path = LATENT_STORE
) -> tuple[EpisodeStore, EpisodeStore]:
    """The store that the chosen kind reads, and the one with its frames; they are the same where it reads no latents.

    ValueError as `policy_input`.
    """
    pictures = EpisodeStore(episodes, pixels=getattr(section_of(params), "pixels", None))
    return (pictures if policy_input(params) == EPISODES else EpisodeStore(latents)), pictures


def arrays_read(params: Params) -> tuple[str, ...]:
    """The arrays of the store that the chosen policy is given: what its kind reads, and the state if asked for."""
    return (*kind_of(params.policy).reads, *(["state"] if params.state.columns else []))


def made_policy(
    params: Params, shapes: Mapping[str, Sequence[int]], fps: float, state: StateDesign | None = None,
    combinations: Sequence[Sequence[int]] = (),
) -> Ensemble:  # fmt: skip
    """Untrained policies as params.yaml asks for.

    `shapes` {array of the store: shape of one frame's row}; `fps` of the episodes; `state`: what the training's state
    holds, where it is read; `combinations` of keys [K, A], where it decides between those. ValueError where weights
    that they begin with are missing.
    """
    kind, values = kind_of(params.policy), kind_of(params.policy).values(section_of(params), params)
    common = {"shapes": shapes, "actions": len(params.actions), "step": window_step(params, fps)}
    common |= {"ahead": frames_ahead(params, fps), "chunk": params.action_chunk, "combinations": combinations}
    common |= {"state": state and state.as_json()}
    members = [kind(**common, **values) for _ in range(params.policy_members)]
    for member in members:
        member.begin()
    return Ensemble(members)


def window_step(params: Params, fps: float) -> int:
    """How many frames of the game lie from one frame of a window to the next."""
    return max(round(params.sequence_step_s * fps), 1)


def frames_ahead(params: Params, fps: float) -> tuple[int, ...]:
    """The moments to come whose keys are learned, too, in frames of the game."""
    return tuple(sorted({max(round(seconds * fps), 1) for seconds in params.keys_ahead_s}))


def save_policy(directory: str | Path, policy: Ensemble | Policy) -> None:
    """Writes weights and config, of one policy as of several; the folder appears whole or not at all."""
    ensemble = policy if isinstance(policy, Ensemble) else Ensemble([policy])
    first = ensemble.policies[0]
    name = next(name for name, kind in KINDS.items() if type(first) is kind)
    save_model(directory, ensemble, {"kind": name, "members": len(ensemble.policies), **first.config})


def load_policy(directory: str | Path) -> Ensemble:
    """The saved policies on the CPU in eval mode; ValueError when weights and config do not fit together."""
    config = load_config(directory)
    if not {"kind", "members"} <= config.keys():
        raise ValueError(f"{directory} holds a policy of an earlier version; train it again (dvc repro)")
    kind, members = kind_of(config.pop("kind")), config.pop("members")
    return load_weights(Ensemble([kind(**config) for _ in range(members)]), directory).eval()
