"""Policies cloned from n labels alone, and how they act: data/labels/cloned/<count>/<draw>."""

import sys
from functools import partial

from stages.latent_actions.few_label_policies import clone_few
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings
from stages.models.policies.registry import made_policy
from stages.paths import LATENT_STORE
from stages.run import run_stage
from stages.studies.labels.inputs import (
    UNSHAPED,
    chosen_file,
    cloned_folder,
    labels_of,
    policy_windows,
    save_cloned,
    scratch_of,
    study_params,
    video_of,
)


def main(count: int) -> None:
    params = study_params()
    choice, settings = params.labelling.choice, FitSettings.from_sections(params.labelling, params.training)
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    video, windows = video_of(params, "train", UNSHAPED), policy_windows(params, "train")
    for draw in range(params.labelling.slow_draws):
        samples, held = labels_of(video, count, choice, draw)
        scratch = scratch_of(params, f"clone_{count}_{draw}", [LATENT_STORE, chosen_file(count, choice)])
        policy, acting = clone_few(
            partial(made_policy, params, windows.shapes, windows.fps), windows, video.actions.current[samples], held,
            settings, compute, scratch=scratch,
        )  # fmt: skip
        save_cloned(cloned_folder(count, draw), policy, acting, params.actions)


if __name__ == "__main__":
    run_stage(lambda: main(int(sys.argv[1])))
