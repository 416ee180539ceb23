"""The trained agent: pictures of the screen in, one logit an action out, and the keys that these become.

An agent is a folder that needs nothing else: `agent.json` (see `About`), `policy/`, and `encoder/` where the policy
reads latents. What a policy reads of past frames is kept from picture to picture: that gives exactly what the window
would give, at the cost of encoding one frame. (Keeping a hidden state instead would not: in training it starts at zero
in every window.)
"""

import os
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from stages.episodes.preprocess import CHANNELS, preprocess, shrunk_to
from stages.episodes.store import EpisodeStore, picture_of
from stages.learning.checkpoints import read_json, write_json
from stages.learning.compute import Compute
from stages.models.acting import Acting
from stages.models.autoencoder import Autoencoder, encode_frames, load_autoencoder
from stages.models.policies.policy import Policy
from stages.models.policies.registry import load_policy, save_policy
from stages.params import Params

SCHEMA = "understudy-agent/1"
ABOUT, POLICY, ENCODER = "agent.json", "policy", "encoder"


@dataclass(frozen=True)
class About:
    """What an agent is beside its networks.

    `keys` {action: keys of the keyboard}; `picture` {width, height, color} of what it sees; `labels` {rule, delay_ms}
    of the keys it learned from; `state_columns` names the numbers of a state, if the policy reads one.
    """

    actions: tuple[str, ...]
    keys: dict[str, tuple[str, ...]]
    fps: float
    picture: dict
    labels: dict
    state_columns: tuple[str, ...]
    learned_from: str
    acting: Acting

    @classmethod
    def of(
        cls, params: Params, store: EpisodeStore, acting: Acting, *, state_columns: Sequence[str], learned_from: str
    ) -> "About":
        """Of an agent that learned from the pictures in `store` (or their latents) as params.yaml says."""
        return cls(
            actions=params.actions,
            keys={action: params.keys[action] for action in params.actions},
            fps=store.fps,
            picture=picture_of(store),
            labels={"rule": params.labels.rule, "delay_ms": params.labels.delay_ms},
            state_columns=tuple(state_columns),
            learned_from=learned_from,
            acting=acting,
        )

    def as_json(self) -> dict:
        content = {name: value for name, value in vars(self).items() if name != "acting"}
        return {"schema": SCHEMA, **content, "acting": self.acting.as_json(self.actions)}


def write_agent(directory: str | Path, about: About, policy: Policy, encoder: str | Path | None) -> None:
    """The folder of an agent, which appears whole or not at all; `encoder` is the folder of a saved autoencoder."""
    directory = Path(directory)
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_policy(partial / POLICY, policy)
    if encoder is not None:
        shutil.copytree(encoder, partial / ENCODER, copy_function=shutil.copyfile)
    write_json(partial / ABOUT, about.as_json())
    _put(partial, directory)


def copy_agent(source: str | Path, directory: str | Path, *, rule: str) -> None:
    """The same agent in another folder, with another acting rule."""
    directory, about = Path(directory), read_about(source)
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, copy_function=shutil.copyfile)  # not the mode: DVC's files are read-only
    write_json(partial / ABOUT, replace(about, acting=about.acting.by(rule)).as_json())
    _put(partial, directory)


