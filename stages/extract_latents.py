"""Stage extract_latents: the frames of the episode store as latents, the encoder frozen."""

import shutil
from dataclasses import replace

from tqdm import tqdm

from stages.episodes.mirror import in_mirror, mirror_pairs, mirrored_columns
from stages.episodes.store import MIRRORED, EpisodeInfo, EpisodeStore, StoreWriter, episode_name
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
    store = EpisodeStore(EPISODES, pixels=params.autoencoder.pixels)
    model = load_autoencoder(AUTOENCODER).to(compute.device)
    shutil.rmtree(LATENTS, ignore_errors=True)
    attrs = {key: value for key, value in store.attrs.items() if key != "schema"}
    pairs = mirror_pairs(params.augment.flip, store.mirror, store.action_names)
    with StoreWriter(LATENT_STORE, attrs=attrs) as writer:

        def extract(episode: EpisodeInfo, info: EpisodeInfo) -> int:
            """Of an episode, under the name and split of `info`."""
            arrays = {name: store.read(episode.name, name) for name in ("actions", "t", "state") if store.has(name)}
            frames = store.read(episode.name, "frames")
            if info.split == MIRRORED:
                frames, arrays = in_mirror(frames, arrays, mirrored_columns(store.action_names, pairs))
            writer.episode(info, {"latents": encode_frames(model, frames, compute), **arrays})
            return episode.length

        recorded = [(episode, episode) for episode in store.episodes()]
        images = [] if not pairs else [
            (episode, replace(episode, name=episode_name(len(recorded) + i), split=MIRRORED))
            for i, episode in enumerate(store.episodes("train"))
        ]  # fmt: skip
        done = in_threads(lambda both: extract(*both), recorded + images)
        frames = sum(tqdm(done, total=len(recorded + images), desc="latents", unit="episode"))
    swapped = f", {len(images)} of them in a mirror ({pairs})" if pairs else ""
    print(f"read {frames} frames of {len(recorded + images)} episodes from {EPISODES}{swapped}")
    shutil.copytree(AUTOENCODER, ENCODER, copy_function=shutil.copyfile)
    print(f"wrote {LATENTS}: {' x '.join(map(str, model.latent_shape))} numbers a frame")


if __name__ == "__main__":
    run_stage(main)
