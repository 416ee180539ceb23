"""The kinds of policies that read frames."""

import pytest
import torch

from stages.models.policies.pictures import Pooled, Stacked, set_background
from stages.models.policies.registry import KINDS, load_policy, made_policy, save_policy
from stages.params import read_params
from stages.studies.workspace import Workspace, preset

PARAMS = read_params()
FRAME_KINDS = [name for name, kind in KINDS.items() if "frames" in kind.reads]


def policy(name: str, shape=(1, 18, 32), **changes):
    torch.manual_seed(0)
    kind = KINDS[name]
    values = kind.values(PARAMS.section(name, kind.Section), PARAMS) | changes
    return kind(shapes={"frames": shape, "latents": (8,)}, actions=3, **values)


def windows_of(model, seen: torch.Tensor) -> list[torch.Tensor]:
    """What the policy reads where its frames are `seen` [B, T, ...]: latents that tell nothing, and the last frames."""
    latents = [torch.zeros(len(seen), model.window, 8)] if "latents" in model.reads else []
    return [*latents, seen[:, -model.spans.get("frames", model.window) :]]


def frames(*shape) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", FRAME_KINDS)
@pytest.mark.parametrize("shape", [(1, 18, 32), (3, 37, 41), (1, 9, 70)])
def test_any_size_of_picture(name, shape):
    model = policy(name, shape).eval()
    assert model(*windows_of(model, frames(2, model.window, *shape))).shape == (2, 3)
    with pytest.raises(ValueError, match="the policy was made for frames"):
        model(*windows_of(model, frames(2, model.window, shape[0], shape[1] + 1, shape[2])))


@pytest.mark.parametrize(
    ("name", "shape", "millions"),
    [("pure_cnn", (3, 288, 512), 0.6), ("resnet_gpu", (3, 145, 251), 11.0), ("vit_gpu", (3, 145, 251), 4.2)],
)
def test_networks_for_a_gpu_have_the_published_size_and_take_their_pictures(name, shape, millions, tmp_path):
    params = read_params(Workspace(tmp_path / "work", preset(name)).folder / "params.yaml")
    model = made_policy(params, {"frames": shape}, 12.0).eval()
    assert sum(weights.numel() for weights in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.1)
    with torch.no_grad():
        assert model(frames(1, model.window, *shape)).shape == (1, 4)


@pytest.mark.parametrize("name", FRAME_KINDS)
def test_a_window_knows_nothing_of_those_beside_it_and_a_saved_policy_says_the_same(name, tmp_path):
    model = policy(name).eval()
    windows = windows_of(model, frames(4, model.window, 1, 18, 32))
    said = model(*windows)
    alone = [model(*(array[i : i + 1] for array in windows)) for i in range(4)]
    assert torch.allclose(said, torch.cat(alone), atol=1e-5)
    save_policy(tmp_path / "policy", model)
    assert torch.allclose(load_policy(tmp_path / "policy")(*windows), said, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in FRAME_KINDS if name != "pretrained"])  # blind without its weights
def test_it_learns_which_way_a_dot_flies(name):
    """A dot of two pixels that moves left or right, in any place: no single frame tells it."""
    torch.manual_seed(0)
    model = policy(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        way = torch.randint(0, 2, (32,), generator=generator)
        logits = model(*windows_of(model, flying(way, model.window, generator)))
        loss = torch.nn.functional.cross_entropy(logits[:, :2], way)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    way = torch.randint(0, 2, (200,), generator=generator)
    seen = windows_of(model, flying(way, model.window, generator))
    right = model.eval()(*seen)[:, :2].argmax(dim=1) == way
    assert right.float().mean() > 0.9


def flying(way: torch.Tensor, window: int, generator: torch.Generator) -> torch.Tensor:
    """uint8 [B, window, 1, 18, 32]"""
    pictures = torch.zeros(len(way), window, 1, 18, 32, dtype=torch.uint8)
    starts = torch.randint(8, 22, (len(way),), generator=generator)
    rows = torch.randint(1, 16, (len(way),), generator=generator)
    for each, (direction, start, row) in enumerate(zip(way.tolist(), starts.tolist(), rows.tolist(), strict=True)):
        for t in range(window):
            column = start + (2 * direction - 1) * t
            pictures[each, t, 0, row : row + 2, column : column + 2] = 255
    return pictures


def test_a_stack_is_the_last_frame_before_its_background_and_what_changed_since_the_others():
    stacked, seen = Stacked((1, 2, 2)), torch.tensor([10, 20, 35], dtype=torch.uint8)
    set_background(stacked, torch.full((1, 2, 2), 30 / 255), 5 / 255)
    assert torch.allclose(stacked(seen[None, :, None, None, None].expand(1, 3, 1, 2, 2))[0, :, 0, 0],
                          torch.tensor([5.0, 3.0, 1.0]), atol=1e-4)  # fmt: skip


def test_soft_argmax_tells_where_a_channel_is_large_and_how_large():
    maps = torch.zeros(1, 2, 5, 9)
    maps[0, 0, 0, 8], maps[0, 1, 4, 0] = 60, 90
    pooled = Pooled("soft_argmax", 2, 5, 9)
    assert torch.allclose(pooled(maps), torch.tensor([[1.0, -1.0, -1.0, 1.0, 60.0, 90.0]]), atol=1e-3)
    assert pooled.size == 6


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="3 channels .* but 2 strides"):
        policy("cnn", channels=(4, 4, 4), strides=(2, 2))
    with pytest.raises(ValueError, match="pooling is 'max', expected one of average"):
        policy("cnn", pooling="max")
    with pytest.raises(ValueError, match="norm is 'layer', expected group"):
        policy("cnn", norm="layer")
    with pytest.raises(ValueError, match="vit.size 10 does not divide into 4 heads"):
        policy("vit", size=10)
