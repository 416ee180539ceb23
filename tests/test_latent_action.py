"""The latent action model: shapes, its start as a copy, block matching, the codebook, and that it can learn."""

import numpy as np
import pytest
import torch

from stages.evaluation.latent_actions import majority_by_code
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.models.block_matching import BlockMatching, matched
from stages.models.latent_action import LatentActionModel, codes_of, load_latent_action, predict_next
from stages.models.transition_classifier import TransitionClassifier

SIZES = {
    "past_frames": 2, "codes": 4, "code_dim": 6, "commitment": 0.25, "dead_code_threshold": 1.0, "past_dropout": 0.5,
    "search_px": (8, 4), "channels": (4, 8), "height": 21, "width": 30, "in_channels": 1,
}  # fmt: skip


def model_of(**changes):
    torch.manual_seed(0)
    return LatentActionModel(**SIZES | changes)


def texture(batch=1, height=21, width=30, seed=0):
    """Smooth random pictures [B, 1, H, W] in 0..1."""
    noise = torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def turns(batch, shift=6, seed=0):
    """Transitions [B, 4, 1, H, W] whose last frame is moved left or right by `shift` px, and the direction [B]."""
    wide = texture(batch, width=30 + 2 * shift, seed=seed)
    still = wide[..., shift:-shift]
    left = torch.arange(batch) % 2 == 0
    moved = torch.where(left[:, None, None, None], wide[..., 2 * shift :], wide[..., : -2 * shift])
    return torch.stack([still, still, still, moved], dim=1), left


@pytest.mark.parametrize("size", [(21, 30), (24, 32), (9, 17), (72, 128)])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_any_size_starts_at_a_copy_of_the_current_frame(size, in_channels):
    model = model_of(height=size[0], width=size[1], in_channels=in_channels, channels=(4, 8, 8))
    frames = torch.rand(3, 4, in_channels, *size)
    prediction, mismatch, commitment = model.eval()(frames)
    torch.testing.assert_close(prediction, frames[:, 2], atol=1e-5, rtol=0)
    assert mismatch.shape == (3, -(-size[0] // 4), -(-size[1] // 4)) and mismatch.min() > 0
    assert commitment == 0
    assert model.vectors(frames).norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_it_says_what_it_was_made_for():
    with pytest.raises(ValueError, match=r"made for frames \[B, \(4, 1, 21, 30\)\], found \[2, 3, 1, 21, 30\]"):
        model_of()(torch.rand(2, 3, 1, 21, 30))
    with pytest.raises(ValueError, match=r"found \[2, 3, 3, 21, 30\]"):
        model_of().predict(torch.rand(2, 3, 3, 21, 30), torch.rand(2, 6))


@pytest.mark.parametrize(("across", "down"), [(0, 0), (4, 0), (-6, 2), (8, -4)])
def test_block_matching_finds_where_the_picture_came_from(across, down):
    matching = BlockMatching((8, 4))
    assert matching.displacements.shape == (9 * 5, 2)
    wide = texture(height=24 + 8, width=32 + 16)
    current = wide[..., 4:-4, 8:-8]
    following = wide[..., 4 + down : 28 + down, 8 + across : 40 + across]
    mismatch = matching(current, following)
    assert mismatch.shape == (1, 45, 6, 8)
    best = matching.displacements[mismatch[0, :, 2:4, 2:6].mean(dim=(1, 2)).argmin()]
    assert best.tolist() == [across, down]
    shares = matched(mismatch)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(1, 6, 8))
    assert matching.displacements[shares[0, :, 2, 3].argmax()].tolist() == [across, down]


def test_a_still_pair_matches_everywhere_without_nan():
    flat = torch.full((1, 1, 21, 30), 0.5)
    shares = matched(BlockMatching((8, 4))(flat, flat))
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / 45))


def test_a_chosen_displacement_moves_the_picture():
    model = model_of(height=24, width=32).eval()
    wide = texture(height=24, width=40)
    current, following = wide[..., :-8], wide[..., 8:]
    row = model.matching.displacements.tolist().index([8.0, 0.0])
    with torch.no_grad():
        model.forward_model.source.bias[row] = 50.0
        frames = model.predict(current.expand(1, 3, 1, -1, -1), torch.zeros(1, 6))
    torch.testing.assert_close(frames[..., :-8], following[..., :-8], atol=1e-4, rtol=0)


