"""What an autoencoder learns: to give frames back."""

from functools import partial

import numpy as np
import torch

from stages.episodes.windows import FrameBank, window_indices
from stages.learning.fast.dropout import uniform
from stages.learning.fast.threads import in_threads
from stages.learning.losses import weighted_mse
from stages.models.autoencoder import Autoencoder

BACKGROUND_FRAMES = 1024  # the median is taken over so many frames of train


class ReconstructionTask:
    """Learn to give frames back; pixels that move or stand out weigh more (see `pixel_weights`)."""

    monitor = "loss"
    maximise = False

    def __init__(
        self, model: Autoencoder, train: FrameBank, val: FrameBank, *, weigh, batch: int, device, seed: int,
        mirror: bool = False,
    ):  # fmt: skip
        """`mirror`: half of the frames are learned as in a mirror, others in every pass."""
        self.model, self._train, self._val, self._mirror = model, train, val, mirror
        self._weigh, self._batch, self._device, self._seed = weigh, batch, device, seed
        self._pairs = {bank: window_indices(bank.lengths, 2) for bank in (train, val)}

    def order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(len(self._train))

    def loss(self, model, samples):
        flipped = uniform(len(samples)) < 0.5 if self._mirror else None
        return self._errors(model, self._train, samples, flipped)[0], {}

    def validate(self, model) -> dict[str, float]:
        parts = np.split(np.arange(len(self._val)), range(self._batch, len(self._val), self._batch))
        sizes = [len(part) for part in parts]
        errors = list(in_threads(partial(self._validation_errors, model), parts))
        loss, plain = np.average(errors, axis=0, weights=sizes)
        return {"loss": loss, "psnr_db": float(-10 * np.log10(max(plain, 1e-12)))}

    @torch.no_grad()
    def _validation_errors(self, model, part: np.ndarray) -> list[float]:
        return [error.item() for error in self._errors(model, self._val, part)]

    def _errors(
        self, model, bank: FrameBank, samples: np.ndarray, flipped: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted squared error in units of the frames' variance, and the plain one of frames in 0..1."""
        pairs = torch.from_numpy(bank.take(self._pairs[bank][samples]))
        if flipped is not None:
            pairs[flipped] = pairs[flipped].flip(-1)
        previous, current = pairs.to(self._device).unbind(1)
        frames = current.float() / 255
        pictures = model(frames)
        loss = weighted_mse(pictures, frames, self._weigh(current, previous, self.model.background))
        return loss / self.model.scale**2, weighted_mse(pictures.detach(), frames)


def background_of(bank: FrameBank, *, mirror: bool = False) -> tuple[torch.Tensor, float]:
    """The per-pixel median [C, H, W] of frames spread over the bank, in 0..1, and the deviation around it.

    With `mirror` of these frames and their images in one.
    """
    most = min(len(bank), BACKGROUND_FRAMES)
    frames = bank.take(np.arange(most) * len(bank) // most)
    if mirror:
        frames = np.concatenate([frames, frames[..., ::-1]])
    median = np.median(frames, axis=0).astype(np.float32)
    spread = float(np.sqrt(np.square(frames - median, dtype=np.float32).mean(dtype=np.float64)))
    return torch.from_numpy(median / 255), max(spread, 1.0) / 255  # a still video divides by a grey level, not by 0
