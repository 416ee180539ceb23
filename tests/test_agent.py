"""The agent that keeps latents: the same logits as whole windows, whatever else shares its batch."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from stages.episodes.preprocess import preprocess, shrunk
from stages.episodes.windows import window_indices
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.models.acting import Acting
from stages.models.agent import About, Agent, copy_agent, read_about, write_agent
from stages.models.autoencoder import Autoencoder, encode_frames
from stages.models.cloning import overlapped
from stages.models.policies.policy import Policy
from stages.models.policies.recurrent import Recurrent
from stages.models.policies.two_stream import TwoStream

COMPUTE = prepare_compute("cpu", "no", 1, 0)
ACTIONS = ("LEFT", "RIGHT", "SHOOT")
ABOUT = About(
    ACTIONS, {"LEFT": ("Key.left",), "RIGHT": ("Key.right",), "SHOOT": ("x", "y")}, 11.5,
    {"width": 32, "height": 18, "color": "gray"}, {"rule": "interval", "delay_ms": 0.0}, (), "3 frames",
    Acting(np.array([0.2, 0.4, 0.6]), np.ones(3), np.zeros(3), "threshold"),
)  # fmt: skip


def recurrent(latent_dim: int) -> Recurrent:
    return Recurrent(shapes={"latents": [latent_dim]}, window=4, actions=3, hidden=[5, 4], cell="gru", dropout=0.3)


class Brightness(Policy):
    """Reads frames and state: logits are the last frame's brightness, the first one's, and the state's number."""

    reads = ("frames", "state")

    def forward(self, frames, state):
        self.require_fitting([frames, state])
        mean = frames.float().mean(dim=(2, 3, 4)) / 255
        return torch.stack([mean[:, -1], mean[:, 0], state[:, -1, 0]], dim=1)


@pytest.fixture
def parts():
    torch.manual_seed(3)
    autoencoder = Autoencoder(kind="dense", channels=[4, 8], latent_dim=6, height=18, width=32, in_channels=1)
    policy = recurrent(6)
    return autoencoder.eval(), policy.eval()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (9, 36, 64, 3), dtype=np.uint8)


def agent_of(parts, batch: int) -> Agent:
    autoencoder, policy = parts
    return Agent(ABOUT, policy, autoencoder, COMPUTE, batch=batch)


@pytest.mark.parametrize("step", [1, 3])
def test_kept_latents_give_what_the_windows_give(parts, images, step):
    autoencoder, policy = parts[0], copy.copy(parts[1])
    policy.step = step
    agent = agent_of((autoencoder, policy), batch=9)
    stepwise = np.stack([agent.logits({0: image})[0] for image in images])
    small = np.stack([preprocess(image, width=32, height=18, color="gray") for image in images])
    latents = encode_frames(autoencoder, small, COMPUTE)
    with torch.inference_mode():
        whole = policy(torch.from_numpy(latents[window_indices([9], 4, step)])).numpy()
    np.testing.assert_allclose(stepwise, whole, atol=1e-6)


def test_of_a_chunk_the_agent_averages_what_the_windows_would(parts, images):
    torch.manual_seed(4)
    policy = Recurrent(
        shapes={"latents": [6]}, window=4, actions=3, chunk=3, hidden=[5], cell="gru", dropout=0.3
    ).eval()  # fmt: skip
    agent = agent_of((parts[0], policy), batch=9)
    stepwise = np.stack([agent.logits({0: image})[0] for image in images])
    small = np.stack([preprocess(image, width=32, height=18, color="gray") for image in images])
    latents = encode_frames(parts[0], small, COMPUTE)
    with torch.inference_mode():
        said = policy(torch.from_numpy(latents[window_indices([9], 4)]))
    np.testing.assert_allclose(stepwise, overlapped(said, 3, [9]).numpy(), atol=1e-6)
    agent.reset(0)
    np.testing.assert_allclose(agent.logits({0: images[0]})[0], stepwise[0], atol=1e-6)


def two_stream(height, width):
    """A policy that sees four latents and the last two pictures [1, height, width]."""
    torch.manual_seed(3)
    return TwoStream(
        shapes={"latents": [6], "frames": (1, height, width)}, window=4, frames=2, actions=3, hidden=[5], cell="gru",
        channels=[4], strides=[2], norm="none", pooling="flatten", dense_sizes=[6], dropout=0.3,
    ).eval()  # fmt: skip


def test_of_what_a_policy_sees_for_a_shorter_time_only_the_last_frames_are_kept(parts, images):
    policy = two_stream(18, 32)
    agent = Agent(ABOUT, policy, parts[0], COMPUTE, batch=9)
    stepwise = np.stack([agent.logits({0: image})[0] for image in images])
    small = np.stack([preprocess(image, width=32, height=18, color="gray") for image in images])
    windows, latents = window_indices([9], 4), encode_frames(parts[0], small, COMPUTE)
    with torch.inference_mode():
        whole = policy(torch.from_numpy(latents[windows]), torch.from_numpy(small[windows[:, 2:]])).numpy()
    np.testing.assert_allclose(stepwise, whole, atol=1e-6)


