"""Tests of stages.learning.training and stages.learning.resume."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stages.learning.checkpoints import load_tensors
from stages.learning.compute import prepare_compute
from stages.learning.resume import Progress, load_checkpoint, save_checkpoint
from stages.learning.training import FitSettings, fit, learning_rate, open_live, scratch_folder

SETTINGS = FitSettings(
    steps=18,
    evaluate_every=6,
    batch_size=8,
    learning_rate=0.01,
    final_learning_rate=0.001,
    patience=3,
    clip_norm=1.0,
    accumulate=1,
    weight_decay=0.01,
    warmup_steps=4,
    checkpoint_s=1000.0,
)


def settings(**changes) -> FitSettings:
    return FitSettings(**{**SETTINGS.__dict__, **changes})


class Killed(Exception):
    """Stands for kill -9: nothing of the loop catches it."""


class ConvTask:
    """A small channels_last conv net with dropout that learns the mean brightness of noise images."""

    monitor = "error"
    maximise = False

    def __init__(self, seed=0, die_at=None, samples=44):
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(8 * 9, 1),
        )  # fmt: skip
        rng = np.random.default_rng(1)
        self.images = torch.from_numpy(rng.random((samples, 3, 8, 8), dtype=np.float32))
        self.targets = self.images.mean(dim=(1, 2, 3)) * 5
        self.die_at, self.calls, self.batches = die_at, 0, []

    def order(self, number):
        return np.random.default_rng([5, number]).permutation(len(self.images))

    def loss(self, model, samples):
        self.calls += 1
        if self.calls == self.die_at:
            raise Killed
        self.batches.append(samples)
        x = self.images[samples].contiguous(memory_format=torch.channels_last)
        error = (model(x)[:, 0] - self.targets[samples]).square()
        return error.mean(), {"worst": error.max()}

    def validate(self, model):
        x = self.images.contiguous(memory_format=torch.channels_last)
        return {"error": (model(x)[:, 0] - self.targets).square().mean().item(), "undefined": float("nan")}


class LineTask:
    """y = 3 x with one weight, full batches; validation gives the values it is told to."""

    monitor = "score"
    maximise = True

    def __init__(self, samples=12, scores=(), factor=1.0):
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self.x = torch.linspace(-1, 1, samples)[:, None]
        self.scores, self.factor, self.steps, self.seen = list(scores), factor, [], []

    def order(self, number):
        return np.arange(len(self.x))

    def loss(self, model, samples):
        return (model(self.x[samples]) - 3 * self.x[samples]).square().mean() * self.factor, {}

    def validate(self, model):
        self.seen.append(weights(self))
        return {"score": self.scores.pop(0) if self.scores else len(self.seen)}

    def after_step(self, step):
        self.steps.append(step)


def weights(task):
    return {name: value.clone() for name, value in task.model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(params=["no", "bf16"])
def compute(request):
    return prepare_compute("cpu", request.param, threads=1, seed=3)


@pytest.fixture
def fp32():
    return prepare_compute("cpu", "no", threads=1, seed=3)


def train(task, compute, scratch, live=None, **changes):
    return fit(task, settings(**changes), compute, live=live, scratch=scratch, name="test")


def test_same_seed_gives_the_same_bits(compute, tmp_path):
    first, second = ConvTask(), ConvTask()
    one, two = train(first, compute, tmp_path / "a"), train(second, compute, tmp_path / "b")
    assert same(weights(first), weights(second))
    assert one.history == two.history
    other = ConvTask()
    train(other, prepare_compute("cpu", compute.precision, threads=1, seed=4), tmp_path / "c")
    assert not same(weights(first), weights(other))


# 6 steps a pass and an evaluation: in the first, at its end, in the second
@pytest.mark.parametrize(
    ("die_at", "precision", "ema_decay"), [(2, "no", 0.0), (6, "bf16", 0.0), (9, "no", 0.9), (9, "bf16", 0.0)]
)
def test_a_killed_run_ends_with_the_same_weights(tmp_path, die_at, precision, ema_decay):
    compute = prepare_compute("cpu", precision, threads=1, seed=3)
    whole = ConvTask()
    expected = train(whole, compute, tmp_path / "whole", ema_decay=ema_decay)
    killed = ConvTask(die_at=die_at)
    with pytest.raises(Killed):
        train(killed, compute, tmp_path / "scratch", checkpoint_s=1e-9, ema_decay=ema_decay)
    resumed = ConvTask(seed=99)  # other initial weights: everything must come from the checkpoint
    found = train(resumed, compute, tmp_path / "scratch", checkpoint_s=1e-9, ema_decay=ema_decay)
    assert found.resumed_from_step == die_at - 1
    assert same(weights(whole), weights(resumed))
    assert (found.history, found.best, found.best_step) == (expected.history, expected.best, expected.best_step)
    assert not (tmp_path / "scratch").exists()


def test_the_average_of_the_weights_is_judged_and_kept_and_learning_goes_on_from_the_last_ones(fp32, tmp_path):
    def followed(**changes):
        task, after = LineTask(scores=[1, 2, 3]), []
        task.after_step = lambda step: after.append(task.model.weight.item())
        train(task, fp32, tmp_path / str(len(changes)), steps=6, evaluate_every=2, batch_size=12, **changes)
        return task, after

    plain, weight = followed()
    averaged, weight_too = followed(ema_decay=0.5)
    assert weight_too == weight
    average = weight[0]
    for step, latest in enumerate(weight[1:], start=1):
        decay = min(0.5, (step + 1) / (step + 10))
        average = decay * average + (1 - decay) * latest
    assert averaged.model.weight.item() == pytest.approx(average, rel=1e-6) != plain.model.weight.item()
    assert averaged.seen[-1]["weight"].item() == averaged.model.weight.item()


def test_without_a_checkpoint_in_the_middle_a_run_goes_on_from_an_evaluation(fp32, tmp_path):
    whole, resumed = ConvTask(), ConvTask(seed=99)
    train(whole, fp32, tmp_path / "whole")
    with pytest.raises(Killed):
        train(ConvTask(die_at=10), fp32, tmp_path / "scratch")
    assert train(resumed, fp32, tmp_path / "scratch").resumed_from_step == 6
    assert same(weights(whole), weights(resumed))


def test_a_run_killed_twice_and_one_killed_after_its_last_evaluation(fp32, tmp_path, monkeypatch):
    whole, last = ConvTask(), ConvTask(seed=99)
    train(whole, fp32, tmp_path / "whole")
    for die_at in (5, 3):
        with pytest.raises(Killed):
            train(ConvTask(die_at=die_at), fp32, tmp_path / "scratch", checkpoint_s=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr("stages.learning.training.shutil.rmtree", lambda *args, **kwargs: None)
        assert train(ConvTask(seed=7), fp32, tmp_path / "scratch", checkpoint_s=1e-9).resumed_from_step == 6
    assert train(last, fp32, tmp_path / "scratch", checkpoint_s=1e-9).resumed_from_step == 18
    assert same(weights(whole), weights(last))


def test_moments_come_back_in_the_memory_format_of_their_weights(tmp_path):
    def made():
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return conv, torch.optim.AdamW(conv.parameters(), fused=True)

    conv, adam = made()
    conv(torch.rand(2, 3, 5, 5)).square().mean().backward()
    adam.step()
    save_checkpoint(tmp_path, {"a": 1}, Progress(step=1), conv, adam, {})
    loaded, other = made()
    progress, best = load_checkpoint(tmp_path, {"a": 1}, loaded, other)
    assert (progress, best) == (Progress(step=1), {})
    for key in ("exp_avg", "exp_avg_sq"):
        moment = other.state[loaded.weight][key]
        assert moment.stride() == loaded.weight.stride() == conv.weight.stride()
        assert not moment.is_contiguous()
        assert torch.equal(moment, adam.state[conv.weight][key])


def test_a_checkpoint_of_another_training_is_refused(fp32, tmp_path):
    with pytest.raises(Killed):
        train(ConvTask(die_at=3), fp32, tmp_path, checkpoint_s=1e-9)
    with pytest.raises(ValueError, match="is of another training: learning_rate was 0.01, now 0.5; delete"):
        train(ConvTask(), fp32, tmp_path, checkpoint_s=1e-9, learning_rate=0.5)


def test_no_pickle_is_written(fp32, tmp_path):
    with pytest.raises(Killed):
        train(ConvTask(die_at=3), fp32, tmp_path, checkpoint_s=1e-9)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["progress.json", "state.safetensors"]
    names = load_tensors(next(path for path in files if path.name == "state.safetensors"))
    assert {"model/0.weight", "adam/exp_avg/0.weight", "adam/step/0.bias"} <= names.keys()


def test_early_stopping_restores_the_best_weights(fp32, tmp_path):
    task = LineTask(scores=[0.1, 0.5, 0.4, 0.5, 0.9])
    result = train(task, fp32, tmp_path, steps=18, evaluate_every=2, patience=2)
    assert (result.best_step, result.best, result.steps_made) == (4, 0.5, 8)  # equal is no gain
    assert result.why_stopped == "no gain in 2 evaluations" and result.passes == 4
    assert same(weights(task), task.seen[1])
    assert not same(weights(task), task.seen[3])
    assert not task.model.training


def test_a_smaller_monitor_wins_unless_maximised(fp32, tmp_path):
    task = LineTask(scores=[0.3, 0.1, 0.2])
    task.maximise = False
    result = train(task, fp32, tmp_path, steps=6, evaluate_every=2)
    assert result.best_step == 4 and result.why_stopped == "all steps made"


def test_accumulated_batches_make_the_step_of_one_large_batch(fp32, tmp_path):
    large, small, uneven = LineTask(), LineTask(), LineTask(samples=13)
    train(large, fp32, tmp_path / "a", batch_size=12, steps=3)
    train(small, fp32, tmp_path / "b", batch_size=4, accumulate=3, steps=3)
    assert torch.allclose(large.model.weight, small.model.weight, rtol=1e-6)
    assert large.steps == small.steps == [0, 1, 2]
    train(uneven, fp32, tmp_path / "c", batch_size=4, accumulate=3, steps=6)  # the last step has 1 sample for 3 pieces
    assert uneven.steps == [0, 1, 2, 3, 4, 5]


def test_clipping_bounds_the_gradient_and_leaves_a_shorter_one(fp32, tmp_path, monkeypatch):
    norms = []

    def step(self, closure=None):
        parameters = [p for group in self.param_groups for p in group["params"]]
        norms.append(torch.cat([p.grad.flatten() for p in parameters]).norm().item())

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    train(LineTask(), fp32, tmp_path, steps=2, clip_norm=0.25)
    assert norms == pytest.approx([0.25] * 2, rel=1e-4)
    norms.clear()
    train(LineTask(), fp32, tmp_path, steps=2, clip_norm=1e6)
    longer = list(norms)
    train(LineTask(), fp32, tmp_path, steps=2, clip_norm=1e12)
    assert norms == longer * 2 and min(longer) > 0.25


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_says_what_to_try(fp32, tmp_path, factor):
    with pytest.raises(ValueError, match="test: the loss is (nan|inf) at step 0; try a smaller learning_rate"):
        train(LineTask(factor=factor), fp32, tmp_path)


def test_a_monitor_that_is_not_finite_is_an_error(fp32, tmp_path):
    with pytest.raises(ValueError, match="score on the validation data is nan"):
        train(LineTask(scores=[float("nan")]), fp32, tmp_path)


def test_nothing_to_learn_from(fp32, tmp_path):
    with pytest.raises(ValueError, match="the train split has no sample"):
        train(LineTask(samples=0), fp32, tmp_path)


def test_the_model_is_left_as_it_came(compute, tmp_path):
    task = ConvTask()
    before = set(vars(task.model))
    train(task, compute, tmp_path, steps=2)
    assert set(vars(task.model)) == before  # accelerate's autocast is off
    assert task.model(task.images[:1]).dtype == torch.float32


def test_learning_rate_warms_up_and_falls():
    long = settings(steps=24)
    rates = [learning_rate(step, long) for step in range(24)]
    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert rates[4] == pytest.approx(0.01)
    assert rates[14] == pytest.approx((0.01 + 0.001) / 2)  # half way down the cosine
    assert learning_rate(24, long) == pytest.approx(0.001)
    assert learning_rate(0, settings(steps=10)) == pytest.approx(0.005)  # a warm-up of a fifth of 10 steps
    assert learning_rate(0, settings(steps=1)) == pytest.approx(0.01)


def test_a_training_is_as_long_as_its_steps_whatever_was_recorded(fp32, tmp_path):
    few, many = LineTask(samples=3), LineTask(samples=1000)
    short, long = (train(task, fp32, tmp_path / str(len(task.x)), steps=7, evaluate_every=3) for task in (few, many))
    assert few.steps == many.steps == list(range(7))
    assert [row["step"] for row in short.history] == [row["step"] for row in long.history] == [3, 6, 7]
    assert (short.passes, long.passes) == (7, 0)
    assert [row["learning_rate"] for row in short.history] == [row["learning_rate"] for row in long.history]


def test_a_model_that_only_says_it_is_independent_is_refused(tmp_path):
    compute = prepare_compute("cpu", "no", threads=2, seed=3)
    parts = (
        nn.BatchNorm2d(8),
        nn.Dropout(0.1),
        nn.InstanceNorm2d(8, track_running_stats=True),
        nn.LSTM(8, 8, 2, dropout=0.5),
    )
    for part in parts:
        words = f"0.1 is a {type(part).__name__}"
        task = ConvTask()
        task.model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), part), nn.Flatten(), nn.Linear(8 * 36, 1))
        task.model.independent_samples = True
        with pytest.raises(ValueError, match=f"says independent_samples, but its part {words}"):
            train(task, compute, tmp_path)
    torch.set_num_threads(1)


def test_settings_come_from_two_sections():
    fit_section = {"steps": 18, "evaluate_every": 6, "patience": 3, "batch_size": 8}
    fit_section |= {"learning_rate": 0.01, "final_learning_rate": 0.001}
    shared = {"clip_norm": 1.0, "accumulate": 1, "weight_decay": 0.01, "warmup_steps": 4, "checkpoint_s": 1000.0}
    found = FitSettings.from_sections({**fit_section, "hidden": [1]}, {**shared, "frames_in_ram_gb": 4.0})
    assert found == SETTINGS


def test_dvclive_has_every_evaluation_after_a_resume(fp32, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # dvclive looks for a DVC repository around it
    with pytest.raises(Killed), open_live(tmp_path / "live", fp32) as live:
        train(ConvTask(die_at=9), fp32, tmp_path / "scratch", live)
    with open_live(tmp_path / "live", fp32) as live:
        result = train(ConvTask(), fp32, tmp_path / "scratch", live)
    assert result.resumed_from_step == 6
    for name in ("train/loss", "train/worst", "val/error", "learning_rate"):
        rows = (tmp_path / "live/plots/metrics" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        assert [row.split("\t")[0] for row in rows] == ["6", "12", "18"]
        assert [float(row.split("\t")[1]) for row in rows] == [row[name] for row in result.history]
    assert result.history[0]["val/undefined"] is None
    assert not (tmp_path / "live/plots/metrics/val/undefined.tsv").exists()


def test_scratch_folder_is_a_function_of_params_and_inputs(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "a").write_bytes(b"1")
    first = scratch_folder("policy", {"x": 1, "y": 2}, [store])
    assert first.parent == Path(".resume") and first.name.startswith("policy-")
    assert scratch_folder("policy", {"y": 2, "x": 1}, [store]) == first
    assert scratch_folder("policy", {"x": 1, "y": 3}, [store]) != first
    (store / "a").write_bytes(b"2")
    assert scratch_folder("policy", {"x": 1, "y": 2}, [store]) != first


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]) / "tests"))
from test_training import LineTask, settings
from stages.learning.checkpoints import save_model
from stages.learning.compute import prepare_compute
from stages.learning.training import fit

compute = prepare_compute("cpu", "no", threads=1, seed=3)
assert compute.processes == 2
task, out = LineTask(samples=13), Path(sys.argv[2])
fit(task, settings(batch_size=6), compute, live=None, scratch=out / "scratch", name="test")
save_model(out / f"rank{compute.rank}", task.model, {})
"""


