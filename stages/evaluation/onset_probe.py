"""A probe of presses on recordings: which windows are asked about, what answers, and the AUC of the answers.

What answers: a small network that sees the window, or less of it, and gradient boosting on numbers of the frame that
a window ends with: the state, the player's own keys so far.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import nn

from stages.episodes.store import EpisodeStore, action_columns
from stages.episodes.windows import FrameBank, window_indices
from stages.evaluation.foresight import (
    NEAR,
    PRESS,
    Moments,
    Nearness,
    auc_interval,
    differing,
    moments_of,
    reaction_time_s,
)
from stages.evaluation.intervals import UNDEFINED
from stages.evaluation.onsets import episode_index
from stages.evaluation.press_probe import Looking, PressProbeTask, Questions
from stages.learning.compute import Compute
from stages.learning.training import FitSettings, fit, scratch_folder
from stages.models.policies.cnn import Cnn
from stages.models.policies.pictures import set_background
from stages.models.reconstruction import background_of
from stages.params import Params, ProbeOnsetsParams
from stages.paths import EPISODES

SPLITS = ("train", "val", "test")
WINDOW, LAST_FRAME, STATE, KEYS = "window", "last_frame", "state", "keys"
ALONE = {LAST_FRAME: "the last frame alone tells", KEYS: "the player's earlier keys alone tell"}  # without the window
SHUFFLED, MASKED, LATENTS, POLICY_SAYS = "shuffled", "masked", "latents", "policy"  # of the study probe
SIGNALS, NO_SIGNAL = ((0.65, "a signal"), (0.55, "a weak signal")), "no signal"  # of the AUC's lower end


@dataclass(frozen=True)
class Split:
    """What a split holds, N frames: keys bool [N, A], episode int64 [N], state float [N, S] or None, and its frames."""

    active: np.ndarray
    episode: np.ndarray
    state: np.ndarray | None
    bank: FrameBank


def read_split(store: EpisodeStore, split: str, actions: tuple[str, ...], limit_gb: float) -> Split:
    held, lengths = store.concatenated("actions", split)
    state = store.concatenated("state", split)[0] if store.has("state") else None
    active = held[:, action_columns(store, actions)].astype(bool)
    return Split(active, episode_index(lengths), state, FrameBank(store, split, "frames", limit_gb))


def moments_of_split(own: Split, lead: int, params: ProbeOnsetsParams, fps: float, seed: int) -> list[Moments]:
    """Of each action, at one lead."""
    nearness = Nearness(params.far_frames, tuple(round(s * fps) for s in params.near_s))
    return [
        moments_of(own.active[:, a], own.episode, lead, nearness, np.random.default_rng([seed, a, lead]), own.state)
        for a in range(own.active.shape[1])
    ]


def frames_network(splits: Mapping[str, Split], window: int, own: ProbeOnsetsParams, actions: int) -> nn.Module:
    """A small CNN over so many frames, which it sees relative to the background of train."""
    bank = splits["train"].bank
    model = Cnn(
        shapes={"frames": bank.shape}, window=window, actions=actions, channels=own.channels,
        strides=[2] * len(own.channels), norm=own.norm, pooling=own.pooling, dense_sizes=(own.dense,),
        dropout=own.dropout,
    )  # fmt: skip
    set_background(model, *background_of(bank))
    return model


def network_scores(
    model: nn.Module, looking: Mapping[str, Looking], splits: Mapping[str, Split],
    moments: Mapping[str, list[Moments]], params: Params, compute: Compute, name: str, recorded: Path = EPISODES,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Logits [N, A] of val and test at the frames that moments end with, NaN elsewhere.

    The model learns on train; `recorded` is the store that all splits come from.
    """
    asked = {split: Questions.of(moments[split]) for split in ("train", "val")}
    task = PressProbeTask(model, looking, asked, device=compute.device, seed=params.seed)
    read = {"actions", "probe_onsets", "training", "seed", "threads", "device", "precision"}
    function_of = params.model_dump(mode="json", include=read)
    scratch = scratch_folder(f"probe_{name}", function_of, [recorded])
    settings = FitSettings.from_sections(params.probe_onsets, params.training)
    fit(task, settings, compute, live=None, scratch=scratch, name=name)
    found = {}
    for split in ("val", "test"):
        ends = np.unique(np.concatenate([each for own in moments[split] for each in own.ends.values()]))
        found[split] = np.full(splits[split].active.shape, np.nan, np.float32)
        found[split][ends] = looking[split].logits(model, ends, compute.device)
    return found


