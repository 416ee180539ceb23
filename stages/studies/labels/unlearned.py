"""Features that nobody learned, of each split, as a control: data/labels/unlearned."""

from stages.latent_actions.pseudo_labels import unlearned_of
from stages.params import read_params
from stages.run import run_stage
from stages.studies.labels.inputs import UNLEARNED, saved, transitions


def main() -> None:
    params = read_params()
    found = transitions(params, params.latent_action.past_frames)
    for split, features in unlearned_of(found, seed=params.seed).items():
        saved(UNLEARNED, split, features)
    print(f"wrote {UNLEARNED}")


if __name__ == "__main__":
    run_stage(main)
