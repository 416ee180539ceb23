"""params.yaml as one frozen, validated object.

This module is the only reader of params.yaml, and params.yaml the only home of values: no field
here has a default, an unknown or a missing key is an error that names it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

Count = Annotated[int, Field(gt=0, strict=True)]
Whole = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Channels = Annotated[tuple[Count, ...], Field(min_length=1)]
# `dvc exp run -S` writes 'no' back without its quotes, and YAML 1.1 reads that as false.
Precision = Annotated[
    Literal["auto", "no", "bf16", "fp16"], BeforeValidator(lambda value: "no" if value is False else value)
]

MOST_CODES = 2**15 - 1  # what int16 holds: the type of the codes in the stores

# Names of earlier versions, "*." for any section, and what replaces them.
RENAMED = {
    "head": "recurrent, the section of that policy; its focal_gamma and focal_alpha are focal.gamma, focal.alpha",
    "*.epochs": "steps: optimizer steps, whatever was recorded; an epoch of 16,000 frames in batches of 32 was 500",
    "latent_action.probe_epochs": "latent_action.probe_steps, in optimizer steps",
    "labelling.shaping_epochs": "labelling.shaping_steps, in optimizer steps",
    "collect.player": "collect.script",
    "collect.fights_per_session": "collect.episodes_per_session",
    "collect.max_fight_s": "collect.max_episode_s",
}


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=Section)


class ScriptParams(Section):
    reaction_s: NonNegative
    reaction_jitter_s: NonNegative
    lapses_per_min: NonNegative
    lapse_s: NonNegative
    key_noise: Share
    noise_s: NonNegative
    explores_per_min: NonNegative
    explore_s: NonNegative


class CollectParams(Section):
    seed: Whole
    sessions: Count
    episodes_per_session: Count
    max_episode_s: Positive
    width: Count
    height: Count
    crf: Annotated[int, Field(ge=0, le=51, strict=True)]
    script: ScriptParams


class LabelParams(Section):
    rule: Literal["interval", "state"]
    delay_ms: NonNegative


class AlignParams(Section):
    on_bad_line: Literal["error", "skip"]
    picture_fps: Positive


class SplitParams(Section):
    unit: Literal["session", "episode"]
    val: Annotated[float, Field(gt=0, lt=1)] | tuple[str, ...]
    test: Annotated[float, Field(gt=0, lt=1)] | tuple[str, ...]
    seed: Whole


class ConvertParams(Section):
    width: Count
    height: Count
    color: Literal["gray", "rgb"]


class ExploreParams(Section):
    min_presses: Whole
    min_share: Share
    reflex_hold_s: Positive


class TrainingParams(Section):
    clip_norm: Positive
    accumulate: Count
    weight_decay: NonNegative
    warmup_steps: Whole
    checkpoint_s: Positive
    frames_in_ram_gb: NonNegative


class FitParams(Section):
    """What every trained model's section holds for the fit loop."""

    steps: Count
    evaluate_every: Count
    patience: Count
    batch_size: Count
    learning_rate: Positive
    final_learning_rate: NonNegative


class AutoencoderParams(FitParams):
    kind: Literal["dense", "spatial"]
    channels: Channels
    change_weight: NonNegative
    change_threshold: Whole
    probe: str


class FocalParams(Section):
    gamma: NonNegative
    alpha: Share


class EvaluateParams(Section):
    composite: dict[str, Positive]
    onset_tolerance_s: NonNegative
    bootstrap: Count
    min_onsets: Whole


class PlayParams(Section):
    seed: Whole
    val_episodes: Count
    test_episodes: Count
    lanes: Count
    max_episode_s: Positive
    blind_shares: tuple[Share, ...]
    blind_periods: tuple[Count, ...]
    blind_taps: tuple[Count, ...]
    videos: Whole


