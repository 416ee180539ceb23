import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.models.autoencoder import (
    Autoencoder,
    encode_frames,
    load_autoencoder,
    reconstruct_frames,
)


def small(kind="dense", height=20, width=34, in_channels=1, channels=(4, 6), latent_dim=5):
    torch.manual_seed(0)
    return Autoencoder(
        kind=kind, channels=channels, latent_dim=latent_dim, height=height, width=width, in_channels=in_channels
    )


def awake(model):
    """With a last layer that is no longer zero."""
    torch.nn.init.normal_(model.up[-1].weight, std=0.1)
    return model.eval()


@pytest.mark.parametrize("kind", ["dense", "spatial"])
@pytest.mark.parametrize(("height", "width", "in_channels"), [(72, 128, 1), (160, 210, 3), (75, 51, 1), (1, 1, 1)])
def test_any_size_goes_in_and_the_same_comes_out(kind, height, width, in_channels):
    model = small(kind, height, width, in_channels, channels=(4, 6, 8))
    frames = torch.rand(2, in_channels, height, width)
    latents = model.encode(frames)
    assert latents.shape == (2, *model.latent_shape)
    assert model.latent_shape == ((5,) if kind == "dense" else (8, -(-height // 8), -(-width // 8)))
    assert model.decode(latents).shape == model(frames).shape == frames.shape


def test_training_starts_at_the_background():
    model = small()
    background = torch.rand(1, 20, 34)
    model.set_background(background, 0.1)
    assert torch.equal(model(torch.rand(3, 1, 20, 34)), background.expand(3, -1, -1, -1))


def test_the_background_itself_is_nothing_to_the_network():
    model = awake(small())
    before = model.encode(torch.zeros(1, 1, 20, 34))
    model.set_background(torch.full((1, 20, 34), 0.4), 0.5)
    assert torch.allclose(model.encode(torch.full((1, 1, 20, 34), 0.4)), before)


def test_every_weight_learns():
    model = awake(small()).train()
    model(torch.rand(4, 1, 20, 34)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_decoder_is_nearest_upsampling_and_a_3x3_convolution():
    kernel = torch.randn(3, 2, 3, 3)  # of a convolution from 2 to 3 channels
    summed = torch.zeros(2, 3, 4, 4)  # of the transposed one: output pixel 2i + a sees the inputs that upsampling gives
    for tap in range(3):
        for other in range(3):
            for row in (0, 1):
                for column in (0, 1):
                    summed[:, :, 2 - tap + row, 2 - other + column] += kernel[:, :, tap, other].T
    picture = torch.randn(1, 2, 5, 7)
    expected = functional.conv2d(functional.interpolate(picture, scale_factor=2), kernel, padding=1)
    ours = functional.conv_transpose2d(picture, summed, stride=2, padding=1)
    assert torch.allclose(ours, expected, atol=1e-5)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    model = awake(small("spatial"))
    model.set_background(torch.rand(1, 20, 34), 0.2)
    save_model(tmp_path / "autoencoder", model, model.config)
    loaded = load_autoencoder(tmp_path / "autoencoder")
    frames = torch.rand(2, 1, 20, 34)
    assert loaded.config == model.config and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(loaded(frames), model(frames))


def test_latents_do_not_depend_on_the_batch_and_repeat_bit_by_bit():
    compute = prepare_compute("cpu", "no", 1, 0)
    model = awake(small())
    frames = np.random.default_rng(0).integers(0, 256, (300, 1, 20, 34)).astype(np.uint8)
    latents, pictures = reconstruct_frames(model, frames, compute)
    assert latents.dtype == np.float32 and latents.shape == (300, 5)
    assert pictures.dtype == np.uint8 and pictures.shape == frames.shape
    assert np.array_equal(encode_frames(model, frames, compute), latents)
    assert encode_frames(model, frames[299:], compute) == pytest.approx(latents[299:], abs=1e-5)
    expected = (model(torch.from_numpy(frames[:2]).float() / 255) * 255).clamp(0, 255).round()
    assert np.abs(pictures[:2] - expected.detach().numpy()).max() <= 1
    assert len(encode_frames(model, frames[:0], compute)) == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kind": "conv"}, "'conv', expected one of"),
        ({"channels": ()}, "channels is empty"),
        ({"channels": (8, 0)}, "channels is 0"),
        ({"latent_dim": 0}, "latent_dim is 0"),
        ({"latent_dim": "many"}, "latent_dim is 'many'"),
        ({"height": 0}, "height is 0"),
    ],
)
def test_impossible_networks_are_named(change, match):
    with pytest.raises(ValueError, match=match):
        small(**change)


def test_frames_of_another_size_are_named():
    with pytest.raises(ValueError, match=r"\(1, 20, 34\).*found \[2, 1, 20, 33\]"):
        small().encode(torch.rand(2, 1, 20, 33))


def test_weights_of_another_shape_are_named(tmp_path):
    model = small(latent_dim=6)
    save_model(tmp_path / "autoencoder", model, {**model.config, "latent_dim": 5})
    with pytest.raises(ValueError, match=r"squeeze.weight: \[6, 270\] in the file, \[5, 270\] in the model"):
        load_autoencoder(tmp_path / "autoencoder")
