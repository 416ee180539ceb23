"""Latent actions of a model that has learned on from n labels too: data/labels/shaped/<count>/<draw>."""

import sys

from stages.latent_actions.learning import KnownKeys, shaped
from stages.latent_actions.pseudo_labels import latent_actions_of
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings
from stages.models.latent_action import load_latent_action
from stages.params import read_params
from stages.paths import EPISODES, LATENT_ACTION_MODEL
from stages.run import run_stage
from stages.studies.labels.inputs import (
    UNSHAPED,
    chosen_file,
    file_of,
    labels_of,
    scratch_of,
    shaped_folder,
    transitions,
    video_of,
)


def main(count: int) -> None:
    params = read_params()
    own, choice = params.latent_action, params.labelling.choice
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    model = load_latent_action(LATENT_ACTION_MODEL).to(compute.device)
    found = transitions(params, model.past_frames)
    settings = FitSettings.from_sections(dict(own) | {"steps": params.labelling.shaping_steps}, params.training)
    inputs = [EPISODES, LATENT_ACTION_MODEL, chosen_file(count, choice)]
    train = video_of(params, "train", UNSHAPED)
    for draw in range(params.labelling.slow_draws):
        samples, held = labels_of(train, count, choice, draw)
        known = KnownKeys.of_frames(found["train"], train.actions.current[samples], held, own.label_lag)
        scratch = scratch_of(params, f"shape_{count}_{draw}", inputs)
        after = shaped(model, found["train"], found["val"], known, own, settings, compute, scratch=scratch)
        for split, each in found.items():
            latent_actions_of(after, each, compute).save(file_of(shaped_folder(count, draw), split))


if __name__ == "__main__":
    run_stage(lambda: main(int(sys.argv[1])))
