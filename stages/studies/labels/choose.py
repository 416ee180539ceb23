"""Which transitions of the training video are labelled, for each draw: data/labels/chosen/<count>-<choice>.json."""

import sys

from stages.latent_actions.few_labels import chosen
from stages.learning.checkpoints import write_json
from stages.params import read_params
from stages.run import run_stage
from stages.studies.labels.inputs import CHOSEN, UNSHAPED, chosen_file, latent_actions_in


def main(count: int, choice: str) -> None:
    params = read_params()
    own = params.labelling
    features = latent_actions_in(UNSHAPED, "train").vectors_around(own.reach, own.emphasis)
    draws = [
        chosen(choice, features, count, seed=params.seed * 1000 + draw).tolist()
        for draw in range(max(own.draws, own.slow_draws))
    ]
    CHOSEN.mkdir(parents=True, exist_ok=True)
    write_json(chosen_file(count, choice), {"draws": draws})


if __name__ == "__main__":
    run_stage(lambda: main(int(sys.argv[1]), sys.argv[2]))
