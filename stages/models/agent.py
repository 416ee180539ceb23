"""The trained agent: pictures of the screen in, one logit an action out, latents kept from frame to frame.

Keeping the latents of the last frames gives exactly what the window would give, at the cost of encoding
one frame. (Keeping the hidden state instead would not: in training it starts at zero in every window.)
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from stages.episodes.preprocess import preprocess
from stages.learning.compute import Compute
from stages.models.autoencoder import Autoencoder, encode_frames, load_autoencoder
from stages.models.policy import RecurrentPolicy, load_policy


class Agent:
    """Plays up to `batch` games at a time, each in a lane of its own with its own past.

    The autoencoder becomes the agent's own: its encoder is kept in the precision that it computes in.
    """

    def __init__(
        self, autoencoder: Autoencoder, policy: RecurrentPolicy, *, sequence_length: int, compute: Compute, batch: int
    ):
        if tuple(policy.latent_shape) != tuple(autoencoder.latent_shape):
            raise ValueError(
                f"the head reads latents {list(policy.latent_shape)}, the autoencoder makes "
                f"{list(autoencoder.latent_shape)}; train the policy again (dvc repro)"
            )
        self._autoencoder = autoencoder.to(compute.device)
        self._autoencoder.keep_encoder_in(compute.dtype)
        self._policy = policy.to(compute.device)
        self._length, self._compute, self._batch = sequence_length, compute, batch
        self._past: dict[int, deque[np.ndarray]] = {}

    @classmethod
    def load(cls, autoencoder: str | Path, head: str | Path, compute: Compute, *, batch: int) -> "Agent":
        """The agent of two folders of trained files."""
        policy, config = load_policy(head)
        return cls(
            load_autoencoder(autoencoder),
            policy.eval(),
            sequence_length=config["sequence_length"],
            compute=compute,
            batch=batch,
        )

    def reset(self, lane: int) -> None:
        """Forget a lane's past: its next frame is the first of an episode."""
        self._past.pop(lane, None)

    def logits(self, images: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """{lane: uint8 BGR [H, W, 3]} -> {lane: float32 [A]}; the first frame stands in for the missing past."""
        if len(images) > self._batch:
            raise ValueError(f"{len(images)} games for an agent made for {self._batch} at a time")
        latents = self._latents(list(images.values()))
        for lane, latent in zip(images, latents, strict=False):
            past = self._past.setdefault(lane, deque([latent] * (self._length - 1), maxlen=self._length))
            past.append(latent)
        windows = np.stack([np.stack(self._past[lane]) for lane in images])
        logits = self._answered(self._padded(windows))
        return dict(zip(images, logits, strict=False))

    def _latents(self, images: list[np.ndarray]) -> np.ndarray:
        config = self._autoencoder.config
        color = "gray" if config["in_channels"] == 1 else "rgb"
        small = [preprocess(image, width=config["width"], height=config["height"], color=color) for image in images]
        return self._encoded(self._padded(np.stack(small)))

    def _encoded(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [batch, C, H, W] -> latents float32 [batch, ...]."""
        return encode_frames(self._autoencoder, frames, self._compute)

    @torch.inference_mode()
    def _answered(self, windows: np.ndarray) -> np.ndarray:
        """Latents float32 [batch, T, ...] -> logits float32 [batch, A]."""
        return self._policy(torch.from_numpy(windows).to(self._compute.device)).float().cpu().numpy()

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Always a whole batch: the last bits of a sum depend on the batch size, an agent must not."""
        missing = self._batch - len(rows)
        return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows
