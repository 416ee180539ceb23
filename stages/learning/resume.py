"""What a killed training leaves behind, and how it goes on from there with the same bits.

A checkpoint is a folder `step-<n>` with state.safetensors (weights, best weights so far, Adam's
moments) and progress.json (everything else). It is renamed into place when complete and replaces
its predecessor, so a kill at any moment leaves one that is whole.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.learning.checkpoints import copy_tensors, load_tensors, read_json, save_tensors, write_json
from stages.paths import SCRATCH

STATE = "state.safetensors"
PROGRESS = "progress.json"
AVERAGE = "average"  # of a weight, among what the optimizer keeps of it


@dataclass
class Progress:
    """How far a training has come; everything in it survives JSON exactly."""

    step: int = 0
    passes: int = 0  # through all samples
    position: int = 0  # samples of the present pass that are done
    seen: int = 0  # samples since the last evaluation
    sums: dict[str, float] = field(default_factory=dict)  # of the losses since then, each times its samples
    best: float | None = None
    best_step: int = 0
    evaluations_without_gain: int = 0
    history: list[dict] = field(default_factory=list)
    scaler: dict = field(default_factory=dict)  # of fp16's gradient scaler
    seconds: float = 0.0


def scratch_folder(name: str, params: dict, inputs: Iterable[str | Path]) -> Path:
    """`.resume/<name>-<hash>`: the folder of checkpoints of exactly this training.

    The hash covers the params given, the bytes of the input files (folders are walked) and the source
    of every module of ours that is loaded, so a run that is not the same never continues another.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps(params, sort_keys=True, default=str).encode())
    for path in [*_files(inputs), *_own_sources()]:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return SCRATCH / f"{name}-{digest.hexdigest()}"


def _files(inputs: Iterable[str | Path]) -> list[Path]:
    found = []
    for path in map(Path, inputs):
        found += sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return found


def _own_sources() -> list[Path]:
    """The files of our modules that are loaded; a stage runs as __main__, its spec has its real name."""
    specs = [module.__spec__ for module in list(sys.modules.values()) if getattr(module, "__spec__", None)]
    package = __name__.split(".")[0]
    return sorted({Path(spec.origin) for spec in specs if spec.origin and spec.name.split(".")[0] == package})


def save_checkpoint(
    scratch: Path, run: dict, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer, best: dict
) -> None:
    """Writes the state after `progress.step` steps and removes older checkpoints. `run` identifies the training."""
    final = scratch / f"step-{progress.step:09d}-{len(progress.history):05d}"
    partial = scratch / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_tensors(partial / STATE, _tensors(model, optimizer) | {f"best/{name}": value for name, value in best.items()})
    write_json(partial / PROGRESS, {"run": run, "progress": asdict(progress)})
    older = _checkpoints(scratch)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)
    for path in older:
        if path != final:
            shutil.rmtree(path, ignore_errors=True)


def load_checkpoint(
    scratch: Path, run: dict, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Puts the newest checkpoint into model and optimizer; returns the progress and the best weights.

    A fresh Progress and no weights when there is none. ValueError when it belongs to another training.
    """
    checkpoints = _checkpoints(scratch)
    if not checkpoints:
        return Progress(), {}
    path = checkpoints[-1]
    content = read_json(path / PROGRESS)
    if content["run"] != run:
        before = content["run"]
        changes = ", ".join(
            f"{key} was {before.get(key)}, now {run[key]}" for key in run if run[key] != before.get(key)
        )
        raise ValueError(f"{path} is of another training: {changes}; delete {scratch} to start over")
    saved = load_tensors(path / STATE)
    best = {name.removeprefix("best/"): saved.pop(name) for name in list(saved) if name.startswith("best/")}
    _make_adam_state(optimizer, model, saved)
    copy_tensors(_tensors(model, optimizer), saved, path / STATE)
    return Progress(**content["progress"]), best


def _checkpoints(scratch: Path) -> list[Path]:
    return sorted(scratch.glob("step-*"))


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every tensor that a training changes, by name; Adam's are named after their parameter."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"adam/{key}/{name}"] = value
    return tensors


def _make_adam_state(optimizer: torch.optim.Optimizer, model: nn.Module, saved: dict[str, Tensor]) -> None:
    """Empty moments with the strides of their weights, as Adam itself makes them.

    Fused Adam walks through the memory of weight and moments side by side. Moments that come back
    contiguous for a channels_last weight would be paired with the wrong elements, without an error.
    """
    for name, parameter in model.named_parameters():
        if f"adam/step/{name}" in saved:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
            if f"adam/{AVERAGE}/{name}" in saved:
                optimizer.state[parameter][AVERAGE] = torch.zeros_like(parameter)
