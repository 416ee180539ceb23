"""What all tests share: one thread each, a git identity, and the one long test first."""

import os

# Before torch, numpy and cv2 are imported: pytest-xdist's workers already fill the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

# Tests that commit in a temporary clone need no git configuration of the machine's.
for role in ("AUTHOR", "COMMITTER"):
    os.environ[f"GIT_{role}_NAME"] = "test"
    os.environ[f"GIT_{role}_EMAIL"] = "test@example.invalid"


def pytest_collection_modifyitems(items):
    """The run of the whole pipeline starts first, so that the other workers' tests run beside it."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
