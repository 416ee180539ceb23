"""The one fit loop: every model of the project is trained by `fit`.

A `Task` says what is learned (samples, loss, validation), `FitSettings` how, `Compute` where.
Mixed precision and several processes come from Hugging Face accelerate. A step's batch is shared
out among the processes and its loss is the mean of theirs: their number changes speed, and what is
learned only as far as a loss weighs samples within its own part of the batch (see `weighted_mse`).
"""

import contextlib
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast
from torch import Tensor, nn
from tqdm import tqdm

from stages.learning.compute import Compute
from stages.learning.fast.dropout import seed_dropout
from stages.learning.fast.replicas import Replicas
from stages.learning.resume import AVERAGE, load_checkpoint, save_checkpoint, scratch_folder
from stages.learning.task import FitResult, FitSettings, Task, learning_rate

__all__ = ["FitResult", "FitSettings", "Task", "fit", "learning_rate", "open_live", "scratch_folder"]

SMALLEST_PART = 16  # samples of a batch that are worth a thread: with fewer, two threads are no faster than one


def fit(task: Task, settings: FitSettings, compute: Compute, *, live, scratch: Path, name: str) -> FitResult:
    """Trains `task.model` and leaves it with the best weights, in eval mode, on the compute device.

    A run that was killed goes on from its last checkpoint in `scratch` and ends with the same weights;
    `scratch` is removed at the end. Metrics go to `live` (a dvclive.Live or None), one row an evaluation.
    Raises ValueError when a loss is not finite.
    """
    run = _Run(task, settings, compute, scratch, name)
    try:
        return run.finish(live)
    finally:
        run.release()


def open_live(directory: str | Path, compute: Compute):
    """A quiet dvclive log of a training, a context manager; None in the processes that do not write."""
    if not compute.is_main:
        return contextlib.nullcontext()
    os.environ.setdefault("DVCLIVE_LOGLEVEL", "ERROR")
    from dvclive import Live  # it reads the log level when imported

    return Live(str(directory), dvcyaml=False, save_dvc_exp=False)


