"""The latent actions of all video before quantising, once for all that read them: data/labels/unshaped."""

from stages.latent_actions.pseudo_labels import latent_actions_of
from stages.learning.compute import prepare_compute
from stages.models.latent_action import load_latent_action
from stages.params import read_params
from stages.paths import LATENT_ACTION_MODEL
from stages.run import run_stage
from stages.studies.labels.inputs import UNSHAPED, file_of, transitions


def main() -> None:
    params = read_params()
    share = params.latent_action.label_share
    if share:
        raise ValueError(
            f"latent_action.label_share is {share}: the codes have seen more labels than the few of this "
            f"study; set it to 0 and repeat"
        )
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    model = load_latent_action(LATENT_ACTION_MODEL).to(compute.device)
    for split, found in transitions(params, model.past_frames).items():
        latent_actions_of(model, found, compute).save(file_of(UNSHAPED, split))
    print(f"wrote {UNSHAPED}")


if __name__ == "__main__":
    run_stage(main)