class LatentActionParams(FitParams):
    past_frames: Count
    frame_gap: Count
    tokens: tuple[Count, Count]
    quantizer: Literal["vq", "fsq"]
    codes: Annotated[int, Field(gt=1, le=MOST_CODES, strict=True)]
    fsq_levels: Annotated[tuple[Annotated[int, Field(gt=2, strict=True)], ...], Field(min_length=1)]
    code_dim: Count
    cosine: bool
    gradient: Literal["rotation", "straight_through"]
    commitment: NonNegative
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    dead_code_threshold: NonNegative
    entropy_weight: NonNegative
    search_px: tuple[Whole, Whole]
    past_dropout: Share
    rollout_share: Share
    rollout_steps: Annotated[int, Field(ge=1, strict=True)]
    channels: Channels
    cell_px: Literal[2, 4]
    conditioning: Literal["film", "cross_attention"]
    prediction: Literal["moved", "residual", "frame"]
    skips: Literal["past", "none"]
    gradient_checkpointing: bool
    label_share: Share
    label_lag: Whole
    label_weight: NonNegative
    change_weight: NonNegative
    change_threshold: Whole
    quantize_after_steps: Whole
    picture_every_steps: Whole
    probe_actions: Annotated[tuple[str, ...], Field(min_length=1)]
    probe_lags: Annotated[tuple[Whole, ...], Field(min_length=1)]
    probe_steps: Count
    effect: str
    effect_threshold: Positive
    probe_effect: bool

    @model_validator(mode="after")
    def _parts_fit_together(self):
        if any(self.search_px) and self.cell_px != 4:
            raise ValueError(
                f"latent_action.search_px is {list(self.search_px)}: block matching works on cells of 4 px, "
                f"latent_action.cell_px is {self.cell_px}; set cell_px to 4 or search_px to [0, 0]"
            )
        if max(*self.probe_lags, self.label_lag) > self.past_frames * self.frame_gap:
            raise ValueError(
                f"latent_action.probe_lags {list(self.probe_lags)} or label_lag {self.label_lag} reach further back "
                f"than the {self.past_frames} past frames of a transition; raise past_frames or try smaller lags"
            )
        if math.prod(self.fsq_levels) > MOST_CODES:
            raise ValueError(
                f"latent_action.fsq_levels {list(self.fsq_levels)} are {math.prod(self.fsq_levels)} codes, "
                f"at most {MOST_CODES} can be stored; use fewer or smaller levels"
            )
        return self


class LabellingParams(FitParams):
    counts: Annotated[tuple[Annotated[int, Field(ge=2, strict=True)], ...], Field(min_length=1)]
    draws: Count
    slow_draws: Count
    reach: Whole
    emphasis: Positive
    ahead: Whole
    shaping_steps: Count
    policy_hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    choice: Literal["random", "spread"]
    played: tuple[Annotated[int, Field(ge=2, strict=True)], ...]

    @model_validator(mode="after")
    def _played_counts_are_labelled(self):
        if unknown := sorted(set(self.played) - set(self.counts)):
            raise ValueError(f"labelling.played names {unknown}, which are not among counts {list(self.counts)}")
        return self


class MinutesParams(Section):
    sessions: Annotated[tuple[Count, ...], Field(min_length=1)]
    test_sessions: Count
    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)]
    games: Count


