"""What the stages of this study hand to one another, and what several of them read."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stages.episodes.store import EpisodeStore
from stages.latent_actions.pseudo_labels import LatentActions, Video
from stages.latent_actions.transitions import Transitions, transitions_of
from stages.learning.checkpoints import load_tensors, read_json, save_tensors, write_json
from stages.learning.training import FitSettings, scratch_folder
from stages.models.acting import Acting
from stages.models.cloning import Windows
from stages.models.policies.ensemble import Ensemble
from stages.models.policies.recurrent import Recurrent
from stages.models.policies.registry import load_policy, save_policy, window_step
from stages.params import Params, read_params
from stages.paths import EPISODES, LABELS, LATENT_STORE, LATENTS

UNSHAPED = LABELS / "unshaped"  # latent actions of each split, as the model learned them from video alone
SHAPED = LABELS / "shaped"  # the same after learning on from labels, a folder a number of labels and a draw
UNLEARNED = LABELS / "unlearned"  # of each split, features that nobody learned
INVERSE = LABELS / "inverse"  # what inverse models say of each split, a folder a number of labels and a draw
CLONED = LABELS / "cloned"  # policies that have learned from the labels alone, a folder a number of labels and a draw
CHOSEN = LABELS / "chosen"  # the transitions that are labelled
LATENT_POLICY = LABELS / "latent_policy"
ACCURACY, PLAYED = LABELS / "accuracy", LABELS / "played"
SPLITS = ("train", "val", "test")


def latent_actions_in(folder: Path, split: str) -> LatentActions:
    return LatentActions.load(file_of(folder, split))


def file_of(folder: Path, split: str) -> Path:
    return folder / f"{split}.safetensors"


def shaped_folder(count: int, draw: int) -> Path:
    return SHAPED / str(count) / str(draw)


def cloned_folder(count: int, draw: int) -> Path:
    return CLONED / str(count) / str(draw)


def inverse_folder(count: int, draw: int) -> Path:
    return INVERSE / str(count) / str(draw)


def saved(folder: Path, split: str, values: np.ndarray) -> None:
    """An array of a split, for `read` to read."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(file_of(folder, split), {"values": torch.from_numpy(values)})


def read(folder: Path, split: str) -> np.ndarray:
    """What `saved` wrote."""
    return load_tensors(file_of(folder, split))["values"].numpy()


def save_cloned(folder: Path, policy: Ensemble, acting: Acting, actions: Sequence[str]) -> None:
    """The policy of each fold in a folder of its own, and acting.json."""
    for number, each in enumerate(policy.policies):
        save_policy(folder / str(number), each)
    write_json(folder / "acting.json", acting.as_json(actions))


def load_cloned(folder: Path, actions: Sequence[str]) -> tuple[Ensemble, Acting]:
    """What `save_cloned` wrote, on the CPU."""
    policies = [load_policy(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    return Ensemble(policies).eval(), Acting.from_json(read_json(folder / "acting.json"), actions)


def video_of(params: Params, split: str, folder: Path, *, unlearned: bool = False) -> Video:
    """A split with the latent actions in a folder, and with features that nobody learned where they are wanted."""
    own, further = params.labelling, read(UNLEARNED, split) if unlearned else None
    return Video(policy_windows(params, split), latent_actions_in(folder, split), own.reach, own.emphasis, further)


def study_params() -> Params:
    """params.yaml, but for the policy: all that is compared here learns from the same latents, each key by itself."""
    chosen = {"policy": "recurrent", "policy_reads": LATENTS.as_posix()}
    chosen |= {"action_head": "keys", "action_chunk": 1, "label_smoothing": 0.0}
    return read_params().model_copy(update=chosen)


def policy_windows(params: Params, split: str) -> Windows:
    """What the policy that is cloned reads of a split, one window a frame."""
    store, limit_gb = EpisodeStore(LATENT_STORE), params.training.frames_in_ram_gb
    step = window_step(params, store.fps)
    return Windows(store, split, params.actions, Recurrent.reads, params.sequence_length, limit_gb, step=step)


def transitions(params: Params, past_frames: int) -> dict[str, Transitions]:
    """The transitions of each split, with their frames."""
    own, limit_gb = params.latent_action, params.training.frames_in_ram_gb
    store, gap = EpisodeStore(EPISODES, pixels=own.pixels), own.frame_gap
    return {
        split: transitions_of(store, split, past_frames=past_frames, gap=gap, limit_gb=limit_gb) for split in SPLITS
    }


def scratch_of(params: Params, name: str, inputs: Iterable[Path]) -> Path:
    """Where a killed training of this study goes on from."""
    return scratch_folder(f"labels_{name}", params.model_dump(mode="json", exclude={"workers"}), inputs)


def chosen_file(count: int, choice: str) -> Path:
    return CHOSEN / f"{count}-{choice}.json"


def accuracy_file(count: int, choice: str, labellers: str) -> Path:
    return ACCURACY / f"{count}-{choice}-{labellers}.json"


def played_file(count: int, policy: str) -> Path:
    return PLAYED / f"{count}-{policy}.json"


def labels_of(train: Video, count: int, choice: str, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """The transitions int64 [n] of train that are labelled in a draw, and their keys bool [n, A]."""
    samples = np.array(read_json(chosen_file(count, choice))["draws"][draw])
    return samples, train.keys[samples]


def latent_policy_maker(params: Params, train: Video) -> Callable[[], Recurrent]:
    """Makes an untrained latent policy: recurrent, its outputs the codes at each moment."""
    outputs = (1 + params.labelling.ahead) * len(train.actions.codebook)
    section = params.section("recurrent", Recurrent.Section)
    return partial(
        Recurrent, shapes=train.latents.shapes, window=params.sequence_length, actions=outputs,
        step=window_step(params, train.latents.fps),
        hidden=params.labelling.policy_hidden, cell=params.cell, dropout=section.dropout,
    )  # fmt: skip


def recurrent_settings(params: Params) -> FitSettings:
    """How long a latent policy learns: as long as the policy `recurrent`."""
    return FitSettings.from_sections(params.section("recurrent", Recurrent.Section), params.training)
