"""A contestant in a process of its own, so that neither side's threads, allocator or imports touch the other's.

The parent says "name amount" on the child's standard input, the child answers with the seconds that amount took.
Both sides of a comparison are pinned to the same core and take turns: while one runs, the other waits for input.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    + ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
} | {"TF_CPP_MIN_LOG_LEVEL": "3"}

CPU_TIME = "BENCHMARK_CPU_TIME"
# Seconds of the processor, where asked for: on a machine that is busy with other work the wall clock tells little.
now = time.process_time if os.environ.get(CPU_TIME) else time.perf_counter


class Child:
    """`python -m tests.benchmarks.<module>` with the arguments given, waiting for work."""

    def __init__(self, module: str, *arguments: str):
        self.module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD},
        )  # fmt: skip

    def seconds(self, name: str, amount: int) -> float:
        """How long the child's task `name` took for `amount` units of work; RuntimeError when the child died."""
        self._process.stdin.write(f"{name} {amount}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)["seconds"]
        raise RuntimeError(f"tests.benchmarks.{self.module} ended with {self._process.wait()} in {name}; see above")

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


def keep_to_one_core() -> None:
    """Pins this process to the last core it may use, where the system can (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def serve(tasks: Mapping[str, Callable[[int], float]]) -> None:
    """Answers the parent until it closes the pipe; a task takes an amount and returns seconds."""
    for line in sys.stdin:
        name, amount = line.split()
        print(json.dumps({"seconds": tasks[name](int(amount))}), flush=True)
