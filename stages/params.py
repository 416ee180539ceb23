"""params.yaml as one frozen, validated object.

This module is the only reader of params.yaml, and params.yaml the only home of values: no field
here has a default, an unknown or a missing key is an error that names it.

A name keeps its spelling: the key 1, the action ON, the session 001. `dvc exp run -S` writes the file anew and drops
the quotes that YAML 1.2 does not need (of 'ON' or '12:30'). A name that it would write otherwise has to stand in
quotes, and an error says so.
"""

import datetime
import math
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

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
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver


def _not_bool(value: object) -> object:
    """The value, if it is not True or False, which are 1 and 0 for Python."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "a number is meant")
    return value


NUMBER = BeforeValidator(_not_bool)
Count = Annotated[int, Field(gt=0), NUMBER]
Whole = Annotated[int, Field(ge=0), NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), NUMBER]
Share = Annotated[float, Field(ge=0, le=1), NUMBER]
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]  # without control codes
Channels = Annotated[tuple[Count, ...], Field(min_length=1)]

AUTO = "auto"  # the value of a param that the recordings decide
MOST_CODES = 2**15 - 1  # what int16 holds: the type of the codes in the stores

# Names of earlier versions, "*." for any section, and what replaces them.
RENAMED = {
    "head": "recurrent, the section of that policy; its focal_gamma and focal_alpha are focal.gamma, focal.alpha",
    "*.epochs": "steps: optimizer steps, whatever was recorded; an epoch of 16,000 frames in batches of 32 was 500",
    "latent_action.probe_epochs": "latent_action.probe_steps, in optimizer steps",
    "labelling.shaping_epochs": "labelling.shaping_steps, in optimizer steps",
    "collect.player": "collect.script",
    "collect.script.key_noise": "collect.script.slips_per_min: slips a minute, not a share of the frames",
    "collect.script.noise_s": "collect.script.slip_s",
    "augment.shift_px": "augment.shift: a share of the picture's longer side, not px",
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
    slips_per_min: NonNegative
    slip_s: NonNegative
    explores_per_min: NonNegative
    explore_s: NonNegative


class CollectParams(Section):
    seed: Whole
    sessions: Count
    episodes_per_session: Count
    max_episode_s: Positive
    width: Count
    height: Count
    crf: Annotated[Whole, Field(le=51)]
    script: ScriptParams


class LabelParams(Section):
    rule: Literal["interval", "state"]
    delay_ms: NonNegative
    intended: bool

    @model_validator(mode="after")
    def _meant_in_the_same_frame(self):
        if self.intended and (self.delay_ms or self.rule != "interval"):
            raise ValueError(
                f"labels.intended is true, which goes with labels.rule: interval and labels.delay_ms: 0, found "
                f"{self.rule} and {self.delay_ms:g}"
            )
        return self


class AlignParams(Section):
    on_bad_session: Literal["error", "skip"]
    on_bad_line: Literal["error", "skip"]
    fps: Positive | None
    agents: bool
    picture_fps: Positive


class SplitParams(Section):
    unit: Literal["session", "episode"]
    val: Annotated[float, Field(gt=0, lt=1)] | tuple[Name, ...]
    test: Annotated[float, Field(gt=0, lt=1)] | tuple[Name, ...]
    seed: Whole


class ConvertParams(Section):
    width: Count | Literal["auto"]
    height: Count | Literal["auto"]
    pixels: Annotated[tuple[Count, ...], Field(min_length=1)]
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
    keep_checkpoints: Whole
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
    pixels: Count
    kind: Literal["dense", "spatial"]
    channels: Channels
    change_weight: NonNegative
    change_threshold: Whole
    probe: Name


class StateParams(Section):
    columns: tuple[Name, ...]
    lagged: tuple[Name, ...]
    origin: str


class AugmentParams(Section):
    flip: Literal["recorded", "none"] | dict[Name, Name]
    shift: Share | Literal["auto"]
    brightness: Share
    contrast: Share
    color: Share
    zoom: Annotated[Share, Field(lt=1)]
    frame_jitter: bool
    cutout_px: Whole


class FocalParams(Section):
    gamma: NonNegative
    alpha: Share


class EvaluateParams(Section):
    composite: dict[Name, Positive]
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
    elsewhere: bool


class LatentActionParams(FitParams):
    pixels: Count
    past_frames: Count
    frame_gap: Count
    tokens: tuple[Count, Count]
    quantizer: Literal["vq", "fsq"]
    codes: Annotated[Count, Field(gt=1, le=MOST_CODES)]
    fsq_levels: Annotated[tuple[Annotated[Count, Field(gt=2)], ...], Field(min_length=1)]
    code_dim: Count
    cosine: bool
    gradient: Literal["rotation", "straight_through"]
    commitment: NonNegative
    ema_decay: Annotated[Share, Field(lt=1)]
    dead_code_threshold: NonNegative
    entropy_weight: NonNegative
    search_px: tuple[Whole, Whole]
    past_dropout: Share
    rollout_share: Share
    rollout_steps: Count
    channels: Channels
    cell_px: Annotated[Count, Field(le=4, multiple_of=2)]
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
    probe_actions: Annotated[tuple[Name, ...], Field(min_length=1)]
    probe_lags: Annotated[tuple[Whole, ...], Field(min_length=1)]
    probe_steps: Count
    effect: Name
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
    counts: Annotated[tuple[Annotated[Count, Field(ge=2)], ...], Field(min_length=1)]
    draws: Count
    slow_draws: Count
    reach: Whole
    emphasis: Positive
    ahead: Whole
    shaping_steps: Count
    policy_hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    choice: Literal["random", "spread"]
    played: tuple[Annotated[Count, Field(ge=2)], ...]

    @model_validator(mode="after")
    def _played_counts_are_labelled(self):
        if unknown := sorted(set(self.played) - set(self.counts)):
            raise ValueError(f"labelling.played names {unknown}, which are not among counts {list(self.counts)}")
        return self


class ProbeOnsetsParams(FitParams):
    pixels: Count
    frames: Count
    leads: Annotated[tuple[Whole, ...], Field(min_length=1)]
    far_frames: Count
    near_s: tuple[Positive, Positive]
    channels: Channels
    norm: Literal["group", "batch", "none"]
    pooling: Literal["average", "soft_argmax", "flatten"]
    dense: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


class Params(Section):
    """All of params.yaml. Sections not named here belong to a game, a kind of policy or a study: see `section`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[dict[str, Any], AfterValidator(MappingProxyType), PlainSerializer(dict)]]

    game: Name
    recordings: Name
    actions: Annotated[tuple[Name, ...], Field(min_length=1)]
    latent_dim: Count
    policy: Name
    policy_members: Count
    policy_reads: Literal["data/latents", "data/episodes.zarr"]
    cell: Literal["gru", "lstm"]
    loss: Literal["focal", "bce"]
    sequence_length: Count
    sequence_step_s: NonNegative
    rare_actions: tuple[Name, ...]
    rare_factor: Positive
    class_weights: bool
    key_change_weight: Positive
    key_change_frames: Whole
    keys_ahead_s: tuple[Positive, ...]
    action_head: Literal["keys", "combinations"]
    action_chunk: Count
    label_smoothing: Annotated[Share, Field(lt=1)]
    seed: Whole
    threads: Count
    workers: Count
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "no", "bf16", "fp16"]
    launcher: Name
    keys: dict[Name, tuple[Name, ...]]
    collect: CollectParams
    labels: LabelParams
    align: AlignParams
    split: SplitParams
    convert: ConvertParams
    explore: ExploreParams
    training: TrainingParams
    autoencoder: AutoencoderParams
    state: StateParams
    augment: AugmentParams
    focal: FocalParams
    evaluate: EvaluateParams
    play: PlayParams
    latent_action: LatentActionParams
    labelling: LabellingParams
    probe_onsets: ProbeOnsetsParams

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
    def _one_choice_is_one_loss(self):
        if self.action_head == "combinations" and self.action_chunk > 1:
            raise ValueError(f"action_head is combinations and action_chunk is {self.action_chunk}: set it to 1")
        if self.action_head == "combinations" and (self.class_weights or self.loss == "focal"):
            raise ValueError("action_head: combinations goes with loss: bce and class_weights: false")
        if self.loss == "focal" and self.label_smoothing:
            raise ValueError(f"loss: focal goes with label_smoothing: 0, found {self.label_smoothing:g}")
        return self

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
    return validated(read_tree(path), path)


