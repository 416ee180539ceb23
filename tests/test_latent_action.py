"""The latent action model: shapes, its start as a copy, block matching, the codebook, and that it can learn."""

import numpy as np
import pytest
import torch

from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.learning.fast.dropout import seed_dropout
from stages.models.block_matching import BlockMatching, matched
from stages.models.latent_action import (
    LatentActionDesign,
    LatentActionModel,
    codes_of,
    load_latent_action,
    predict_next,
)
from stages.models.transition_classifier import SAID, TransitionClassifier

SIZES = {
    "past_frames": 2, "tokens": (1, 1), "quantizer": "vq", "codes": 4, "fsq_levels": (3, 3), "code_dim": 6,
    "cosine": True, "gradient": "rotation", "commitment": 0.25, "ema_decay": 0.8, "dead_code_threshold": 1.0,
    "entropy_weight": 0.0,
    "search_px": (8, 4), "past_dropout": 0.5, "channels": (4, 8), "cell_px": 4,
    "conditioning": "film", "prediction": "moved", "skips": "past", "gradient_checkpointing": False, "labels": 0,
    "height": 21, "width": 30, "in_channels": 1,
}  # fmt: skip


def model_of(**changes):
    torch.manual_seed(0)
    return LatentActionModel(LatentActionDesign(**SIZES | changes))


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
    said = model.eval()(frames)
    torch.testing.assert_close(said.frame, frames[:, 2], atol=1e-5, rtol=0)
    assert said.mismatch.shape == (3, -(-size[0] // 4), -(-size[1] // 4)) and said.mismatch.min() > 0
    assert said.commitment == 0 and said.labels is None
    assert model.vectors(frames).norm(dim=2).flatten().tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_it_says_what_it_was_made_for():
    with pytest.raises(ValueError, match=r"made for frames \[B, \(4, 1, 21, 30\)\], found \[2, 3, 1, 21, 30\]"):
        model_of()(torch.rand(2, 3, 1, 21, 30))
    with pytest.raises(ValueError, match=r"found \[2, 3, 3, 21, 30\]"):
        model_of().predict(torch.rand(2, 3, 3, 21, 30), torch.rand(2, 1, 6))


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
        frames = model.predict(current.expand(1, 3, 1, -1, -1), torch.zeros(1, 1, 6))
    torch.testing.assert_close(frames[..., :-8], following[..., :-8], atol=1e-4, rtol=0)


def test_the_past_is_hidden_in_training_only():
    model = model_of(past_dropout=1.0)
    context = torch.rand(2, 3, 1, 21, 30)
    hidden = model._without_past(context)
    assert torch.equal(hidden, context[:, -1:].expand(-1, 3, -1, -1, -1))
    assert not model.views(hidden, 2)[:, 1:].any()
    assert torch.equal(model.eval()._without_past(context), context)
    torch.manual_seed(0)
    some = model_of(past_dropout=0.25).train()._without_past(torch.rand(400, 3, 1, 21, 30))
    assert 60 < (some[:, 0] == some[:, -1]).flatten(1).all(dim=1).sum() < 140


def test_codes_are_the_nearest_entries_and_survive_a_round_trip(tmp_path):
    model = model_of()
    frames, _ = turns(32)
    model.codebook.start(model.vectors(frames))
    model.codebook.follow(model.train()(frames).vectors)
    model.eval()
    vectors = model.vectors(frames)
    quantised, codes, _ = model.codebook(vectors)
    book = model.codebook.vectors_of(torch.arange(4))
    assert torch.equal(codes, (vectors @ book.T).argmax(dim=2))
    assert torch.equal(quantised, model.codebook.vectors_of(codes))

    save_model(tmp_path / "model", model, model.config)
    again = load_latent_action(tmp_path / "model")
    assert again.codebook.started and again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    compute = prepare_compute("cpu", "no", 1, 0)
    bytes_of = (frames * 255).round().byte().numpy()
    assert np.array_equal(codes_of(model, bytes_of, compute), codes_of(again, bytes_of, compute))
    following = predict_next(again, bytes_of[:, :-1], np.zeros(32), compute)
    assert following.shape == (32, 1, 21, 30) and following.dtype == np.float32
    assert 0 <= following.min() and following.max() <= 255


def test_a_model_of_another_shape_is_refused(tmp_path):
    model = model_of()
    save_model(tmp_path / "model", model, model.config | {"codes": 5})
    with pytest.raises(ValueError, match=r"_codebook\.embed: \[1, 4, 6\] in the file, \[1, 5, 6\]"):
        load_latent_action(tmp_path / "model")


def train(model, frames, steps, warm_up=20, learning_rate=0.01):
    """Plain training on all transitions at once; codes from step `warm_up` on."""
    model.train().views.set_statistics(frames[:, 2].mean(dim=0), 0.1, 0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for step in range(steps):
        torch.manual_seed(step)
        if step == warm_up:
            model.codebook.start(model.vectors(frames))
        said = model(frames)
        loss = (said.frame - frames[:, -1]).square().mean() / 0.01 + said.commitment
        loss = loss + (0 if said.mismatch is None else said.mismatch.mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.codebook.follow(said.vectors)
    return model.eval()


def train_on_turns(steps, **changes):
    frames, left = turns(32)
    return train(model_of(**changes), frames, steps), frames, left


@pytest.mark.parametrize(
    ("changes", "steps"),
    [({}, 160), ({"quantizer": "fsq"}, 320), ({"conditioning": "cross_attention"}, 320)],
)
def test_two_directions_are_told_apart_by_the_codes_and_the_next_frame_is_predicted(changes, steps):
    model, frames, left = train_on_turns(steps, **changes)
    with torch.no_grad():
        codes = model.codebook(model.vectors(frames))[1]
        error, other = (
            (model.predict(frames[:, :-1], model.codebook.vectors_of(own)) - frames[:, -1]).square().mean()
            for own in (codes, codes.roll(1, dims=0))
        )
    copy = (frames[:, 2] - frames[:, -1]).square().mean()
    right = sum(np.bincount(left[codes[:, 0] == code], minlength=2).max() for code in codes.unique())
    assert right / len(left) > 0.9
    assert error < 0.95 * copy and error < 0.95 * other


def test_eight_pairs_are_learned_by_heart():
    """A network that cannot overfit is broken: 8 pairs whose next frames are noise to more than 40 dB."""
    frames = texture(8 * 4, height=16, width=16).reshape(8, 4, 1, 16, 16)
    model = model_of(height=16, width=16, codes=8, channels=(32, 64), prediction="residual", search_px=(0, 0),
                     past_dropout=0.0, dead_code_threshold=0.0)  # fmt: skip
    train(model, frames, 400, learning_rate=0.003)
    with torch.no_grad():
        error = (model(frames).frame - frames[:, -1]).square().mean()
    assert -10 * torch.log10(error) > 40


def test_recomputing_instead_of_keeping_changes_no_gradient():
    frames, _ = turns(4)
    gradients = []
    for again in (False, True):
        model = model_of(gradient_checkpointing=again).train()
        seed_dropout(3)
        model(frames).frame.sub(frames[:, -1]).square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("skips", ["past", "none"])
@pytest.mark.parametrize("prediction", ["moved", "residual", "frame"])
@pytest.mark.parametrize("conditioning", ["film", "cross_attention"])
@pytest.mark.parametrize(("cell_px", "search_px"), [(4, (8, 4)), (2, (0, 0))])
def test_every_design_keeps_the_size_and_starts_at_a_copy_or_the_mean_picture(
    skips, prediction, conditioning, cell_px, search_px
):
    model = model_of(skips=skips, prediction=prediction, conditioning=conditioning, cell_px=cell_px,
                     search_px=search_px, tokens=(2, 3), channels=(4, 8, 8)).eval()  # fmt: skip
    model.views.set_statistics(torch.full((1, 21, 30), 0.25), 0.1, 0.1)
    frames = torch.rand(2, 4, 1, 21, 30)
    start = torch.full_like(frames[:, 2], 0.25) if prediction == "frame" else frames[:, 2]
    torch.testing.assert_close(model(frames).frame, start, atol=1e-5, rtol=0)
    assert model.vectors(frames).shape == (2, 6, 6) and model.capacity_bits == 12


def test_without_skips_nothing_fine_of_the_past_reaches_the_prediction():
    """Two contexts that differ in fine detail alone, with the same coarse map, get the same change."""
    model = model_of(skips="none", prediction="residual", search_px=(0, 0))
    assert all(layer.in_channels == 8 for layer in model.forward_model.up)
    assert all(layer.in_channels == 12 for layer in model_of().forward_model.up)


def test_the_network_of_the_literature_fits_the_console_s_picture():
    """Five layers of 3x3 with stride 2: 160 x 210 becomes 5 x 7, and the prediction is 160 x 210 again."""
    model = model_of(height=210, width=160, channels=(64, 128, 256, 512, 512), cell_px=2, search_px=(0, 0),
                     tokens=(7, 5), codes=256, prediction="residual", skips="none").eval()  # fmt: skip
    frames = torch.rand(1, 4, 1, 210, 160)
    maps = model.inverse.down(model.views(frames, 2))
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512] and maps[-1].shape[2:] == (7, 5)
    with torch.no_grad():
        assert model(frames).frame.shape == (1, 1, 210, 160)
    assert model.vectors(frames).shape == (1, 35, 6) and model.capacity_bits == 280


def test_labels_are_told_from_the_codes():
    model = model_of(labels=3)
    frames, _ = turns(4)
    assert model(frames).labels.shape == (4, 3)


def test_the_same_seeds_give_the_same_bits():
    first, second = (train_on_turns(25)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_classifier_sees_every_frame_of_the_transition():
    frames, _ = turns(4)
    classifier = TransitionClassifier(model_of(), classes=3).eval()
    said = classifier(frames)
    assert said.shape == (4, 3)
    for frame in range(frames.shape[1]):
        changed = frames.clone()
        changed[:, frame] = 0
        assert not torch.equal(classifier(changed), said)


def test_a_classifier_sees_the_transitions_around_each_in_its_place():
    like, (frames, _) = model_of(), turns(4)
    count = frames.shape[1]
    classifier = TransitionClassifier(like, classes=3, reach=1).eval()
    around = torch.cat([frames.roll(1, 0), frames, frames.roll(-1, 0)], dim=1)
    said = classifier(around)
    for frame in range(3 * count):
        changed = around.clone()
        changed[:, frame] = 0
        assert not torch.equal(classifier(changed), said)
    with torch.no_grad():  # only what is said of the transition in the middle counts
        classifier.together.weight[:, :SAID] = classifier.together.weight[:, 2 * SAID :] = 0
    middle = classifier(around)
    around[:, :count] = around[:, 2 * count :] = 0
    assert torch.equal(classifier(around), middle)
