"""Presets: each gives params that the pipeline takes, and changes nothing but what it names."""

from pathlib import Path

import pytest
import torch
import yaml
from dvc.utils.hydra import apply_overrides

from stages.commands.preset import latent_action_cost, names, read_preset, with_preset
from stages.episodes.preprocess import picture_size, shrink_for, shrunk_size
from stages.models.latent_action import LatentActionDesign, LatentActionModel
from stages.params import read_params

TEXT = Path("params.yaml").read_text(encoding="utf-8")


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in ("keys", "evaluate.composite"):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("name", names())
def test_a_preset_sets_what_it_names_and_keeps_the_rest_and_its_comments(name, tmp_path):
    preset = read_preset(name)
    text = with_preset(TEXT, preset)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    read_params(tmp_path / "params.yaml")
    before, after = (dict(flat(yaml.safe_load(each))) for each in (TEXT, text))
    assert after == before | preset and (after != before or name in ("doom_center", "two_stream"))  # the defaults
    assert text.count("#") >= TEXT.count("#") - len(preset)  # lines that became one may lose theirs
    assert with_preset(text, preset) == text


@pytest.mark.parametrize("name", names())
def test_a_preset_is_set_in_the_file_that_dvc_has_written_anew_too(name, tmp_path):
    path, preset = tmp_path / "params.yaml", read_preset(name)
    path.write_text(TEXT, encoding="utf-8")
    apply_overrides(path, ["seed=2", "split.val=['a', 'b']"])  # what `dvc exp run -S` does
    written = path.read_text(encoding="utf-8")
    text = with_preset(written, preset)
    path.write_text(text, encoding="utf-8")
    read_params(path)
    before, after = (dict(flat(yaml.safe_load(each))) for each in (written, text))
    assert after == before | preset


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(("height", "width"), [(45, 61), (39, 50)])
def test_the_latent_action_model_of_every_preset_fits_odd_sizes(name, height, width, tmp_path):
    preset = read_preset(name)
    (tmp_path / "params.yaml").write_text(with_preset(TEXT, preset), encoding="utf-8")
    own = read_params(tmp_path / "params.yaml").latent_action
    design = LatentActionDesign.from_section(own, labels=0, height=height, width=width, in_channels=3)
    model = LatentActionModel(design).eval()
    frames = torch.rand(2, own.past_frames + 2, 3, height, width)
    with torch.no_grad():
        said, vectors = model(frames), model.vectors(frames)
    assert said.frame.shape == (2, 3, height, width)
    assert vectors.shape == (2, own.tokens[0] * own.tokens[1], own.code_dim)


def test_what_a_model_costs_is_counted_by_its_layers(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT, encoding="utf-8")
    weights, operations = latent_action_cost(read_params(path))
    path.write_text(with_preset(TEXT, {"latent_action.channels": [64, 128, 256]}), encoding="utf-8")
    wider_weights, wider_operations = latent_action_cost(read_params(path))
    # four times as wide: up to 16 times the weights and the work, less at the ends of the network
    assert 4 * weights < wider_weights < 16 * weights and 4 * operations < wider_operations < 16 * operations


def test_the_network_of_the_literature_makes_its_grid_of_the_console_s_picture(tmp_path):
    """Five strides make 5 x 7 cells of 160 x 210 px, a code each; the prediction has the picture's size."""
    text = TEXT
    for name in ("breakout", "literature"):
        text = with_preset(text, read_preset(name))
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    params = read_params(tmp_path / "params.yaml")
    own = params.latent_action
    size = picture_size(params.convert, (params.collect.height, params.collect.width), max(params.convert.pixels))
    size = shrunk_size(size, shrink_for(size, own.pixels))
    model = LatentActionModel(
        LatentActionDesign.from_section(own, labels=0, height=size[0], width=size[1], in_channels=1)
    ).eval()
    frames = torch.rand(1, own.past_frames + 2, 1, *size)
    with torch.no_grad():
        assert model.inverse.down(model.views(frames, own.past_frames))[-1].shape[1:] == (512, 7, 5)
        assert model(frames).frame.shape[2:] == size == (210, 160)
    assert model.tokens == 35 and model.capacity_bits == 280


def test_an_unknown_key_and_an_impossible_value_are_refused():
    with pytest.raises(ValueError, match="the preset sets latent_action.colour, which params.yaml does not have"):
        with_preset(TEXT, {"latent_action.colour": 3})
    with pytest.raises(ValueError, match="the preset sets other, which params.yaml does not have"):
        with_preset(TEXT, {"game": "toy", "toy": {"speed": 3}, "other": {"speed": 3}})
    with pytest.raises(ValueError, match="cell: found 'rnn'"):
        with_preset(TEXT, {"cell": "rnn"})
    with pytest.raises(ValueError, match="sets latent_action.cell_px, but params.yaml has no section latent_action"):
        with_preset("latent_action: 3\n", {"latent_action.cell_px": 2})
    with pytest.raises(ValueError, match="must hold keys and values"):
        with_preset("- a\n", {"cell": "gru"})
    with pytest.raises(ValueError, match="params.yaml, line 2: .*duplicate key .* leave one"):
        with_preset("seed: 1\nseed: 2\n", {"cell": "gru"})
