"""params.yaml: read whole, or refused with the key, what was found and what is wanted."""

from pathlib import Path

import pytest
import yaml

from stages.models.policies.registry import section_of
from stages.params import Count, Section, read_params

ROOT = Path(__file__).parents[1]


def changed(tmp_path, **changes) -> Path:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        node, names = tree, key.split("__")
        for name in names[:-1]:
            node = node[name]
        if value is None:
            del node[names[-1]]
        else:
            node[names[-1]] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def test_the_committed_params_are_valid_and_frozen():
    params = read_params(ROOT / "params.yaml")
    assert params.latent_dim == 128
    with pytest.raises(ValueError, match="frozen"):
        params.latent_dim = 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_dim": 0}, "latent_dim: found 0"),
        ({"latent_dim": "wide"}, "latent_dim: found 'wide'"),
        ({"cell": None}, "cell: this key is missing"),
        ({"recurrent__dropout": None}, "recurrent.dropout: this key is missing"),
        ({"autoencoder__epochs": 3}, "autoencoder.epochs is now steps"),
        ({"head": {"epochs": 3}}, "head is now recurrent, the section of that policy"),
        ({"collect__fights_per_session": 3}, "collect.fights_per_session is now collect.episodes_per_session"),
        ({"collect__player": {}}, "collect.player is now collect.script"),
        ({"latentdim": 12}, "latentdim: no such key"),
        ({"recurrent__layers": 2}, "recurrent.layers: no such key"),
        ({"cell": "rnn"}, "cell: found 'rnn'"),
        ({"actions": ["LEFT", "JUMP"]}, "'JUMP' has no key; add keys.JUMP"),
        ({"actions": ["LEFT", "LEFT"]}, "names one twice"),
        ({"keys__RIGHT": ["Key.left"]}, "'Key.left' belongs to both LEFT and RIGHT"),
        ({"rare_actions": ["JUMP"]}, "rare_actions names 'JUMP'"),
        ({"split__val": 1.5}, "split.val"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match="does not hold what the pipeline needs") as error:
        section_of(read_params(changed(tmp_path, **change)))
    assert message in str(error.value)


class Options(Section):
    """What the section of a kind may look like."""

    speed: Count


def test_a_kind_reads_its_own_section(tmp_path):
    params = read_params(changed(tmp_path, chess={"speed": 3}))
    assert params.section("chess", Options) == Options(speed=3)
    assert params.model_dump(mode="json", include={"chess"}) == {"chess": {"speed": 3}}
    with pytest.raises(TypeError, match="does not support item assignment"):
        params.chess["speed"] = 4


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "chess.speed: this key is missing"),
        ({"speed": 3, "sped": 3}, "chess.sped: no such key"),
        ({"speed": "fast"}, "chess.speed: found 'fast'"),
        (None, "chess: this key is missing"),
    ],
)
def test_what_does_not_fit_a_section_of_a_kind_is_named(tmp_path, section, message):
    params = read_params(changed(tmp_path, **({} if section is None else {"chess": section})))
    with pytest.raises(ValueError, match="does not hold what the pipeline needs") as error:
        params.section("chess", Options)
    assert message in str(error.value)


def test_precision_no_survives_dvc_which_writes_it_without_quotes(tmp_path):
    path = changed(tmp_path, precision="no")
    path.write_text(path.read_text(encoding="utf-8").replace("'no'", "no"), encoding="utf-8")
    assert "precision: no\n" in path.read_text(encoding="utf-8")
    assert read_params(path).precision == "no"


def test_keys_of_actions_that_are_not_learned_do_not_disturb(tmp_path):
    params = read_params(
        changed(tmp_path, actions=["UP"], keys__UP=["Key.left"], rare_actions=[], evaluate__composite={"UP": 1.0},
                latent_action__probe_actions=["UP"])
    )  # fmt: skip
    assert params.actions == ("UP",)


def test_no_file_and_no_mapping_are_told(tmp_path):
    broken = tmp_path / "params.yaml"
    broken.write_text("- a\n- b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must hold keys and values, found list"):
        read_params(broken)
    broken.write_text("a: [", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid YAML"):
        read_params(broken)
