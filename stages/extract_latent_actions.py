"""Stage extract_latent_actions: every transition's code beside its frames, as a data set that stands alone.

data/latent_actions.zarr is an episode store (zarr v3, one group an episode): `frames` uint8 [T, C, H, W],
`codes` int16 [T] ([T, N] where latent_action.tokens makes N codes a transition), `t` float64 [T] and, where the
keys were recorded, `actions` uint8 [T, A]. codes[i] is the code of the transition from frame i to frame i + frame_gap;
-1 where there is none (the first frames lack a past, the last ones a next frame). Each frame is stored once. Root
attributes beside those of every episode store: `frame_gap`, `past_frames`, `codes` (how many there are), `tokens`.
(frame, code, next frame), and the keys as actions[now] where there are any, in three lines:

    root = zarr.open_group("data/latent_actions.zarr", mode="r")
    frames, codes = (root["episode_00000"][name][:] for name in ("frames", "codes"))
    now = np.unique(np.nonzero(codes >= 0)[0]); triples = frames[now], codes[now], frames[now + root.attrs["frame_gap"]]
"""

from functools import partial

import numpy as np
from tqdm import tqdm

from stages.episodes.store import EpisodeInfo, EpisodeStore, StoreWriter
from stages.episodes.windows import transition_indices
from stages.latent_actions.transitions import BATCH
from stages.learning.compute import prepare_compute
from stages.learning.fast.threads import in_threads
from stages.models.latent_action import codes_of, load_latent_action
from stages.params import read_params
from stages.paths import EPISODES, LATENT_ACTION_MODEL, LATENT_ACTIONS
from stages.run import run_stage

NO_CODE = -1


def codes_of_frames(frames: np.ndarray, encode, *, past_frames: int, gap: int, tokens: int) -> np.ndarray:
    """The code of the transition that starts at each frame of an episode [T, C, H, W]: int16 [T, N], -1 for none."""
    codes = np.full((len(frames), tokens), NO_CODE, np.int16)
    rows = transition_indices([len(frames)], past_frames, gap)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        codes[part[:, -2]] = encode(frames[part]).reshape(len(part), tokens)
    return codes


def main() -> None:
    params = read_params()
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    if not compute.is_main:
        return
    own = params.latent_action
    store, gap = EpisodeStore(EPISODES, pixels=own.pixels), own.frame_gap
    model = load_latent_action(LATENT_ACTION_MODEL).to(compute.device)
    encode = partial(codes_of, model, compute=compute)
    copied = [name for name in ("actions", "t") if store.has(name)]
    attrs = {key: value for key, value in store.attrs.items() if key != "schema"}
    attrs |= {"frame_gap": gap, "past_frames": model.past_frames, "codes": model.codes, "tokens": model.tokens}
    with StoreWriter(LATENT_ACTIONS, attrs=attrs) as writer:

        def extract(episode: EpisodeInfo) -> int:
            frames = store.read(episode.name, "frames")
            codes = codes_of_frames(frames, encode, past_frames=model.past_frames, gap=gap, tokens=model.tokens)
            arrays = {name: store.read(episode.name, name) for name in copied}
            writer.episode(episode, {"frames": frames, "codes": codes[:, 0] if model.tokens == 1 else codes} | arrays)
            return int((codes[:, 0] != NO_CODE).sum())

        done = in_threads(extract, store.episodes())
        found = sum(tqdm(done, total=len(store.episodes()), desc="latent actions", unit="episode"))
    print(f"read {len(store.episodes())} episodes from {EPISODES}")
    print(f"wrote {LATENT_ACTIONS}: {found} transitions, each with {model.tokens} of {model.codes} codes")


if __name__ == "__main__":
    run_stage(main)
