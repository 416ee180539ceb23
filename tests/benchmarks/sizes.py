"""The sizes that both sides of a comparison share: the networks of the literature at the project's resolution."""

HEIGHT, WIDTH = 72, 128
CHANNELS = (32, 64, 128)
LATENT = 512
BATCH = 32  # the usual batch; the project's own default for the policy stands in params.yaml

WINDOW = 10
POLICY_LATENT = 128
HIDDEN = (128, 64)
DROPOUT = 0.3
ACTIONS = 4

STORE_WINDOW = 16
