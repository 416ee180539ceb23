"""Weights on disk: safetensors beside a JSON of the config that built the model. Nothing is unpickled."""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


def save_model(directory: str | Path, model: nn.Module, config: dict) -> None:
    """Writes model.safetensors and config.json into `directory`, which appears whole or not at all."""
    directory = Path(directory)
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_tensors(partial / WEIGHTS, model.state_dict())
    write_json(partial / CONFIG, config)
    shutil.rmtree(directory, ignore_errors=True)
    os.replace(partial, directory)


def load_config(directory: str | Path) -> dict:
    """The config.json of a saved model; ValueError when there is none or it is not JSON."""
    return read_json(Path(directory) / CONFIG)


def load_weights(model: nn.Module, directory: str | Path) -> nn.Module:
    """Copies the saved weights into `model` (in place, keeping its memory format) and returns it.

    ValueError lists every tensor that is missing, unknown or of another shape.
    """
    path = Path(directory) / WEIGHTS
    copy_tensors(model.state_dict(), load_tensors(path), path)
    return model


def copy_tensors(into: dict[str, Tensor], saved: dict[str, Tensor], path: Path) -> None:
    """Copies `saved` into tensors of the same names and shapes; `path` is named in the ValueError."""
    problems = [f"{name}: not in the file" for name in into.keys() - saved.keys()]
    problems += [f"{name}: not in the model" for name in saved.keys() - into.keys()]
    problems += [
        f"{name}: {list(saved[name].shape)} in the file, {list(into[name].shape)} in the model"
        for name in into.keys() & saved.keys()
        if saved[name].shape != into[name].shape
    ]
    if problems:
        listed = "\n  ".join(sorted(problems))
        raise ValueError(f"{path} holds weights of another model; train it again with the present params\n  {listed}")
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(saved[name])  # in place: a channels_last tensor stays channels_last


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors to a safetensors file, in logical (contiguous) order whatever their memory format."""
    # A copy each: tied weights share memory, which safetensors refuses.
    plain = torch.contiguous_format
    content = save({name: tensor.detach().cpu().clone(memory_format=plain) for name, tensor in tensors.items()})
    path.write_bytes(content)  # not save_file, which hides a full disk in an error of its own


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; ValueError when it is missing or damaged."""
    _require(path)
    try:
        return load(path.read_bytes())  # not load_file, whose mapping keeps Windows from removing the file
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); delete it and train again") from None


def write_json(path: Path, content: dict) -> None:
    """Writes JSON that reads back equal (floats by repr); ValueError for NaN and infinities."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> dict:
    """The JSON object in a file; ValueError when it is missing or broken."""
    _require(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); delete it and train again") from None


def _require(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path} does not exist; train the model first (dvc repro)")
