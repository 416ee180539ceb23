"""Tests of stages.learning.compute."""

import sys

import pytest
import torch

from stages.learning.compute import keep_freed_memory, prepare_compute

BF16 = {"avx512_bf16": True}


def test_what_is_set():
    compute = prepare_compute("cpu", "no", threads=1, seed=5)
    assert (compute.device.type, compute.precision, compute.threads, compute.seed) == ("cpu", "no", 1, 5)
    assert (compute.rank, compute.processes, compute.is_main) == (0, 1, True)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    first = torch.rand(3)
    prepare_compute("cpu", "no", threads=1, seed=5)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(("features", "expected"), [(BF16, "bf16"), ({"amx_bf16": True}, "bf16"), ({}, "no")])
def test_auto_precision_takes_bf16_where_the_processor_has_it(monkeypatch, features, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert prepare_compute("cpu", "auto", threads=1, seed=0).precision == expected
    assert prepare_compute("cpu", "bf16", threads=1, seed=0).precision == "bf16"


def test_autocast_follows_the_precision():
    layer, x = torch.nn.Linear(2, 2), torch.rand(1, 2)
    for precision, expected in (("no", torch.float32), ("bf16", torch.bfloat16)):
        with prepare_compute("cpu", precision, threads=1, seed=0).autocast():
            assert layer(x).dtype == expected


def test_what_this_machine_cannot_do(monkeypatch):
    with pytest.raises(ValueError, match="precision is fp16, which needs a GPU"):
        prepare_compute("cpu", "fp16", threads=1, seed=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds only 'cpu' here"):
        prepare_compute("cuda", "no", threads=1, seed=0)


def test_the_allocator_is_set_on_linux_and_left_alone_elsewhere(monkeypatch):
    if sys.platform.startswith("linux"):
        keep_freed_memory()  # False with a libc that is not glibc: no error either way
    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_freed_memory() is False
