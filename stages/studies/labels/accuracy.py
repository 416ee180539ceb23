"""How accurate pseudo-labels from n labels are: data/labels/accuracy/<count>-<choice>-<labellers>.json.

`labellers` is "decoders", those that read latent actions or latents and take seconds, or one with a trained network:
shaped, inverse, cloning (which predicts keys from past frames alone).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from stages.latent_actions.few_labels import absent_actions, labelling_scores
from stages.latent_actions.pseudo_labels import (
    LABELLERS,
    Video,
    keys_from_codes,
    labels_by,
)
from stages.learning.checkpoints import write_json
from stages.learning.compute import Compute, prepare_compute
from stages.params import Params, read_params
from stages.run import run_stage
from stages.studies.labels.inputs import (
    ACCURACY,
    UNSHAPED,
    accuracy_file,
    cloned_folder,
    inverse_folder,
    labels_of,
    latent_actions_in,
    load_cloned,
    policy_windows,
    read,
    shaped_folder,
    video_of,
)

JUDGED = ("val", "test")
# (draw, samples [n], held [n, A]) -> the keys of the transitions of each of JUDGED, bool [N, A]
Labels = Callable[[int, np.ndarray, np.ndarray], list[np.ndarray]]


def main(count: int, choice: str, labellers: str) -> None:
    params = read_params()
    own = params.labelling
    row = Row(
        params, prepare_compute(params.device, params.precision, params.threads, params.seed), count, choice,
        *video_of_all(params, unlearned=labellers == "decoders"),
    )  # fmt: skip
    decoders = {name: partial(row.decoded, name) for name in LABELLERS}
    slow = {"shaped": row.shaped, "inverse": row.inverse, "cloning": row.cloning}
    works = decoders if labellers == "decoders" else {labellers: slow[labellers]}
    draws = range(own.draws if labellers == "decoders" else own.slow_draws)
    labels = [labels_of(row.train, count, choice, draw) for draw in draws]
    rows = [
        {"labels": count, "choice": choice, "labeller": name, **scores(params, row.judged, labels, work)}
        for name, work in works.items()
    ]
    ACCURACY.mkdir(parents=True, exist_ok=True)
    write_json(accuracy_file(count, choice, labellers), {"rows": rows})


def video_of_all(params: Params, *, unlearned: bool) -> tuple[Video, list[Video]]:
    """Train, and the splits of JUDGED."""
    train, *judged = (video_of(params, split, UNSHAPED, unlearned=unlearned) for split in ("train", *JUDGED))
    return train, judged


@dataclass(frozen=True)
class Row:
    """What the labellers of a number of labels learn from and are judged on; each is one of `Labels`."""

    params: Params
    compute: Compute
    count: int
    choice: str
    train: Video
    judged: list[Video]

    def decoded(self, name: str, draw: int, samples: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        return labels_by(name, self.train, self.judged, samples, held)

    def shaped(self, draw: int, samples: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        train, *judged = (latent_actions_in(shaped_folder(self.count, draw), split) for split in ("train", *JUDGED))
        return [keys_from_codes(train, each, samples, held) for each in judged]

    def inverse(self, draw: int, samples: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        return [read(inverse_folder(self.count, draw), split) > 0 for split in JUDGED]

    def cloning(self, draw: int, samples: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        policy, _ = load_cloned(cloned_folder(self.count, draw), self.params.actions)
        judged, device = (policy_windows(self.params, split) for split in JUDGED), self.compute.device
        logits = [windows.logits(policy.to(device), device).numpy() for windows in judged]
        # Held where that is more likely than not, as for the other labellers; thresholds for F1 hold too much for that.
        return [each[video.actions.current] > 0 for each, video in zip(logits, self.judged, strict=True)]


def scores(params: Params, judged: list[Video], labels: list, work: Labels) -> dict:
    """Scores on test, with `val_` on val, the mean over the draws; and of which actions no label is an example."""
    by_draw = [work(draw, samples, held) for draw, (samples, held) in enumerate(labels)]
    drawn = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    row = {}
    for split, video, predicted in zip(JUDGED, judged, zip(*by_draw, strict=True), strict=True):
        exact, macro_f1, f1 = labelling_scores(video.keys, predicted, video.actions.episode, **drawn)
        prefix = "" if split == "test" else f"{split}_"
        row |= exact.as_metrics(f"{prefix}exact") | macro_f1.as_metrics(f"{prefix}macro_f1")
        row[f"{prefix}f1"] = dict(zip(params.actions, f1.tolist(), strict=True))
    absent = [name for _, held in labels for name in absent_actions(held, params.actions)]
    # In how many draws no label holds the action.
    return row | {"draws": len(labels), "absent": {name: absent.count(name) for name in sorted(set(absent))}}


if __name__ == "__main__":
    run_stage(lambda: main(int(sys.argv[1]), *sys.argv[2:4]))