class _Run:
    """One training in progress."""

    def __init__(self, task: Task, settings: FitSettings, compute: Compute, scratch: Path, name: str):
        self.task, self.settings, self.compute = task, settings, compute
        self.scratch, self.name = Path(scratch), name
        self.started = self.saved_at = time.monotonic()
        self.raw = task.model.to(device=compute.device, memory_format=compute.memory_format)
        self.samples = len(task.order(0))
        if not self.samples:
            raise ValueError(f"{name}: there is nothing to learn from, the train split has no sample")
        self.step_size = settings.batch_size * settings.accumulate
        self.accelerator = _accelerator(compute)
        self.adam = _adam(self.raw, settings)
        self.identity = _identity(settings, compute, self.samples)
        self.progress, self.best = load_checkpoint(self.scratch, self.identity, self.raw, self.adam)
        self.resumed_from = self.progress.step
        self.seconds_before = self.progress.seconds
        if self.progress.scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)
        self.replicas = Replicas(self.raw, _replicas(task, compute, settings.batch_size))
        # What accelerate wraps it in is for scaled losses, and looks for a package on the disk twice a step.
        self.optimizer = self.adam if self.accelerator.scaler is None else self.accelerator.prepare(self.adam)
        self.replicas.models = [self.accelerator.prepare_model(model) for model in self.replicas.models]
        self.model = self.replicas.models[0]

    def finish(self, live) -> FitResult:
        self.accelerator.wait_for_everyone()  # all have read the checkpoint before the first is replaced
        for row in self.progress.history:
            _log(live, row)
        with _bar(self.name, self.settings.steps, self.progress.step, self.compute.is_main) as bar:
            while not self._why_stopped():
                with self.replicas.at_work():
                    self._learn_until_evaluation(bar)
                row = self._evaluate()
                _log(live, row)
                bar.set_postfix_str(f"{self.task.monitor} {row['val/' + self.task.monitor]:.4g}")
        self.raw.load_state_dict(self.best)
        self.raw.eval()
        self.accelerator.wait_for_everyone()
        if self.compute.is_main:
            shutil.rmtree(self.scratch, ignore_errors=True)
        done = self.progress
        return FitResult(
            self.settings.steps, done.step, done.best_step, done.best, self.task.monitor, self._why_stopped(),
            done.passes, done.history, self.resumed_from, self._seconds(),
        )  # fmt: skip

    def release(self) -> None:
        """Undoes what accelerate did to the model, so that it can be saved, copied or trained again."""
        for name in ("forward", "_original_forward", "_is_accelerate_prepared"):
            self.raw.__dict__.pop(name, None)
        self.accelerator.free_memory()
        self.replicas.release()

    def _why_stopped(self) -> str:
        """Why no further step is made, in words; empty while there is one to make."""
        if self.progress.evaluations_without_gain >= self.settings.patience:
            return f"no gain in {self.settings.patience} evaluations"
        return "all steps made" if self.progress.step >= self.settings.steps else ""

    def _learn_until_evaluation(self, bar: tqdm) -> None:
        """The steps up to the next evaluation that are not yet made; the last evaluation is after the last step."""
        progress, every = self.progress, self.settings.evaluate_every
        until = min((progress.step // every + 1) * every, self.settings.steps)
        for model in self.replicas.models:
            model.train()
        order = self._order()
        while progress.step < until:
            batch = order[progress.position : progress.position + self.step_size]
            self._step(batch)
            progress.position += len(batch)
            progress.seen += len(batch)
            progress.step += 1
            if progress.position >= self.samples:
                progress.passes, progress.position = progress.passes + 1, 0
                order = self._order()
            bar.update()
            if time.monotonic() - self.saved_at >= self.settings.checkpoint_s and progress.step < until:
                self._save()

    def _order(self) -> np.ndarray:
        """The samples in the order of the present pass."""
        order = np.asarray(self.task.order(self.progress.passes))
        if len(order) != self.samples:
            raise ValueError(
                f"{self.name}: pass 0 has {self.samples} samples, pass {self.progress.passes} {len(order)}"
            )
        return order

    def _step(self, batch: np.ndarray) -> None:
        progress, settings = self.progress, self.settings
        self._seed(1, progress.step, self.compute.rank)
        values = self._gradients(batch)
        self._require_finite(values["loss"])
        self._clip(settings.clip_norm)
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(progress.step, settings)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if settings.ema_decay:
            self._move_average()
        if hasattr(self.task, "after_step"):
            self._seed(2, progress.step)
            self.task.after_step(progress.step)
        for name, value in values.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + value * len(batch)

    @torch.no_grad()
    def _move_average(self) -> None:
        """Moves the average of the weights towards them, faster at first: what training began with is soon forgotten.

        It stands beside Adam's moments, and so in the checkpoints.
        """
        decay = min(self.settings.ema_decay, (self.progress.step + 1) / (self.progress.step + 10))
        for parameter in self.raw.parameters():
            state = self.adam.state[parameter]
            if AVERAGE in state:
                state[AVERAGE].lerp_(parameter, 1 - decay)
            elif state:
                state[AVERAGE] = parameter.detach().clone()

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with the average of its weights, where there is one."""
        averages = {p: self.adam.state[p][AVERAGE] for p in self.raw.parameters() if AVERAGE in self.adam.state[p]}
        latest = {parameter: parameter.detach().clone() for parameter in averages}
        with torch.no_grad():
            for parameter, average in averages.items():
                parameter.copy_(average)
        yield
        with torch.no_grad():
            for parameter, value in latest.items():
                parameter.copy_(value)

    def _gradients(self, batch: np.ndarray) -> dict[str, float]:
        """Adds up the gradients of the batch's mean loss, piece by piece; returns the logged means."""
        processes, rank = self.compute.processes, self.compute.rank
        pieces = self.settings.accumulate * processes
        total = max(len(batch), pieces)
        # A last batch with fewer samples than pieces repeats some: every process must take part.
        own = np.array_split(np.resize(batch, total), pieces)[rank::processes]
        values: dict[str, Tensor] = {}
        for index, piece in enumerate(own):
            last = index == len(own) - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                parts = self.replicas.learn(piece, partial(self._learn, total=total))
            for part in parts:
                values = {name: values.get(name, 0.0) + value for name, value in part.items()}
        sums = torch.stack([value.to(self.compute.device) for value in values.values()])
        return dict(zip(values, self.accelerator.reduce(sums, "sum").tolist(), strict=True))

    def _learn(self, model: nn.Module, samples: np.ndarray, total: int) -> dict[str, Tensor]:
        """Adds these samples' share of the gradients of a batch of `total`; returns their share of the logged means."""
        seed_dropout(self._drawn(4, self.progress.step, int(samples[0])))
        loss, further = self.task.loss(model, samples)
        share = len(samples) / total
        self.accelerator.backward(loss * (share * self.compute.processes))  # accelerate averages over processes
        return {
            name: torch.as_tensor(value).detach().float() * share for name, value in {"loss": loss, **further}.items()
        }

    def _clip(self, longest: float) -> None:
        """Shortens the gradient to `longest` where it is longer; torch multiplies it by 1 where it is not."""
        self.accelerator.unscale_gradients()
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters])
        if norm > longest:
            nn.utils.clip_grads_with_norm_(parameters, longest, norm)

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"{self.name}: the loss is {loss} at step {self.progress.step}; try a smaller learning_rate or "
                f"clip_norm, more warmup_steps, or precision: 'no', and look for NaN in the data"
            )

    def _evaluate(self) -> dict:
        """Validates, keeps the best weights, writes a checkpoint; returns the row of the evaluation."""
        progress = self.progress
        row = {"step": progress.step}
        row |= {f"train/{name}": total / progress.seen for name, total in progress.sums.items()}
        with self._averaged():
            metrics = self._validate()
            self._keep_best(metrics[self.task.monitor])
        row |= {f"val/{name}": value if math.isfinite(value) else None for name, value in metrics.items()}
        row["learning_rate"] = learning_rate(progress.step - 1, self.settings)
        progress.history.append(row)
        progress.sums, progress.seen = {}, 0
        self._save()
        return row

    def _validate(self) -> dict[str, float]:
        self._seed(3, self.progress.step)
        self.raw.eval()
        with torch.no_grad():
            metrics = {name: float(value) for name, value in self.task.validate(self.raw).items()}
        if self.compute.processes == 1:
            return metrics
        # Every process validates the same data; the first one's numbers decide for all.
        values = torch.tensor(list(metrics.values()), dtype=torch.float64, device=self.compute.device)
        return dict(zip(metrics, broadcast(values).tolist(), strict=True))

    def _keep_best(self, value: float) -> None:
        progress = self.progress
        if not math.isfinite(value):
            raise ValueError(
                f"{self.name}: {self.task.monitor} on the validation data is {value}; is the split too small?"
            )
        gain = progress.best is None or (value > progress.best if self.task.maximise else value < progress.best)
        progress.evaluations_without_gain = 0 if gain else progress.evaluations_without_gain + 1
        if gain:
            progress.best, progress.best_step = value, progress.step
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.raw.state_dict().items()}

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if not self.compute.is_main:
            return
        self.progress.seconds = self._seconds()
        if self.accelerator.scaler is not None:
            self.progress.scaler = self.accelerator.scaler.state_dict()
        save_checkpoint(self.scratch, self.identity, self.progress, self.raw, self.adam, self.best)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _seed(self, *what: int) -> None:
        """Random numbers (dropout, codebooks) are a function of the seed and the step: a resumed run draws the same."""
        seed = self._drawn(*what)
        # torch.manual_seed would queue a call for every backend that is not in use: slow, and never freed.
        torch.default_generator.manual_seed(seed)
        if self.compute.device.type != "cpu":
            torch.get_device_module(self.compute.device).manual_seed(seed)

    def _drawn(self, *what: int) -> int:
        """A seed for what is named by these numbers, none below 0."""
        return int(np.random.SeedSequence([self.compute.seed, *what]).generate_state(1, np.uint64)[0])


