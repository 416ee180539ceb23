"""How a stage ends on bad input: one message, and no traceback."""

import errno
import os

import pytest
import scipy.linalg  # noqa: F401  its BLAS is another than numpy's
from threadpoolctl import threadpool_info, threadpool_limits

from stages.run import run_stage


def failing(error):
    def main():
        raise error

    return main


def test_bad_input_and_a_full_disk_end_a_stage_with_one_message(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/stages/convert.py"])
    with pytest.raises(SystemExit, match="^error: x.mp4 is missing$"):
        run_stage(failing(ValueError("x.mp4 is missing")))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(SystemExit, match=r"disk is full while writing what convert writes \([0-9]+ MB are free\)"):
        run_stage(failing(full))
    full.filename = "data/x"
    with pytest.raises(SystemExit, match="disk is full while writing data/x "):
        run_stage(failing(full))


def test_other_errors_keep_their_traceback():
    with pytest.raises(PermissionError):
        run_stage(failing(PermissionError(errno.EACCES, "no")))


def test_blas_has_one_thread_in_a_stage_and_its_own_number_afterwards():
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen, before = [], threads()
    with threadpool_limits(limits=2, user_api="blas"):
        run_stage(lambda: seen.append(threads()))
        assert seen == [{1}] and threads() == {2}
    assert threads() == before
