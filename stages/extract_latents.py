"""Stage extract_latents: the frames of the episode store as latents, the encoder frozen."""

import shutil

from tqdm import tqdm

from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter
from stages.learning.compute import prepare_compute
from stages.learning.fast.threads import in_threads
from stages.models.autoencoder import encode_frames, load_autoencoder
from stages.params import read_params
from stages.paths import AUTOENCODER, ENCODER, EPISODES, LATENT_STORE, LATENTS
from stages.run import run_stage


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    if not compute.is_main:
        return
    store = EpisodeStore(EPISODES)
    model = load_autoencoder(AUTOENCODER).to(compute.device)
    shutil.rmtree(LATENTS, ignore_errors=True)
    attrs = {key: value for key, value in store.attrs.items() if key != "schema"}
    with StoreWriter(LATENT_STORE, attrs=attrs) as writer:

        def extract(episode: EpisodeInfo) -> int:
            copied = {name: store.read(episode.name, name) for name in ("actions", "t", "state") if store.has(name)}
            latents = encode_frames(model, store.read(episode.name, "frames"), compute)
            writer.episode(episode, {"latents": latents, **copied})
            return episode.length

        done = in_threads(extract, store.episodes())
        frames = sum(tqdm(done, total=len(store.episodes()), desc="latents", unit="episode"))
    print(f"read {frames} frames of {len(store.episodes())} episodes from {EPISODES}")
    shutil.copytree(AUTOENCODER, ENCODER, copy_function=shutil.copyfile)
    print(f"wrote {LATENTS}: {' x '.join(map(str, model.latent_shape))} numbers a frame")


if __name__ == "__main__":
    run_stage(main)