def _replicas(task: Task, compute: Compute, batch_size: int) -> int | None:
    """How many threads share out a batch, where the model says that its samples are independent; else None."""
    if not getattr(task.model, "independent_samples", False):
        return None
    for name, part in task.model.named_modules():
        draws = isinstance(part, nn.RReLU) or isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0
        draws |= isinstance(part, (nn.RNNBase, nn.MultiheadAttention)) and part.dropout > 0
        looks_around = isinstance(part, nn.modules.batchnorm._BatchNorm) or getattr(part, "track_running_stats", False)
        if draws or looks_around:
            raise ValueError(
                f"{type(task.model).__name__} says independent_samples, but its part {name} is a "
                f"{type(part).__name__}, which looks at the whole batch or draws from the generator that all threads "
                f"share; take GroupNorm and learning/fast/dropout.py, or say independent_samples = False"
            )
    if compute.device.type != "cpu" or compute.processes > 1:
        return None
    return max(min(compute.threads, batch_size // SMALLEST_PART), 1)


def _accelerator(compute: Compute) -> Accelerator:
    # accelerate keeps one precision a process; a second training (tests, notebooks) may want another.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision=compute.precision, cpu=compute.device.type == "cpu")


def _adam(model: nn.Module, settings: FitSettings) -> torch.optim.AdamW:
    """AdamW that decays matrices and kernels but no bias and no scale of a normalisation."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def _identity(settings: FitSettings, compute: Compute, samples: int) -> dict:
    """What must be equal for a checkpoint to lead to the same weights."""
    how = {"precision": compute.precision, "threads": compute.threads, "seed": compute.seed}
    where = {"device": compute.device.type, "processes": compute.processes, "torch": torch.__version__}
    return {**asdict(settings), **how, **where, "samples": samples}


def _bar(name: str, total: int, done: int, shown: bool) -> tqdm:
    # In a log file every refresh is a line of its own: seldom there, often on a screen.
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(desc=name, total=total, initial=done, unit="step", disable=not shown, mininterval=interval)


def _log(live, row: dict) -> None:
    if live is None:
        return
    live.step = row["step"]
    for name, value in row.items():
        if name != "step" and value is not None:
            live.log_metric(name, value)
    live.next_step()