def test_a_policy_sees_the_whole_picture_and_the_encoder_a_smaller_one(parts, images):
    policy = two_stream(36, 64)
    about = replace(ABOUT, picture={"width": 64, "height": 36, "color": "gray"})
    agent = Agent(about, policy, parts[0], COMPUTE, batch=9)
    stepwise = np.stack([agent.logits({0: image})[0] for image in images])
    seen = np.stack([preprocess(image, width=64, height=36, color="gray") for image in images])
    windows, latents = window_indices([9], 4), encode_frames(parts[0], shrunk(seen, 2), COMPUTE)
    with torch.inference_mode():
        whole = policy(torch.from_numpy(latents[windows]), torch.from_numpy(seen[windows[:, 2:]])).numpy()
    np.testing.assert_allclose(stepwise, whole, atol=1e-6)
    with pytest.raises(ValueError, match="pictures of 70 x 36 px do not shrink to"):
        Agent(replace(about, picture=about.picture | {"width": 70}), policy, parts[0], COMPUTE, batch=9)


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
        np.testing.assert_allclose(both[7], alone.logits({7: image})[7], atol=1e-6)  # a row of another place


def test_a_reset_lane_starts_anew(parts, images):
    agent = agent_of(parts, batch=1)
    first = [agent.logits({0: image})[0] for image in images[:3]]
    agent.reset(0)
    again = [agent.logits({0: image})[0] for image in images[:3]]
    np.testing.assert_array_equal(first, again)


def test_parts_that_do_not_fit_are_refused(parts):
    other = recurrent(7)
    with pytest.raises(ValueError, match=r"reads latents \[7\].*makes \[6\]"):
        agent_of((parts[0], other), batch=1)
    with pytest.raises(ValueError, match="2 games for an agent made for 1"):
        agent_of(parts, batch=1).logits({0: np.zeros((4, 4, 3), np.uint8), 1: np.zeros((4, 4, 3), np.uint8)})


def test_a_policy_may_read_frames_and_state(images):
    policy = Brightness(shapes={"frames": (1, 18, 32), "state": (1,)}, window=2, actions=3)
    agent = Agent(replace(ABOUT, state_columns=("ammo",)), policy, None, COMPUTE, batch=2)
    assert agent.reads_state
    first, second = (agent.logits({5: image}, {5: {"ammo": n, "health": 9}})[5] for n, image in enumerate(images[:2]))
    small = [preprocess(image, width=32, height=18, color="gray").mean() / 255 for image in images[:2]]
    assert first == pytest.approx([small[0], small[0], 0]) and second == pytest.approx([small[1], small[0], 1])
    with pytest.raises(ValueError, match=r"reads the state \['ammo'\]; nothing here tells it"):
        agent.logits({5: images[0]})


def test_a_copied_folder_is_the_same_agent_with_the_rule_asked_for(parts, images, tmp_path):
    autoencoder, policy = parts
    save_model(tmp_path / "encoder", autoencoder, autoencoder.config)
    write_agent(tmp_path / "a", ABOUT, policy, tmp_path / "encoder")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    copy_agent(tmp_path / "a", tmp_path / "elsewhere" / "b", rule="likely")
    first, second = (Agent.load(tmp_path / name, COMPUTE, batch=1) for name in ("a", "elsewhere/b"))
    assert np.array_equal(first.logits({0: images[0]})[0], second.logits({0: images[0]})[0])
    assert first.about == replace(second.about, acting=first.about.acting) and second.about.keys == ABOUT.keys
    assert (first.about.acting.rule, second.about.acting.rule) == ("threshold", "likely")
    assert second.about.acting.thresholds.tolist() == [0.2, 0.4, 0.6]
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}


def test_a_folder_that_is_no_agent_says_what_to_do(parts, tmp_path):
    with pytest.raises(ValueError, match="holds no agent .no agent.json.; give data/agent, which `dvc repro` writes$"):
        read_about(tmp_path)
    save_model(tmp_path / "autoencoder", parts[0], parts[0].config)
    with pytest.raises(ValueError, match="before version 0.2 an agent was data/models, which is no longer read"):
        read_about(tmp_path)
    (tmp_path / "agent.json").write_text('{"schema": "understudy-agent/0"}')
    with pytest.raises(ValueError, match="of another version of understudy"):
        read_about(tmp_path)
    (tmp_path / "agent.json").write_text('{"schema": "understudy-agent/1", "actions": ["A"]}')
    with pytest.raises(ValueError, match="is damaged"):
        read_about(tmp_path)
