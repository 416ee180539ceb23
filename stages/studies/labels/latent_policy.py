"""What predicts, without a label, the unshaped codes that come: data/labels/latent_policy."""

from stages.latent_actions.few_label_policies import learn_codes
from stages.learning.compute import prepare_compute
from stages.models.policies.registry import save_policy
from stages.params import read_params
from stages.paths import LATENT_STORE
from stages.run import run_stage
from stages.studies.labels.inputs import (
    LATENT_POLICY,
    UNSHAPED,
    latent_policy_maker,
    recurrent_settings,
    scratch_of,
    video_of,
)


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    train, val = (video_of(params, split, UNSHAPED) for split in ("train", "val"))
    scratch = scratch_of(params, "latent_policy", [LATENT_STORE, UNSHAPED])
    policy = learn_codes(
        latent_policy_maker(params, train), train, val, params.labelling.ahead, recurrent_settings(params), compute,
        scratch=scratch,
    )  # fmt: skip
    save_policy(LATENT_POLICY, policy)


if __name__ == "__main__":
    run_stage(main)