def table_scores(
    splits: Mapping[str, Split], moments: Mapping[str, list[Moments]], features: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """Gradient boosting on features [N, D] of each split, an action at a time; scores [N, A] of val and test.

    NaN where train has no press to learn from, or no column that differs.
    """
    found = {split: np.full(splits[split].active.shape, np.nan, np.float32) for split in ("val", "test")}
    for action, own in enumerate(moments["train"]):
        ends = np.concatenate([*own.ends.values()])
        press = np.concatenate([np.full(len(each), kind == PRESS) for kind, each in own.ends.items()])
        telling = np.flatnonzero(differing(features["train"][ends]))
        if not (0 < press.sum() < len(press) and len(telling)):
            continue
        rows = features["train"][ends][:, telling]
        model = HistGradientBoostingClassifier(max_iter=60, random_state=seed).fit(rows, press)
        for split, scores in found.items():
            scores[:, action] = model.decision_function(features[split][:, telling])
    return found


def keys_before(own: Split, window: int) -> np.ndarray:
    """The player's keys in the frames of each window but its last, float [N, (window - 1) * A]."""
    rows = window_indices(np.bincount(own.episode).tolist(), window)
    return own.active[rows[:, :-1]].reshape(len(rows), -1).astype(np.float32)


def rows_of(
    splits: Mapping[str, Split], moments: Mapping[str, list[Moments]], scores: Mapping[str, np.ndarray],
    params: Params, lead: int, source: str,
) -> Iterator[tuple[str, dict]]:  # fmt: skip
    """(split, row) for each action and each kind of moments without a press; no AUC with too few of either."""
    for split, logits in scores.items():
        for action, own in enumerate(moments[split]):
            for kind in (kind for kind in own.ends if kind != PRESS):
                ends = (own.ends[PRESS], own.ends[kind])
                found = auc_interval(
                    *(logits[part, action] for part in ends), tuple(splits[split].episode[part] for part in ends),
                    resamples=params.evaluate.bootstrap, seed=params.seed,
                ) if min(map(len, ends)) >= params.evaluate.min_onsets else UNDEFINED  # fmt: skip
                yield split, {
                    "action": params.actions[action], "lead": lead, "from": source, "against": kind,
                    "presses": len(ends[0]), "others": len(ends[1]), **found.as_metrics("auc"),
                }  # fmt: skip


def in_words(rows: list[dict], actions: Sequence[str], fps: float) -> list[str]:
    """For each action: is there a signal, for how long before the press, and does less than the window tell as much?"""
    lines = []
    for action in actions:
        near = [row for row in rows if (row["action"], row["against"]) == (action, NEAR)]
        curve = sorted((row for row in near if row["from"] == WINDOW), key=lambda row: row["lead"])
        if not curve or curve[0]["auc_low"] is None:
            lines.append(f"{action}: too few presses to say")
            continue
        first = curve[0]
        signal = next((words for least, words in SIGNALS if first["auc_low"] >= least), NO_SIGNAL)
        line = (
            f"{action}: {signal} (AUC {first['auc']:.2f}, {first['auc_low']:.2f}-{first['auc_high']:.2f}, near moments)"
        )
        for source, words in ALONE.items():
            alone = next((row["auc"] for row in near if (row["from"], row["lead"]) == (source, first["lead"])), None)
            if alone is not None and alone >= first["auc_low"]:
                line += f"; {words} as much or more ({alone:.2f})"
        aucs = np.array([math.nan if row["auc"] is None else row["auc"] for row in curve])
        reaction_s = reaction_time_s(np.array([row["lead"] for row in curve]) / fps, aucs)
        if len(curve) > 2 and np.isfinite(reaction_s):  # two points are no curve
            line += f"; the picture tells it up to {reaction_s:.2f} s before: the reaction time is at most that"
        lines.append(line)
    return lines
