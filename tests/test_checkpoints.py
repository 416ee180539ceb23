"""Tests of stages.learning.checkpoints."""

import json

import pytest
import torch
from torch import nn

from stages.learning.checkpoints import CONFIG, WEIGHTS, load_config, load_tensors, load_weights, save_model, write_json


def conv(channels=4) -> nn.Module:
    return nn.Conv2d(3, channels, 3).to(memory_format=torch.channels_last)


def test_round_trip_keeps_values_and_memory_format(tmp_path):
    saved, loaded = conv(), conv()
    save_model(tmp_path / "model", saved, {"channels": [4], "kind": "dense"})
    strides = loaded.weight.stride()
    assert load_weights(loaded, tmp_path / "model") is loaded
    assert torch.equal(loaded.weight, saved.weight) and torch.equal(loaded.bias, saved.bias)
    assert loaded.weight.stride() == strides and not loaded.weight.is_contiguous()
    assert load_config(tmp_path / "model") == {"channels": [4], "kind": "dense"}
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [CONFIG, WEIGHTS]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = conv()
    for name in "ab":
        save_model(tmp_path / name, model, {"x": 1})
    for name in (WEIGHTS, CONFIG):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_earlier_model_is_replaced_whole(tmp_path):
    save_model(tmp_path / "model", conv(), {})
    (tmp_path / "model" / "acting.json").write_text("{}", encoding="utf-8")
    save_model(tmp_path / "model", conv(), {})
    assert not (tmp_path / "model" / "acting.json").exists()


def test_a_failed_save_leaves_the_earlier_model(tmp_path):
    save_model(tmp_path / "model", conv(), {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_model(tmp_path / "model", conv(), {"x": float("nan")})
    assert load_config(tmp_path / "model") == {"x": 1}


def test_tied_weights_and_whole_numbers(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].weight = model[0].weight
    save_model(tmp_path / "model", model, {})
    tensors = load_tensors(tmp_path / "model" / WEIGHTS)
    assert torch.equal(tensors["0.weight"], tensors["1.weight"])
    assert tensors["2.num_batches_tracked"].dtype == torch.int64


def test_weights_of_another_shape_are_all_listed(tmp_path):
    save_model(tmp_path / "model", conv(5), {})
    with pytest.raises(ValueError, match="weights of another model") as caught:
        load_weights(conv(4), tmp_path / "model")
    assert "weight: [5, 3, 3, 3] in the file, [4, 3, 3, 3] in the model" in str(caught.value)
    assert "bias: [5] in the file, [4] in the model" in str(caught.value)
    with pytest.raises(ValueError, match=r"0\.bias: not in the file\n  0\.weight: not in the file\n  bias: not in"):
        load_weights(nn.Sequential(conv(5)), tmp_path / "model")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(ValueError, match="config.json does not exist; train the model first"):
        load_config(tmp_path)
    with pytest.raises(ValueError, match="model.safetensors does not exist"):
        load_weights(conv(), tmp_path)
    save_model(tmp_path / "model", conv(), {})
    weights = tmp_path / "model" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(ValueError, match="model.safetensors is not a whole safetensors file"):
        load_weights(conv(), tmp_path / "model")
    (tmp_path / "model" / CONFIG).write_text('{"kind": ', encoding="utf-8")
    with pytest.raises(ValueError, match="config.json is not JSON"):
        load_config(tmp_path / "model")


def test_floats_survive_json_exactly(tmp_path):
    values = {"a": 0.1 + 0.2, "b": 1e-320, "c": 1 / 3}
    write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == values
