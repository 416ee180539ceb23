"""What inverse models that know n labels say of the keys of all video: data/labels/inverse/<count>/<draw>."""

import sys

from stages.latent_actions.pseudo_labels import inverse_from_few, key_scores, surrounded
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings
from stages.models.latent_action import load_latent_action
from stages.params import read_params
from stages.paths import EPISODES, LATENT_ACTION_MODEL
from stages.run import run_stage
from stages.studies.labels.inputs import (
    UNSHAPED,
    chosen_file,
    inverse_folder,
    labels_of,
    saved,
    scratch_of,
    transitions,
    video_of,
)


def main(count: int) -> None:
    params = read_params()
    own = params.labelling
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    like = load_latent_action(LATENT_ACTION_MODEL).to(compute.device)
    found = {split: surrounded(each, own.reach) for split, each in transitions(params, like.past_frames).items()}
    settings, video = FitSettings.from_sections(own, params.training), video_of(params, "train", UNSHAPED)
    for draw in range(own.slow_draws):
        samples, held = labels_of(video, count, own.choice, draw)
        scratch = scratch_of(
            params, f"inverse_{count}_{draw}", [EPISODES, LATENT_ACTION_MODEL, chosen_file(count, own.choice)]
        )
        model = inverse_from_few(like, found["train"], samples, held, own.reach, settings, compute, scratch=scratch)
        for split, each in found.items():
            saved(inverse_folder(count, draw), split, key_scores(model, each, compute))


if __name__ == "__main__":
    run_stage(lambda: main(int(sys.argv[1])))
