"""What makes a transition's vectors one of a few codes: a learned codebook, or a fixed grid of values.

`vq`: vectors become the nearest entry of a codebook that follows them by moving averages; the gradient passes straight
through (van den Oord et al. 2017, VQ-VAE), or turned as the vector is turned on its way to the entry (Fifty et al.
2024, "Restructuring vector quantization with the rotation trick"). `fsq`: a few numbers, each rounded to one of its
levels; nothing to collapse (Mentzer et al. 2023, "Finite Scalar Quantization"). Both by vector-quantize-pytorch.

Conventions: B transitions, K tokens each, D numbers a token; codes are whole numbers from 0.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import FSQ, VectorQuantize


class Codebook(nn.Module):
    """vectors [B, K, D] -> those of their codes [B, K, D], codes int64 [B, K], a loss (a scalar).

    Until `start` it lets vectors pass as they are (`vq`): the first codes are then the k-means of many vectors, for a
    batch knows few of them. From then on a training calls `follow` once a step: the codes of a batch do not depend on
    how it is shared out. Only codes that less than `dead_code_threshold` transitions of a batch have, on average,
    start anew. `entropy_weight` rewards that a batch uses many codes. The codebook, its averages and whether it has
    started are buffers: a checkpoint holds all of it.
    """

    def __init__(
        self, *, quantizer: str, codes: int, fsq_levels: Sequence[int], dim: int, cosine: bool, gradient: str,
        commitment: float, ema_decay: float, dead_code_threshold: float, entropy_weight: float,
    ):  # fmt: skip
        super().__init__()
        self.codes = codes if quantizer == "vq" else math.prod(fsq_levels)
        self._fixed, self._cosine = quantizer == "fsq", cosine
        if self._fixed:
            self._quantizer = FSQ(list(fsq_levels), dim=dim)
        else:
            self._quantizer = VectorQuantize(
                dim, codes, use_cosine_sim=cosine, decay=ema_decay, kmeans_init=True, commitment_weight=commitment,
                threshold_ema_dead_code=dead_code_threshold, codebook_diversity_loss_weight=entropy_weight,
                rotation_trick=gradient == "rotation", freeze_codebook=True,
            )  # fmt: skip
        self.register_buffer("started", torch.tensor(self._fixed))

    def scaled(self, vectors: Tensor) -> Tensor:
        """Vectors [..., D] as they are compared: of length 1 for a codebook of directions, of spread 1 for a grid."""
        if self._fixed:
            return functional.layer_norm(vectors.float(), vectors.shape[-1:])
        return functional.normalize(vectors.float(), dim=-1) if self._cosine else vectors.float()

    @torch.no_grad()
    def start(self, vectors: Tensor) -> None:
        """Ends the warm-up: vectors [N, K, D] say what the first codes are."""
        self._quantizer.train()
        self.started.fill_(True)
        self.follow(vectors)

    @torch.no_grad()
    def follow(self, vectors: Tensor) -> None:
        """Moves the averages on by the vectors [B, K, D] of a batch, and starts dead codes anew; in training mode."""
        if self.started and not self._fixed:
            self._quantizer(vectors.float(), freeze_codebook=False)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self.started:
            nothing = torch.zeros(vectors.shape[:2], dtype=torch.int64, device=vectors.device)
            return vectors, nothing, vectors.new_zeros(())
        return self._quantise(vectors)

    def _quantise(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(vectors.device.type, enabled=False):  # which code is nearest is decided in fp32
            quantised, codes, *loss = self._quantizer(vectors.float())
        return quantised, codes.long(), loss[0].sum() if loss else vectors.new_zeros(())

    def vectors_of(self, codes: Tensor) -> Tensor:
        """The vectors [B, K, D] of codes int64 [B, K]."""
        return self._quantizer.indices_to_codes(codes) if self._fixed else self._quantizer.codebook[codes]
