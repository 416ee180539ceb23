"""Study probe, stage ask: at one lead, what is told by the window, and by less or other than it.

At every lead: the window of frames, the same window of latents, the state of its last frame, the player's keys so far.
At the shortest lead also the last frame alone, the window with its frames in any order, the window without what the
player sees of its own hands or ship (`probe.hidden`); at lead 0 the policy. Where the latents tell less than the
frames, the autoencoder lost it; where the policy tells less than the latents, the policy did.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stages.episodes.store import EpisodeStore
from stages.episodes.windows import FrameBank
from stages.evaluation.foresight import Moments
from stages.evaluation.onset_probe import (
    KEYS,
    LAST_FRAME,
    LATENTS,
    MASKED,
    POLICY_SAYS,
    SHUFFLED,
    SPLITS,
    STATE,
    WINDOW,
    frames_network,
    keys_before,
    moments_of_split,
    network_scores,
    read_split,
    rows_of,
    table_scores,
)
from stages.evaluation.press_probe import Looking
from stages.learning.compute import Compute, prepare_compute
from stages.models.acting import sigmoid
from stages.models.agent import POLICY as NETWORK
from stages.models.cloning import windows_of
from stages.models.combinations import of_keys
from stages.models.policies.recurrent import Recurrent
from stages.models.policies.registry import load_policy, stores_read
from stages.params import Params
from stages.paths import EPISODES, LATENT_STORE, POLICY
from stages.run import run_stage
from stages.studies.probe.inputs import ANSWERS, ASKED, RECORDED, ROWS, ProbeParams, study_params

HIDDEN_SIZES, DROPOUT = (128,), 0.5  # of the recurrent layers that read latents
RECORDED_EPISODES, RECORDED_LATENTS = RECORDED / EPISODES.name, RECORDED / LATENT_STORE.relative_to("data")


def main() -> None:
    lead, (own, chosen) = int(sys.argv[1]), study_params()
    compute = prepare_compute(chosen.device, chosen.precision, chosen.threads, chosen.seed)
    store = EpisodeStore(RECORDED_EPISODES, pixels=chosen.probe_onsets.pixels)
    splits = {name: read_split(store, name, chosen.actions, chosen.training.frames_in_ram_gb) for name in SPLITS}
    network = chosen.probe_onsets
    moments = {name: moments_of_split(each, lead, network, store.fps, chosen.seed) for name, each in splits.items()}

    def told(name: str, model, looking: Mapping[str, Looking]) -> dict[str, np.ndarray]:
        return network_scores(
            model, looking, splits, moments, chosen, compute, f"{name}, {lead} ahead", RECORDED_EPISODES
        )

    found = {}
    for name, (window, view) in views(own, chosen, store, first=lead == min(own.leads)).items():
        looking = {split: Looking(each.bank, window, **view(split)) for split, each in splits.items()}
        found[name] = told(name, frames_network(splits, window, network, len(chosen.actions)), looking)
    banks = latent_banks(chosen)
    model = Recurrent(
        shapes={"latents": banks["train"].shape}, actions=len(chosen.actions), window=network.frames,
        hidden=HIDDEN_SIZES, cell=chosen.cell, dropout=DROPOUT,
    )  # fmt: skip
    found[LATENTS] = told(LATENTS, model, {name: Looking(bank, network.frames) for name, bank in banks.items()})
    histories = {name: keys_before(each, network.frames) for name, each in splits.items()}
    found[KEYS] = table_scores(splits, moments, histories, chosen.seed)
    if all(each.state is not None for each in splits.values()):
        found[STATE] = table_scores(splits, moments, {name: each.state for name, each in splits.items()}, chosen.seed)
    if lead == 0:
        found[POLICY_SAYS] = policy_scores(chosen, compute)
    rows: dict[str, list[dict]] = {"val": [], "test": []}
    for source, scores in found.items():
        for split, row in rows_of(splits, moments, scores, chosen, lead, source):
            rows[split].append(row)
    out = ASKED / f"lead{lead}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write(out / ROWS, rows)
    write(out / ANSWERS, {split: answers(found[WINDOW][split], moments[split], chosen) for split in rows})
    print(f"wrote {out}: {', '.join(found)}")


def views(own: ProbeParams, chosen: Params, store: EpisodeStore, *, first: bool) -> dict:
    """{name: (frames of a window, what of it is shown in a split)} of the networks that read frames."""
    frames, nothing = chosen.probe_onsets.frames, lambda split: {}
    found = {WINDOW: (frames, nothing)}
    if first:
        found[LAST_FRAME] = (1, nothing)
        found[SHUFFLED] = (
            frames,
            lambda split: {"shuffled": np.random.default_rng([chosen.seed, SPLITS.index(split)])},
        )
        if own.hidden is not None:
            hidden = pixels(own.hidden, *store.row_layout("frames")[0][:0:-1])
            found[MASKED] = (frames, lambda split: {"hidden": hidden})
    return found


def pixels(box: tuple[float, float, float, float], width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of a box of shares (left, top, right, bottom) of the picture; ValueError for an empty one."""
    left, top, right, bottom = box
    found = slice(round(top * height), round(bottom * height)), slice(round(left * width), round(right * width))
    if any(part.start >= part.stop for part in found):
        raise ValueError(f"probe.hidden is {list(box)}: expected left, top, right, bottom as shares, each end larger")
    return found


def latent_banks(chosen: Params) -> dict[str, FrameBank]:
    store = EpisodeStore(RECORDED_LATENTS)
    return {name: FrameBank(store, name, "latents", chosen.training.frames_in_ram_gb) for name in SPLITS}


def policy_scores(chosen: Params, compute: Compute) -> dict[str, np.ndarray]:
    """The logits [N, A] of the trained policy in each frame of val and test."""
    policy = load_policy(RECORDED / POLICY.name / NETWORK).to(compute.device)
    stores = stores_read(chosen, episodes=RECORDED_EPISODES, latents=RECORDED_LATENTS)
    said = {
        split: windows_of(policy, split, chosen, stores).logits(policy, compute.device).numpy()
        for split in ("val", "test")
    }
    return {split: of_keys(logits, policy.combinations) for split, logits in said.items()}


def answers(logits: np.ndarray, moments: list[Moments], chosen: Params) -> dict[str, dict[str, list[float]]]:
    """{action: {kind of moment: the network's probabilities of a press}}."""
    return {
        action: {kind: np.round(sigmoid(logits[ends, number]), 4).tolist() for kind, ends in each.ends.items()}
        for number, (action, each) in enumerate(zip(chosen.actions, moments, strict=True))
    }


def write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run_stage(main)
