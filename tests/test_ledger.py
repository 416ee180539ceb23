"""Finished pieces of work are done once."""

import pytest

from stages.learning.ledger import Ledger


def test_a_piece_is_done_once_and_read_back_equal(tmp_path):
    done = []

    def work():
        done.append(1)
        return {"value": 0.1 + 0.2, "of": [1, None]}

    first = Ledger(tmp_path / "ledger").once("piece", work)
    assert first == Ledger(tmp_path / "ledger").once("piece", work) == {"value": 0.1 + 0.2, "of": [1, None]}
    assert len(done) == 1


def test_a_piece_that_fails_is_not_there(tmp_path):
    ledger = Ledger(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.once("piece", lambda: {"value": float("nan")})
    assert ledger.once("piece", lambda: {"value": 1}) == {"value": 1}
