"""Stage probe_onsets: can a small network tell, from the frames before it, that a press is about to come?

For each action and each lead: AUC against moments without a press (far, near, matched), on val to compare by and on
test to report. Beside it the last frame alone, the state alone, and the player's own keys so far.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from stages.episodes.store import EpisodeStore, action_columns
from stages.episodes.windows import FrameBank, window_indices
from stages.evaluation.figures import style
from stages.evaluation.figures.foresight import lead_time_figure
from stages.evaluation.foresight import (
    FAR,
    MATCHED,
    NEAR,
    PRESS,
    Moments,
    Nearness,
    auc_interval,
    differing,
    moments_of,
    reaction_time_s,
)
from stages.evaluation.onsets import episode_index
from stages.evaluation.press_probe import Looking, PressProbeTask, Questions
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings, fit, scratch_folder
from stages.models.policies.cnn import Cnn
from stages.models.policies.pictures import set_background
from stages.models.reconstruction import background_of
from stages.params import Params, ProbeOnsetsParams, read_params
from stages.paths import EPISODES, REPORTS, TEST_REPORTS
from stages.run import run_stage

SPLITS = ("train", "val", "test")
WINDOW, LAST_FRAME, STATE, KEYS = "window", "last_frame", "state", "keys"
ALONE = {LAST_FRAME: "the last frame alone tells", KEYS: "the player's earlier keys alone tell"}  # without the window
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


def network_scores(
    splits: Mapping[str, Split], moments: Mapping[str, list[Moments]], window: int, params: Params, compute: Compute,
    name: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Trains on train; logits [N, A] of val and test at the frames that moments end with, NaN elsewhere."""
    own = params.probe_onsets
    shape = splits["train"].bank.shape
    model = Cnn(
        shapes={"frames": shape}, window=window, actions=len(params.actions), channels=own.channels,
        strides=[2] * len(own.channels), norm=own.norm, pooling=own.pooling, dense_sizes=(own.dense,),
        dropout=own.dropout,
    )  # fmt: skip
    set_background(model, *background_of(splits["train"].bank))
    looking = {split: Looking(each.bank, window) for split, each in splits.items()}
    asked = {split: Questions.of(moments[split]) for split in ("train", "val")}
    task = PressProbeTask(model, looking, asked, device=compute.device, seed=params.seed)
    read = {"actions", "probe_onsets", "training", "seed", "threads", "device", "precision"}
    function_of = params.model_dump(mode="json", include=read)
    scratch = scratch_folder(f"probe_{name}", function_of, [EPISODES])
    fit(task, FitSettings.from_sections(own, params.training), compute, live=None, scratch=scratch, name=name)
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
    """(split, row) for each action and each kind of moments without a press."""
    for split, logits in scores.items():
        for action, own in enumerate(moments[split]):
            for kind in (kind for kind in own.ends if kind != PRESS):
                ends = (own.ends[PRESS], own.ends[kind])
                found = auc_interval(
                    *(logits[part, action] for part in ends), tuple(splits[split].episode[part] for part in ends),
                    resamples=params.evaluate.bootstrap, seed=params.seed,
                )  # fmt: skip
                yield split, {
                    "action": params.actions[action], "lead": lead, "from": source, "against": kind,
                    "presses": len(ends[0]), "others": len(ends[1]), **found.as_metrics("auc"),
                }  # fmt: skip


def main() -> None:
    params = read_params()
    own = params.probe_onsets
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES)
    splits = {name: read_split(store, name, params.actions, params.training.frames_in_ram_gb) for name in SPLITS}
    tables: dict[str, list[dict]] = {"val": [], "test": []}
    for lead in own.leads:
        moments = {name: moments_of_split(each, lead, own, store.fps, params.seed) for name, each in splits.items()}
        found = {
            WINDOW: network_scores(splits, moments, own.frames, params, compute, f"{own.frames} frames, {lead} ahead")
        }
        if lead == min(own.leads):
            found[LAST_FRAME] = network_scores(splits, moments, 1, params, compute, f"last frame, {lead} ahead")
        histories = {name: keys_before(each, own.frames) for name, each in splits.items()}
        found[KEYS] = table_scores(splits, moments, histories, params.seed)
        if all(each.state is not None for each in splits.values()):
            states = {name: each.state for name, each in splits.items()}
            found[STATE] = table_scores(splits, moments, states, params.seed)
        for source, scores in found.items():
            for split, row in rows_of(splits, moments, scores, params, lead, source):
                tables[split].append(row)
    for split, folder in (("val", REPORTS), ("test", TEST_REPORTS)):
        write_report(folder / "probe_onsets", tables[split], params, store.fps)
    for line in in_words(tables["val"], params.actions, store.fps):
        print(line)


def write_report(out: Path, rows: list[dict], params: Params, fps: float) -> None:
    """rows.json, words.json and the curve."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (("rows", rows), ("words", in_words(rows, params.actions, fps))):
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    against = [kind for kind in (FAR, NEAR, MATCHED) if any(row["against"] == kind for row in rows)]
    if against:
        style.save(lead_time_figure(rows, params.actions, fps, against), out / "leads.png")


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
            line += f"; the picture tells it up to {reaction_s:.2f} s before: about the player's reaction time"
        lines.append(line)
    return lines


if __name__ == "__main__":
    run_stage(main)
