"""Work in threads: every part's result, in order, one torch thread each; errors come through."""

import threading

import pytest
import torch

from stages.learning.fast.threads import in_threads


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order_whoever_is_first(threads):
    second = threading.Event()

    def work(part):
        if threads > 1 and part == 0:
            assert second.wait(30)  # the first part is done last
        if part == 1:
            second.set()
        return part, torch.get_num_threads()

    found = list(in_threads(work, range(7)))
    assert [part for part, _ in found] == list(range(7))
    assert {count for _, count in found} == {1}
    assert torch.get_num_threads() == threads


def test_nothing_to_do(threads):
    assert list(in_threads(len, [])) == []


def test_an_error_is_not_swallowed(threads):
    def work(part):
        if part == 3:
            raise ValueError("part 3")
        return part

    with pytest.raises(ValueError, match="part 3"):
        list(in_threads(work, range(5)))
