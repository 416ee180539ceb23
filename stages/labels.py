"""`make labels`: from latent actions to keys with few labels, and a policy that plays by them.

No DVC stage: it reads what the last `dvc repro` left. Two questions. How well do n labelled transitions name the keys
of all others (the curve, on test sessions)? How well plays a policy that has seen all training video and n labels,
beside cloning from the same n labels and from all (test games, the same seeds for all)? Nothing is fitted to a label
but the n: epochs are chosen on validation video as the decoder names it, acting rules on that and by playing
validation seeds. What is finished stays in .resume: a second run only does what is missing.

Writes reports/labels.json, reports/labels.html and the pictures in reports/labels/.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stages.episodes.store import EpisodeStore
from stages.evaluation.few_labels import CHOICES, absent_actions, chosen, naming_of
from stages.evaluation.naming import WAYS, Namers, Video, read_video
from stages.learning.checkpoints import write_json
from stages.learning.compute import prepare_compute
from stages.learning.ledger import Ledger
from stages.learning.training import FitSettings, scratch_folder
from stages.models.latent_action import load_latent_action
from stages.models.policy import RecurrentPolicy
from stages.params import Params, read_params
from stages.run import run_stage

EPISODES, LATENTS = Path("data/episodes.zarr"), Path("data/latents.zarr")
EXTRACTED, MODEL = Path("data/latent_actions.zarr"), Path("data/models/latent_action")
AUTOENCODER = Path("data/models/autoencoder")
OUT = Path("reports/labels.json")
CHEAP = ("code", "codes", "vectors", "latents")  # ways to name keys that take seconds: told for both choices


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    scratch = scratch_folder("labels", params.model_dump(mode="json"), [LATENTS, EXTRACTED, MODEL, AUTOENCODER])
    ledger = Ledger(scratch)
    namers = read_namers(params, compute, scratch)
    found = {"curve": curve(params, namers, ledger)}
    write_json(OUT, found)
    for row in found["curve"]:
        print(f"{row['labels']:>5} {row['choice']:<7} {row['way']:<8} exact {row['exact']:.3f} macro F1 {row['macro_f1']:.3f} {row['absent']}")


def read_namers(params: Params, compute, scratch: Path) -> Namers:
    """Training and test video, and all that it takes to name its keys."""
    own, head = params.labelling, params.head
    model = load_latent_action(MODEL).to(compute.device)
    stores = [EpisodeStore(path) for path in (EPISODES, LATENTS, EXTRACTED)]
    read = partial(
        read_video, frames=stores[0], latents=stores[1], extracted=stores[2], model=model, compute=compute,
        actions=params.actions, length=params.sequence_length, gap=params.latent_action.frame_gap, reach=own.reach,
        limit_gb=params.training.frames_in_ram_gb,
    )  # fmt: skip
    train, test = read("train"), read("test")
    make = partial(
        RecurrentPolicy, latent_shape=train.windows.bank.shape, hidden=head.hidden, cell=params.cell,
        dropout=head.dropout, actions=len(params.actions),
    )  # fmt: skip
    settings = FitSettings.from_sections(own, params.training)
    return Namers(train, test, model, make, settings, compute, scratch)


def curve(params: Params, namers: Namers, ledger: Ledger) -> list[dict]:
    """A row for each number of labels, way to choose them and way to name keys."""
    own, rows = params.labelling, []
    for count in own.counts:
        for choice in CHOICES:
            for way in WAYS:
                if way in CHEAP or choice == own.choice:
                    name = f"curve-{count}-{choice}-{way}"
                    rows.append(ledger.once(name, partial(named_row, params, namers, count, choice, way)))
    return rows


def labels_of(params: Params, train: Video, choice: str, count: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """The transitions int64 [n] that are labelled in a draw, and their keys bool [n, A]."""
    features = train.features["vectors"][train.current]
    samples = chosen(choice, features, count, seed=params.seed * 1000 + draw)
    return samples, train.keys[samples]


def named_row(params: Params, namers: Namers, count: int, choice: str, way: str) -> dict:
    """How well test transitions are named, the mean over the draws of labels."""
    pressed, absent = [], []
    for draw in range(params.labelling.draws):
        samples, held = labels_of(params, namers.train, choice, count, draw)
        pressed.append(namers.pressed(way, samples, held))
        absent += absent_actions(held, params.actions)
    test = namers.test
    exact, macro_f1, f1 = naming_of(
        test.keys, pressed, test.transitions.episode, resamples=params.evaluate.bootstrap, seed=params.seed
    )
    return {
        "labels": count, "choice": choice, "way": way, **exact.as_metrics("exact"), **macro_f1.as_metrics("macro_f1"),
        "f1": dict(zip(params.actions, f1.tolist(), strict=True)), "draws": len(pressed),
        # In how many draws no label holds the action.
        "absent": {name: absent.count(name) for name in params.actions if name in absent},
    }  # fmt: skip


if __name__ == "__main__":
    run_stage(main)
