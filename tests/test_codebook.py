"""The quantisers: what the library promises, k-means at the start, and that nothing is quantised before it."""

import pytest
import torch

from stages.models.codebook import Codebook

SIZES = {
    "quantizer": "vq", "codes": 4, "fsq_levels": (3, 5), "dim": 6, "cosine": True, "gradient": "rotation",
    "commitment": 0.25, "ema_decay": 0.8, "dead_code_threshold": 1.0, "entropy_weight": 0.0,
}  # fmt: skip


def codebook_of(**changes):
    torch.manual_seed(0)
    return Codebook(**SIZES | changes)


def near_axes(count=50):
    """Vectors [4 * count, 1, 6] near four axes."""
    return torch.eye(6)[:4].repeat(count, 1)[:, None] + 0.05 * torch.randn(4 * count, 1, 6)


@pytest.mark.parametrize("cosine", [True, False])
def test_the_first_codes_are_the_centres_of_the_vectors(cosine):
    book = codebook_of(cosine=cosine)
    vectors = book.scaled(near_axes())
    same, codes, loss = book(vectors)
    assert same is vectors and not codes.any() and loss == 0  # nothing is quantised yet
    book.start(vectors)
    centres = book.vectors_of(torch.arange(4)[:, None])[:, 0]
    assert (centres @ torch.eye(6)[:, :4]).amax(dim=0).min() > 0.95


@pytest.mark.parametrize("quantizer", ["vq", "fsq"])
def test_codes_name_their_vectors_and_the_gradient_passes(quantizer):
    book = codebook_of(quantizer=quantizer)
    vectors = book.scaled(torch.randn(40, 3, 6)).requires_grad_()
    book.start(vectors.detach())
    quantised, codes, loss = book.eval()(vectors)
    assert codes.shape == (40, 3) and 0 <= codes.min() and codes.max() < book.codes
    torch.testing.assert_close(quantised, book.vectors_of(codes))
    quantised, _, loss = book.train()(vectors)
    quantised.sum().backward()
    assert vectors.grad.abs().sum() > 0 and torch.isfinite(loss)


def test_a_grid_of_levels_has_all_their_combinations_and_needs_no_start():
    book = codebook_of(quantizer="fsq")
    assert book.codes == 15 and book.started
    codes = book.eval()(4 * book.scaled(torch.randn(4000, 1, 6)))[1]
    assert len(codes.unique()) == 15


def test_the_entropy_term_rewards_batches_that_use_many_codes():
    axes = torch.eye(6)[:4]
    losses = {}
    for name, vectors in (("even", axes.repeat(25, 1)), ("one", axes[:1].repeat(100, 1))):
        book = codebook_of(entropy_weight=1.0, commitment=0.0, dead_code_threshold=0.0)
        book.start(book.scaled(near_axes()))
        losses[name] = book.train()(vectors[:, None].clone().requires_grad_())[2].item()
    assert losses["even"] < losses["one"]


def test_codes_that_nothing_uses_start_anew():
    book = codebook_of(dead_code_threshold=2.0, ema_decay=0.1)
    book.start(book.scaled(near_axes()))
    book.train()
    lonely = torch.nn.functional.normalize(torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 0.2]]), dim=1)
    for _ in range(5):
        book.follow((lonely + 0.01 * torch.randn(64, 6))[:, None])
    centres = book.vectors_of(torch.arange(4)[:, None])[:, 0]
    assert (centres @ lonely.T).min() > 0.9


def test_a_batch_is_named_by_the_same_codes_however_it_is_shared_out():
    book = codebook_of()
    book.start(book.scaled(near_axes()))
    vectors = book.train().scaled(torch.randn(40, 1, 6))
    before = {name: tensor.clone() for name, tensor in book.state_dict().items()}
    whole, parts = book(vectors), [book(part) for part in vectors.split(10)]
    assert torch.equal(whole[1], torch.cat([codes for _, codes, _ in parts]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in book.state_dict().items())
    book.follow(vectors)
    assert not torch.equal(book.vectors_of(torch.arange(4)), before["_quantizer._codebook.embed"][0])


def test_nothing_is_followed_before_the_start():
    book = codebook_of()
    before = {name: tensor.clone() for name, tensor in book.state_dict().items()}
    book.train().follow(book.scaled(near_axes()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in book.state_dict().items())


@pytest.mark.parametrize("gradient", ["rotation", "straight_through"])
def test_the_gradient_goes_straight_through_or_is_turned_with_the_vector(gradient):
    book = codebook_of(gradient=gradient, cosine=False, commitment=0.0)
    vectors = book.scaled(near_axes()).requires_grad_()
    book.start(vectors.detach())
    weights = torch.randn(vectors.shape)
    (book.train()(vectors)[0] * weights).sum().backward()
    assert torch.equal(vectors.grad, weights) == (gradient == "straight_through")
    assert vectors.grad.abs().sum() > 0