def _put(partial: Path, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    os.replace(partial, directory)


def read_about(directory: str | Path) -> About:
    """The agent.json of a folder; ValueError when there is none, or it is of another version."""
    path = Path(directory) / ABOUT
    if not path.is_file():
        older = any((Path(directory) / name / "config.json").is_file() for name in ("head", "autoencoder"))
        was = "; before version 0.2 an agent was data/models, which is no longer read" if older else ""
        raise ValueError(f"{directory} holds no agent (no {ABOUT}); give data/agent, which `dvc repro` writes{was}")
    content = read_json(path)
    if content.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path} is of another version of understudy, expected {SCHEMA!r}; train it anew: dvc repro")
    try:
        actions = tuple(content["actions"])
        content |= {"actions": actions, "acting": Acting.from_json(content["acting"], actions)}
        content |= {"keys": {action: tuple(keys) for action, keys in content["keys"].items()}}
        return About(**content | {"state_columns": tuple(content["state_columns"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy the agent again, or train it anew: dvc repro") from None


class Agent:
    """Plays up to `batch` games at a time, each in a lane of its own with its own past.

    The encoder becomes the agent's own: it is kept in the precision that it computes in.
    """

    def __init__(self, about: About, policy: Policy, encoder: Autoencoder | None, compute: Compute, *, batch: int):
        self.about = about
        self._compute, self._batch = compute, batch
        self._policy, self._encoder = policy.to(compute.device).eval(), encoder
        if encoder is not None:
            self._encoder = encoder.to(compute.device)
            encoder.keep_encoder_in(compute.dtype)
        self._require_parts_that_fit()
        self._past: dict[int, deque[tuple[np.ndarray, ...]]] = {}
        self._said: dict[int, deque[np.ndarray]] = {}  # of a chunk, the answers that speak of the present frame

    @classmethod
    def load(cls, directory: str | Path, compute: Compute, *, batch: int) -> "Agent":
        """The agent of a folder; ValueError when a part is missing or damaged."""
        about, policy = read_about(directory), load_policy(Path(directory) / POLICY)
        encoder = load_autoencoder(Path(directory) / ENCODER) if "latents" in policy.reads else None
        return cls(about, policy, encoder, compute, batch=batch)

    @property
    def reads_state(self) -> bool:
        """Whether it must be told what the game itself knows, beside the picture."""
        return "state" in self._policy.reads

    def reset(self, lane: int) -> None:
        """Forget a lane's past: its next frame is the first of an episode."""
        self._past.pop(lane, None)
        self._said.pop(lane, None)

    def logits(
        self, images: Mapping[int, np.ndarray], states: Mapping[int, Mapping[str, float]] | None = None
    ) -> dict[int, np.ndarray]:
        """{lane: uint8 BGR [H, W, 3]} -> {lane: float32 [A], or [K]}; the first frame stands in for the missing past.

        `states` {lane: {column: number}} of the same frames, where the agent reads them; ValueError without.
        """
        if len(images) > self._batch:
            raise ValueError(f"{len(images)} games for an agent made for {self._batch} at a time")
        earlier = (self._policy.window - 1) * self._policy.step
        for lane, row in zip(images, self._rows(images, states), strict=True):
            past = self._past.setdefault(lane, deque([row] * earlier, maxlen=earlier + 1))
            past.append(row)
        seen = {lane: list(self._past[lane])[:: self._policy.step] for lane in images}
        windows = [
            self._padded(np.stack([np.stack([row[i] for row in seen[lane][-span:]]) for lane in images]))
            for i, span in enumerate(self._policy.spans.get(name, self._policy.window) for name in self._policy.reads)
        ]
        answers = dict(zip(images, self._answered(windows), strict=False))
        return answers if self._policy.chunk == 1 else {lane: self._overlapped(lane, answers[lane]) for lane in images}

    def _overlapped(self, lane: int, answer: np.ndarray) -> np.ndarray:
        """The mean of what this answer [A * chunk] and those before it say of the present frame: float32 [A]."""
        said = self._said.setdefault(lane, deque(maxlen=self._policy.chunk))
        said.appendleft(answer.reshape(self._policy.chunk, -1))
        return np.mean([each[later] for later, each in enumerate(said)], axis=0)

    def _rows(self, images, states) -> list[tuple[np.ndarray, ...]]:
        """What the policy reads of each lane's present frame, an array for each of its `reads`."""
        seen = self._padded(np.stack([preprocess(image, **self.about.picture) for image in images.values()]))
        columns = [
            shrunk_to(seen, self._policy.shapes[name][-2:])
            if name == "frames"
            else self._encoded(shrunk_to(seen, self._encoder.background.shape[-2:]))
            for name in self._policy.reads
            if name != "state"
        ]
        if self.reads_state:
            if states is None:
                raise ValueError(f"the agent reads the state {list(self.about.state_columns)}; nothing here tells it")
            columns.append(
                np.array([[states[lane][name] for name in self.about.state_columns] for lane in images], np.float32)
            )
        return [tuple(column[i] for column in columns) for i in range(len(images))]

    def _encoded(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [batch, C, H, W] -> latents float32 [batch, ...]."""
        return encode_frames(self._encoder, frames, self._compute)

    @torch.inference_mode()
    def _answered(self, windows: list[np.ndarray]) -> np.ndarray:
        """[batch, T, ...] for each of the policy's `reads` -> logits float32 [batch, A]."""
        inputs = [torch.from_numpy(window).to(self._compute.device) for window in windows]
        return self._policy(*inputs).float().cpu().numpy()

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Always a whole batch: the last bits of a sum depend on the batch size, an agent must not."""
        missing = self._batch - len(rows)
        return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows

    def _require_parts_that_fit(self) -> None:
        about = self.about.picture
        picture = np.empty((CHANNELS[about["color"]], about["height"], about["width"]), np.uint8)
        made = {}
        if self._encoder is not None:
            shrunk_to(picture, self._encoder.background.shape[-2:])
            made["latents"] = tuple(self._encoder.latent_shape)
        if "frames" in self._policy.shapes:
            made["frames"] = shrunk_to(picture, self._policy.shapes["frames"][-2:]).shape
        for name, shape in self._policy.shapes.items():
            if name in made and made[name] != shape:
                raise ValueError(
                    f"the policy reads {name} {list(shape)}, the agent's folder makes {list(made[name])}; "
                    f"train the policy again (dvc repro)"
                )
