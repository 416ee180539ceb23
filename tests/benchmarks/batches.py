"""The second part of `make bench`: which batch size trains the latent action model fastest, and what memory it takes.

The default model of params.yaml on frames of the default size, a fresh process a batch size, threads as in params.yaml.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from stages.episodes.store import EpisodeStore
from stages.latent_actions.learning import LatentActionTask
from stages.latent_actions.transitions import transitions_of
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings, fit
from stages.models.latent_action import LatentActionDesign, LatentActionModel
from stages.params import read_params
from stages.train_latent_action import statistics_of
from tests.benchmarks import page
from tests.benchmarks.material import make_material

SIZES = (16, 32, 64, 128, 256)
PAIRS = 1536  # learned from at each size


class Cut:
    """The task on its first `PAIRS` transitions alone, without validation; notes when each pass through them ends."""

    monitor, maximise = "loss", False

    def __init__(self, task: LatentActionTask):
        self.model, self.loss, self.after_step = task.model, task.loss, task.after_step
        self._order = task.order(0)[:PAIRS]
        self.ends: list[float] = []

    def order(self, number: int):
        return self._order

    def validate(self, model) -> dict[str, float]:
        self.ends.append(time.perf_counter())
        return {"loss": 0.0}


def measure(folder: Path, batch: int) -> dict[str, float]:
    """Pairs a second of the second pass (the first one warms up) and the process's highest memory in GB."""
    params = read_params()
    own = params.latent_action
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(folder / "episodes.zarr")
    train, val = (
        transitions_of(store, split, past_frames=own.past_frames, gap=own.frame_gap, limit_gb=1.0)
        for split in ("train", "val")
    )
    channels, height, width = train.bank.shape
    model = LatentActionModel(
        LatentActionDesign.from_section(own, labels=0, height=height, width=width, in_channels=channels)
    )
    model.views.set_statistics(*statistics_of(train))
    task = Cut(LatentActionTask(model, train, val, own, compute, quantise_after=2))
    a_pass = math.ceil(PAIRS / (batch * params.training.accumulate))
    asked = {"steps": 2 * a_pass, "evaluate_every": a_pass, "batch_size": batch}
    settings = FitSettings.from_sections(own.model_dump() | asked, params.training)
    fit(task, settings, compute, live=None, scratch=folder / f"batch_{batch}", name=f"batch {batch}")
    memory = psutil.Process().memory_info()
    peak = getattr(memory, "peak_wset", None) or _peak_bytes()
    return {"pairs_s": PAIRS / (task.ends[1] - task.ends[0]), "peak_gb": peak / 1e9}


def _peak_bytes() -> int:
    import resource  # not on Windows, which has peak_wset

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_in_child(folder: Path, batch: int) -> dict[str, float]:
    """`measure` in a process of its own: memory that one batch size has used would count for the next."""
    command = [sys.executable, "-m", "tests.benchmarks.batches", "--folder", str(folder), "--batch", str(batch)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="material that was made before (of the child)")
    parser.add_argument("--batch", type=int, help="measure this size alone (of the child)")
    options = parser.parse_args()
    if options.batch:
        print(json.dumps(measure(options.folder, options.batch)))
        return
    with tempfile.TemporaryDirectory(prefix="understudy-benchmark-") as name:
        make_material(Path(name))
        found = {batch: measure_in_child(Path(name), batch) for batch in SIZES}
    best = max(found, key=lambda batch: found[batch]["pairs_s"])
    rows = [[str(batch), f"{each['pairs_s']:.0f}", f"{each['peak_gb']:.2f}"] for batch, each in found.items()]
    params = read_params()
    note = f"The default model, {params.threads} threads; fastest: {best} (default: {params.latent_action.batch_size})."
    page.write_part("Latent action batches", [note, "", *page.table(["Batch", "Pairs a second", "Peak GB"], rows)])
    print(f"wrote {page.PAGE}: fastest batch {best}")


if __name__ == "__main__":
    main()
