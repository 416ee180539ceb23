"""The forward model on its own predictions: by hand, and as training shows them to it."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stages.latent_actions import continuing
from stages.latent_actions.continuing import OwnContexts, continued
from stages.learning.dropout import seed_dropout
from tests.test_rollouts import brighten, transitions

LEVELS = [10, 10, 13, 15, 18, 20, 21, 100, 102, 104, 106]
LENGTHS = [7, 4]  # five transitions and two


def test_what_was_predicted_is_seen_next():
    context = np.array([[3, 5], [7, 9]], np.uint8).reshape(2, 2, 1, 1, 1)
    codes = np.array([[1, 2, 3], [0, 0, 10]])
    film = continued(context, codes, brighten)
    assert film.dtype == np.uint8 and film[..., 0, 0, 0].tolist() == [[6, 8, 11], [9, 9, 19]]
    oldest = continued(context, codes, lambda seen, code: seen[:, 0].astype(np.float32))  # the past as well
    assert oldest[..., 0, 0, 0].tolist() == [[3, 5, 3], [7, 9, 7]]


@pytest.fixture
def contexts(monkeypatch):
    """OwnContexts, for a model that brightens by a code that is one more than the true change."""
    found = transitions(LEVELS, LENGTHS)

    def one_more(model, frames, compute):
        return np.diff(frames[:, -2:, 0, 0, 0].astype(int))[:, 0] + 1

    monkeypatch.setattr(continuing, "codes_of", one_more)
    monkeypatch.setattr(continuing, "predict_next", lambda model, context, codes, compute: brighten(context, codes))
    model = torch.nn.Module()
    model.codebook = SimpleNamespace(started=True)

    def make(share, steps):
        return partial(OwnContexts(found, share, steps, 1, None), model)

    return make, found, model


def seen(contexts, found, samples):
    true = torch.from_numpy(found.take(samples)[:, :-1])
    return contexts(samples, true)[..., 0, 0, 0].tolist()


def test_contexts_are_predictions_where_the_episode_reaches_back_so_far(contexts):
    make, found, model = contexts
    samples = np.arange(7)
    # The first two of each episode have no two transitions before them.
    expected = [[10, 10], [10, 13], [14, 17], [16, 20], [19, 22], [100, 102], [102, 104]]
    assert seen(make(1.0, 2), found, samples) == expected
    assert seen(make(1.0, 1), found, np.array([6, 2])) == [[102, 105], [13, 16]]
    assert model.training


def test_contexts_are_true_without_a_share_and_before_there_are_codes(contexts):
    make, found, model = contexts
    samples = np.arange(7)
    true = found.take(samples)[:, :-1, 0, 0, 0].tolist()
    assert seen(make(0.0, 1), found, samples) == true
    model.codebook.started = False
    assert seen(make(1.0, 1), found, samples) == true


def test_a_share_of_the_contexts_is_drawn_anew_for_each_batch(contexts):
    make, found, _ = contexts
    samples = np.full(400, 3)
    seed_dropout(0)
    first, second = (np.array(seen(make(0.25, 1), found, samples)) for _ in range(2))
    own = (first != [15, 18]).any(axis=1)
    assert 60 < own.sum() < 140 and (first[own] == [15, 19]).all()
    assert (first != second).any()
