"""Stage extract_latents: the frames of the episode store as latents, the encoder frozen."""

from pathlib import Path

from tqdm import tqdm

from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter
from stages.learning.compute import prepare_compute
from stages.learning.threads import in_threads
from stages.models.autoencoder import encode_frames, load_autoencoder
from stages.params import read_params
from stages.run import run_stage

EPISODES = Path("data/episodes.zarr")
MODEL = Path("data/models/autoencoder")
LATENTS = Path("data/latents.zarr")


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    if not compute.is_main:
        return
    store = EpisodeStore(EPISODES)
    model = load_autoencoder(MODEL).to(compute.device)
    with StoreWriter(LATENTS, attrs={key: value for key, value in store.attrs.items() if key != "schema"}) as writer:

        def extract(episode: EpisodeInfo) -> int:
            copied = {name: store.read(episode.name, name) for name in ("actions", "t")}
            latents = encode_frames(model, store.read(episode.name, "frames"), compute)
            writer.episode(episode, {"latents": latents, **copied})
            return episode.length

        done = in_threads(extract, store.episodes())
        frames = sum(tqdm(done, total=len(store.episodes()), desc="latents", unit="episode"))
    print(f"read {frames} frames of {len(store.episodes())} episodes from {EPISODES}")
    print(f"wrote {LATENTS}: {' x '.join(map(str, model.latent_shape))} numbers a frame")


if __name__ == "__main__":
    run_stage(main)