def read_tree(path: Path) -> object:
    """What params.yaml holds, not yet validated; ValueError as from `read_text` and `tree_of`."""
    return tree_of(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of the file; ValueError where there is none in UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        found = error.object[error.start]
        raise ValueError(
            f"{path} is not in UTF-8 (byte 0x{found:02x} at {error.start}): save it as UTF-8 in your editor"
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; start in the project's folder") from None


def tree_of(text: str, path: Path) -> object:
    """What the file's text holds, numbers as text; ValueError names the line and what to do."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = Spelling
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}, line {mark.line + 1}" if mark else path
        problem = str(error.problem or error).partition("\n")[0]
        raise ValueError(f"{place}: not valid YAML: {problem}; {_hint(error)}") from None
    except RecursionError:
        raise ValueError(f"{path}: not valid YAML: it is nested too deeply; count its brackets") from None
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        problem = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: not valid YAML: {problem}; save it as UTF-8 text, look at its \\ and !, and put dates in quotes"
        ) from None


class Spelling(VersionedResolver):
    """A word without quotes is text: pydantic makes numbers of it where numbers are meant, and names stay as they are.

    But for what DVC cannot read, or writes in another spelling (+1, -0, 1_000, True): that is what YAML makes of it.
    """

    read_by_yaml = {
        "merge": r"<<",
        "null": r"~|null|Null|NULL|",
        "bool": r"True|TRUE|False|FALSE",
        "int": r"\+[0-9]+|-0[0-9]*|[-+]0[box][0-9a-fA-F]+|[-+]?[0-9]+_[0-9_]*",
        "float": r"\+\.inf|[-+]?\.(Inf|INF)|\.(NaN|NAN)|[-+]?(?=[0-9.]*_)[0-9][0-9_]*\.[0-9_]*",
        "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}|"
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
        r"(\.[0-9]*)?([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?",
        "value": r"=",
    }
    # None: whatever the word begins with.
    versioned_resolver = {
        None: [(f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{word})$")) for kind, word in read_by_yaml.items()]
    }


def _hint(error: MarkedYAMLError) -> str:
    if "\\t" in str(error.problem):
        return "indent with blanks, not with tabs"
    if "duplicate key" in str(error.problem):
        return "leave one of the two"
    return "a name with a sign such as , : # @ * = or ' needs quotes"


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


UNION_MEMBERS = ("constrained-float", "tuple[constrained-str, ...]")  # what pydantic calls those of split.val


def _explained(path: Path, error: ValidationError, *, section: str | None = None) -> str:
    """The errors in words; those of a section's own class carry the section's name."""
    lines = []
    for problem in error.errors():
        found = tuple(part for part in problem["loc"] if part not in UNION_MEMBERS)
        places = found if section is None else (section, *found)
        key = ".".join(str(part) for part in places)
        if problem["type"] == "missing":
            lines.append(f"{key}: this key is missing")
        elif problem["type"] == "extra_forbidden" or (len(places) == 1 and key not in Params.model_fields):
            lines.append(f"{key}: no such key (a typing mistake?)")
        elif problem["type"] == "value_error":
            lines.append(f"{problem['ctx']['error']}")
        else:
            lines.append(f"{key}: found {_short(problem['input'])}; {_wanted(problem)}")
    return _told(path, lines)


def _wanted(problem: Mapping) -> str:
    if problem["type"] == "tuple_type":
        return "expected a list, for example [a, b]"
    scalar = isinstance(problem["input"], int | float | datetime.date | None)
    return problem["msg"].lower() + ("; put it in quotes" if scalar and problem["type"] == "string_type" else "")


def _short(value: object) -> str:
    """repr of a value, cut where it is long: aliases can make it longer than any memory."""
    cut = reprlib.Repr()
    cut.maxlevel, cut.maxstring, cut.maxother, cut.maxlong = 2, 60, 60, 60
    return cut.repr(value)


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
