"""Where the files between the stages lie, relative to the project."""

from pathlib import Path

PARAMS = Path("params.yaml")
PRESETS = Path("stages/commands/presets")
SCRATCH = Path(".resume")  # what killed work goes on from; no out of any stage
RAW = Path("data/raw")  # recordings, a folder each
TIMELINES = Path("data/timelines")
EPISODES = Path("data/episodes.zarr")
LATENTS = Path("data/latents")  # what a policy that reads latents needs: their store, and the encoder that made them
LATENT_STORE = LATENTS / "episodes.zarr"
ENCODER = LATENTS / "encoder"
LATENT_ACTIONS = Path("data/latent_actions.zarr")
AUTOENCODER = Path("data/models/autoencoder")
POLICY = Path("data/models/policy")  # an agent that has not played yet
POLICY_NETWORK = POLICY / "policy"  # its weights and config
LATENT_ACTION_MODEL = Path("data/models/latent_action")
AGENT = Path("data/agent")  # the same with the acting rule chosen in the game: what `understudy play` takes

PRETRAINED = Path("data/pretrained/efficientnet_lite0.safetensors")  # what policies of that kind begin with; no out

MINUTES, LABELS, SUITE = (Path("data") / name for name in ("minutes", "labels", "suite"))  # of these studies

REPORTS = Path("reports")
TEST_REPORTS = REPORTS / "test"  # the same folders for test, which no experiment is compared by
METRICS, TEST_METRICS = REPORTS / "metrics.json", TEST_REPORTS / "metrics.json"
PAGE = REPORTS / "index.html"
POLICY_TRAINING = REPORTS / "policy_training"
PLAY_BASELINES = REPORTS / "play_baselines"
