"""The agent that keeps latents: the same logits as whole windows, whatever else shares its batch."""

import numpy as np
import pytest
import torch

from stages.episodes.preprocess import preprocess
from stages.episodes.windows import window_indices
from stages.learning.compute import prepare_compute
from stages.models.agent import Agent
from stages.models.autoencoder import Autoencoder, encode_frames
from stages.models.policy import RecurrentPolicy

COMPUTE = prepare_compute("cpu", "no", 1, 0)


@pytest.fixture
def parts():
    torch.manual_seed(3)
    autoencoder = Autoencoder(kind="dense", channels=[4, 8], latent_dim=6, height=18, width=32, in_channels=1)
    policy = RecurrentPolicy(latent_shape=(6,), hidden=[5, 4], cell="gru", dropout=0.3, actions=3)
    return autoencoder.eval(), policy.eval()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (9, 36, 64, 3), dtype=np.uint8)


def agent_of(parts, batch: int) -> Agent:
    return Agent(*parts, sequence_length=4, compute=COMPUTE, batch=batch)


def test_kept_latents_give_what_the_windows_give(parts, images):
    autoencoder, policy = parts
    agent = agent_of(parts, batch=9)
    stepwise = np.stack([agent.logits({0: image})[0] for image in images])
    small = np.stack([preprocess(image, width=32, height=18, color="gray") for image in images])
    latents = encode_frames(autoencoder, small, COMPUTE)
    with torch.inference_mode():
        whole = policy(torch.from_numpy(latents[window_indices([9], 4)])).numpy()
    np.testing.assert_allclose(stepwise, whole, atol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "spatial"])
def test_an_encoder_kept_in_bf16_gives_the_bits_of_autocast(kind):
    torch.manual_seed(4)
    model = Autoencoder(kind=kind, channels=[4, 8], latent_dim=6, height=18, width=32, in_channels=1).eval()
    frames = np.random.default_rng(1).integers(0, 255, (3, 1, 18, 32), dtype=np.uint8)
    bf16 = prepare_compute("cpu", "bf16", 1, 0)
    cast_each_time = encode_frames(model, frames, bf16)
    model.keep_encoder_in(bf16.dtype)
    np.testing.assert_array_equal(encode_frames(model, frames, bf16), cast_each_time)


def test_lanes_do_not_disturb_each_other(parts, images):
    together, alone = agent_of(parts, batch=3), agent_of(parts, batch=3)
    for image, other in zip(images, images[::-1], strict=True):
        both = together.logits({0: other, 7: image})
        np.testing.assert_array_equal(both[7], alone.logits({7: image})[7])


def test_a_reset_lane_starts_anew(parts, images):
    agent = agent_of(parts, batch=1)
    first = [agent.logits({0: image})[0] for image in images[:3]]
    agent.reset(0)
    again = [agent.logits({0: image})[0] for image in images[:3]]
    np.testing.assert_array_equal(first, again)


def test_parts_that_do_not_fit_are_refused(parts):
    other = RecurrentPolicy(latent_shape=(7,), hidden=[5], cell="gru", dropout=0.0, actions=3)
    with pytest.raises(ValueError, match=r"reads latents \[7\].*makes \[6\]"):
        agent_of((parts[0], other), batch=1)
    with pytest.raises(ValueError, match="2 games for an agent made for 1"):
        agent_of(parts, batch=1).logits({0: np.zeros((4, 4, 3), np.uint8), 1: np.zeros((4, 4, 3), np.uint8)})