def test_two_processes_learn_what_one_does(fp32, tmp_path):
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    root = Path(__file__).parents[1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "PYTHONPATH": str(root), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}  # what torchrun and accelerate launch set
    command = [sys.executable, str(tmp_path / "worker.py"), str(root), str(tmp_path)]
    ranks = [
        subprocess.Popen(command, env={**shared, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(errors)
    learned = [load_tensors(tmp_path / f"rank{rank}/model.safetensors") for rank in (0, 1)]
    assert same(*learned)
    alone = LineTask(samples=13)
    train(alone, fp32, tmp_path / "alone", batch_size=6)
    assert torch.allclose(alone.model.weight, learned[0]["weight"], rtol=1e-5)


def test_threads_that_share_a_batch_repeat_their_bits_and_learn_what_one_learns(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.learning.training.SMALLEST_PART", 4)

    def trained(threads, name):
        task = ConvTask()
        task.model[5] = nn.Identity()  # samples that draw no random numbers are independent
        task.model.independent_samples = True
        fit(task, SETTINGS, prepare_compute("cpu", "no", threads, 0), live=None, scratch=tmp_path / name, name=name)
        return weights(task), len(task.batches)

    (one, batches), (two, halves), (again, _) = trained(1, "one"), trained(2, "two"), trained(2, "again")
    torch.set_num_threads(1)
    assert halves == 2 * batches
    assert same(two, again)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("drawing", [nn.Dropout(0.1), nn.BatchNorm1d(1), nn.GRU(1, 1, 2, dropout=0.1)])
def test_parts_that_threads_would_share_are_refused(drawing, fp32, tmp_path):
    task = LineTask()
    task.model.add_module("part", drawing)
    task.model.independent_samples = True
    with pytest.raises(ValueError, match="says independent_samples, but its part part is a"):
        train(task, fp32, tmp_path)


def test_a_dropout_of_none_draws_nothing(fp32, tmp_path):
    task = LineTask()
    task.model.add_module("part", nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0))
    task.model.independent_samples = True
    assert train(task, fp32, tmp_path).steps_made == SETTINGS.steps


def test_a_small_batch_is_not_shared_out_and_takes_one_thread(tmp_path):
    class Watched(LineTask):
        def loss(self, model, samples):
            self.threads = getattr(self, "threads", set()) | {torch.get_num_threads()}
            return super().loss(model, samples)

    found = {}
    for independent in (True, False):
        task = Watched(samples=16)
        task.model.independent_samples = independent
        fit(task, SETTINGS, prepare_compute("cpu", "no", 2, 0), live=None, scratch=tmp_path / "s", name="small")
        found[independent] = task.threads
    torch.set_num_threads(1)
    assert found == {True: {1}, False: {2}}  # beside other programs torch's own threads wait for each other


def test_the_bar_says_how_fast_and_how_large(fp32, tmp_path, capsys):
    train(ConvTask(), fp32, tmp_path / "scratch")
    assert re.search(r"error [0-9.e-]+, [1-9][0-9]* samples/s, [0-9]+\.[0-9] GB", capsys.readouterr().err)


def test_weights_of_every_second_evaluation_are_kept_through_a_kill(fp32, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Killed), open_live(tmp_path / "live", fp32) as live:
        train(ConvTask(die_at=9), fp32, tmp_path / "scratch", live, keep_checkpoints=2, evaluate_every=3)
    shutil.rmtree(tmp_path / "live")  # as DVC does before it runs a stage again
    with open_live(tmp_path / "live", fp32) as live:
        task = ConvTask()
        result = train(task, fp32, tmp_path / "scratch", live, keep_checkpoints=2, evaluate_every=3)
    steps = [row["step"] for row in result.history]
    kept = {path.name: path for path in (tmp_path / "checkpoints").iterdir()}
    assert sorted(kept) == [f"step_{step:06d}.safetensors" for step in steps[1::2]]
    assert result.best_step in steps[1::2]
    best = load_tensors(kept[f"step_{result.best_step:06d}.safetensors"])
    assert same(best, task.model.state_dict())