class Params(Section):
    """All of params.yaml. Sections that are not named here belong to a kind (a game, a policy): see `section`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[dict[str, Any], AfterValidator(MappingProxyType), PlainSerializer(dict)]]

    game: str
    recordings: str
    actions: Annotated[tuple[str, ...], Field(min_length=1)]
    latent_dim: Count
    policy: str
    policy_members: Count
    policy_reads: Literal["data/latents", "data/episodes.zarr"]
    cell: Literal["gru", "lstm"]
    loss: Literal["focal", "bce"]
    sequence_length: Count
    rare_actions: tuple[str, ...]
    rare_factor: Positive
    class_weights: bool
    key_change_weight: Positive
    key_change_frames: Whole
    seed: Whole
    threads: Count
    workers: Count
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Precision
    launcher: str
    keys: dict[str, tuple[str, ...]]
    collect: CollectParams
    labels: LabelParams
    align: AlignParams
    split: SplitParams
    convert: ConvertParams
    explore: ExploreParams
    training: TrainingParams
    autoencoder: AutoencoderParams
    focal: FocalParams
    evaluate: EvaluateParams
    play: PlayParams
    latent_action: LatentActionParams
    labelling: LabellingParams
    minutes: MinutesParams

    def section(self, name: str, kind: type[Kind]) -> Kind:
        """The section of a kind, checked by the kind's own class; ValueError as from `read_params`."""
        sections: Mapping[str, Mapping] = self.__pydantic_extra__
        if name not in sections:
            raise ValueError(_told(Path("params.yaml"), [f"{name}: this key is missing"]))
        try:
            return kind.model_validate(dict(sections[name]))
        except ValidationError as error:
            raise ValueError(_explained(Path("params.yaml"), error, section=name)) from None

    @model_validator(mode="after")
    def _actions_have_keys(self):
        for action in self.actions:
            if not self.keys.get(action):
                raise ValueError(f"actions: {action!r} has no key; add keys.{action}, for example [Key.space]")
        owner: dict[str, str] = {}
        for action in self.actions:
            for key in self.keys[action]:
                if owner.setdefault(key, action) != action:
                    raise ValueError(f"keys: {key!r} belongs to both {owner[key]} and {action}; give it to one")
        if len(set(self.actions)) != len(self.actions):
            raise ValueError(f"actions: {list(self.actions)} names one twice")
        return self

    @model_validator(mode="after")
    def _named_actions_exist(self):
        named = {
            "rare_actions": self.rare_actions,
            "evaluate.composite": tuple(self.evaluate.composite),
            "latent_action.probe_actions": self.latent_action.probe_actions,
        }
        for where, actions in named.items():
            for action in actions:
                if action not in self.actions:
                    raise ValueError(f"{where} names {action!r}, which is not among actions {list(self.actions)}")
        return self


def read_params(path: str | Path = "params.yaml") -> Params:
    """The validated params; ValueError names the file, the key, what was found and what is expected."""
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    return validated(tree, path)


def validated(tree: object, path: Path) -> Params:
    """The params of a tree as read from the file `path`, which errors name."""
    if not isinstance(tree, dict):
        raise ValueError(f"{path} must hold keys and values, found {type(tree).__name__}")
    if old := _old_names(tree):
        raise ValueError(_told(path, old))
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise ValueError(_explained(path, error)) from None


def _explained(path: Path, error: ValidationError, *, section: str | None = None) -> str:
    """The errors in words; those of a section's own class carry the section's name."""
    lines = []
    for problem in error.errors():
        places = problem["loc"] if section is None else (section, *problem["loc"])
        key = ".".join(str(part) for part in places)
        if problem["type"] == "missing":
            lines.append(f"{key}: this key is missing")
        elif problem["type"] == "extra_forbidden" or (len(places) == 1 and key not in Params.model_fields):
            lines.append(f"{key}: no such key (a typing mistake?)")
        elif problem["type"] == "value_error":
            lines.append(f"{problem['ctx']['error']}")
        else:
            lines.append(f"{key}: found {problem['input']!r}; {problem['msg'].lower()}")
    return _told(path, lines)


def _old_names(tree: dict) -> list[str]:
    """What is called otherwise now, in words, for params.yaml as an earlier version had it."""
    found = []
    for old, new in RENAMED.items():
        section, _, key = old.rpartition(".")
        sections = [name for name in tree if section in (name, "*")] if section else [""]
        for name in sections:
            node = tree.get(name) if name else tree
            if isinstance(node, dict) and key in node:
                found.append(f"{name}{'.' if name else ''}{key} is now {new}")
    return found


def _told(path: Path, lines: list[str]) -> str:
    return "\n  ".join([f"{path} does not hold what the pipeline needs:", *lines])