def test_the_past_is_hidden_in_training_only():
    model = model_of(past_dropout=1.0)
    views = torch.rand(2, 3, 24, 32)
    hidden = model.forward_model._without_past(views)
    assert torch.equal(hidden[:, :1], views[:, :1]) and not hidden[:, 1:].any()
    assert torch.equal(model.eval().forward_model._without_past(views), views)


def test_codes_are_the_nearest_entries_and_survive_a_round_trip(tmp_path):
    model = model_of()
    frames, _ = turns(32)
    model.start_quantising(model.vectors(frames))
    assert model.quantizer._codebook.initted
    model.train()(frames)
    model.eval()
    vectors = model.vectors(frames)
    quantised, codes, _ = model.quantise(vectors)
    book = model.quantizer.codebook
    assert torch.equal(codes, (vectors @ book.T).argmax(dim=1)) and torch.equal(quantised, model.vectors_of(codes))

    save_model(tmp_path / "model", model, model.config)
    again = load_latent_action(tmp_path / "model")
    assert again.quantising and again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    compute = prepare_compute("cpu", "no", 1, 0)
    bytes_of = (frames * 255).round().byte().numpy()
    assert np.array_equal(codes_of(model, bytes_of, compute), codes_of(again, bytes_of, compute))
    following = predict_next(again, bytes_of[:, :-1], np.zeros(32), compute)
    assert following.shape == (32, 1, 21, 30) and following.dtype == np.float32
    assert 0 <= following.min() and following.max() <= 255


def test_the_first_codes_are_the_centres_of_the_vectors():
    model = model_of()
    centres = torch.eye(6)[:4]
    model.start_quantising(torch.nn.functional.normalize(centres.repeat(50, 1) + 0.05 * torch.randn(200, 6), dim=1))
    assert model.quantising
    assert (model.quantizer.codebook @ centres.T).amax(dim=0).min() > 0.99


def test_a_model_of_another_shape_is_refused(tmp_path):
    model = model_of()
    save_model(tmp_path / "model", model, model.config | {"codes": 5})
    with pytest.raises(ValueError, match=r"quantizer\._codebook\.embed: \[1, 4, 6\] in the file, \[1, 5, 6\]"):
        load_latent_action(tmp_path / "model")


def train_on_turns(steps, **changes):
    model = model_of(**changes).train()
    frames, left = turns(32)
    model.views.set_statistics(frames[:, 2].mean(dim=0), 0.1, 0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(steps):
        torch.manual_seed(step)
        if step == 20:
            model.start_quantising(model.vectors(frames))
        prediction, mismatch, commitment = model(frames)
        loss = (prediction - frames[:, -1]).square().mean() / 0.01 + mismatch.mean() + commitment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), frames, left


def test_two_directions_are_told_apart_by_the_codes_and_the_next_frame_is_predicted():
    model, frames, left = train_on_turns(160)
    with torch.no_grad():
        codes = model.quantise(model.vectors(frames))[1]
        error = (model.predict(frames[:, :-1], model.vectors_of(codes)) - frames[:, -1]).square().mean()
        other = (model.predict(frames[:, :-1], model.vectors_of(codes.roll(1))) - frames[:, -1]).square().mean()
    copy = (frames[:, 2] - frames[:, -1]).square().mean()
    table = majority_by_code(codes.numpy(), left.numpy().astype(int), 4)
    assert (table[codes.numpy()] == left.numpy()).mean() > 0.9
    assert error < 0.95 * copy and error < 0.95 * other


def test_the_same_seeds_give_the_same_bits():
    first, second = (train_on_turns(25)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_classifier_of_frames_sees_nothing_of_the_transition():
    like = model_of()
    frames, _ = turns(4)
    changed = frames.clone()
    changed[:, -1] = changed[:, 0] = 0
    for whole in (True, False):
        classifier = TransitionClassifier(like, whole=whole, classes=3).eval()
        assert classifier(frames).shape == (4, 3)
        assert torch.equal(classifier(frames), classifier(changed)) == (not whole)
