"""Where and how the arithmetic runs: device, precision, threads, determinism, allocator.

The same seed, thread count and processor type give the same bits; another thread count or
another processor type sums in another order and gives slightly different numbers.
"""

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState


@dataclass(frozen=True)
class Compute:
    """The settings in force after `prepare_compute`; `precision` is one of no, bf16, fp16."""

    device: torch.device
    precision: str
    threads: int
    seed: int
    rank: int
    processes: int

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints; the others of `accelerate launch` only compute."""
        return self.rank == 0

    @property
    def memory_format(self) -> torch.memory_format:
        """Of 4-d weights and images: on every device convolutions are fastest with the channels last."""
        return torch.channels_last

    def autocast(self) -> contextlib.AbstractContextManager:
        """Mixed precision for code outside of `fit`, which has its own: `with compute.autocast(): model(x)`."""
        if self.precision == "no":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """What convolutions and products are computed in."""
        return {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]


def prepare_compute(device: str, precision: str, threads: int, seed: int) -> Compute:
    """Sets torch up for this process (threads, seed, determinism, allocator) and says what `auto` became.

    Under `accelerate launch` this joins the group of processes. Raises ValueError when the machine
    has no such device or precision.
    """
    place = _state(device)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    _be_deterministic()
    keep_freed_memory()
    return Compute(
        device=place.device,
        precision=_precision(precision, place.device),
        threads=threads,
        seed=seed,
        rank=place.process_index,
        processes=place.num_processes,
    )


def _state(device: str) -> PartialState:
    """accelerate's record of this process; made anew when an earlier one stands for another device."""
    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device not in ("auto", "cpu", found):
        raise ValueError(f"device is {device!r}, but torch finds only {found!r} here; set device to auto or cpu")
    on_cpu = device == "cpu" or found == "cpu" or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    wanted = "cpu" if on_cpu else found
    state = PartialState(cpu=on_cpu)
    if state.device.type != wanted:
        AcceleratorState._reset_state(reset_partial_state=True)
        state = PartialState(cpu=on_cpu)
    return state


def _precision(precision: str, device: torch.device) -> str:
    if precision == "auto":
        return "bf16" if _has_bf16(device) else "no"
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision is fp16, which needs a GPU; set precision to auto, bf16 or no, or another device")
    return precision


def _has_bf16(device: torch.device) -> bool:
    """Whether bf16 is arithmetic of this device, not an emulation that is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def _be_deterministic() -> None:
    """Same bits from run to run; where torch has no such kernel it warns instead of failing.

    `use_deterministic_algorithms` would do the same, but imports torch's compiler first: a second of every stage.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    torch.backends.cudnn.benchmark = False
    torch.set_deterministic_debug_mode("warn")
    # Filling memory that is about to be overwritten only costs time: we read nothing uninitialised.
    torch.utils.deterministic.fill_uninitialized_memory = False


def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory instead of returning it to the system; True where that was possible.

    Every training step frees and asks for the same large buffers. By default each of them is a fresh
    mmap that the kernel zeroes page by page, a quarter of the step of a small conv net. All threads
    share two arenas: memory that each thread kept for itself would be a third of a stage's peak.
    Constants from glibc's malloc.h; nothing happens on other systems.
    """
    if not sys.platform.startswith("linux"):
        return False
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc, musl for one
        return False
    settings = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 2**28), (arena_max, 2))
    return all([mallopt(option, value) == 1 for option, value in settings])
