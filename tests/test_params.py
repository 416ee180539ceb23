"""params.yaml: read whole, or refused with the key, what was found and what is wanted."""

import re
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from stages.models.policies.registry import section_of
from stages.params import Count, Section, read_params

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


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
        ({"latent_dim": 0}, "latent_dim: found '0'"),
        ({"latent_dim": "wide"}, "latent_dim: found 'wide'"),
        ({"cell": None}, "cell: this key is missing"),
        ({"two_stream__dropout": None}, "two_stream.dropout: this key is missing"),
        ({"autoencoder__epochs": 3}, "autoencoder.epochs is now steps"),
        ({"head": {"epochs": 3}}, "head is now recurrent, the section of that policy"),
        ({"collect__fights_per_session": 3}, "collect.fights_per_session is now collect.episodes_per_session"),
        ({"collect__player": {}}, "collect.player is now collect.script"),
        ({"latentdim": 12}, "latentdim: no such key"),
        ({"two_stream__layers": 2}, "two_stream.layers: no such key"),
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
    assert params.model_dump(mode="json", include={"chess"}) == {"chess": {"speed": "3"}}
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("policy_members: 1 ", "policy_members: True ", "policy_members: found True; a number is meant"),
        ("rare_factor: 1 ", "rare_factor: True ", "rare_factor: found True; a number is meant"),
        ("channels: [16, 32, 64]", "channels: [TRUE, 32, 64]", "autoencoder.channels.0: found True; a number is meant"),
        ("hidden: [128, 64]", "hidden: [True]", "two_stream.hidden.0: found True; a number is meant"),
        ("cell_px: 4 ", "cell_px: 4.5 ", "latent_action.cell_px: found '4.5'"),
        ("cell_px: 4 ", "cell_px: 3 ", "latent_action.cell_px: found '3'"),
        ("cell_px: 4 ", "cell_px: [4] ", "latent_action.cell_px: found"),
        ("cell_px: 4 ", "cell_px: ", "latent_action.cell_px: found None"),
    ],
)
def test_no_other_kind_of_value_passes_for_a_number(tmp_path, old, new, message):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        section_of(read_params(path))


PLAIN = ("ON", "NO", "y", "n", "1", "12:30", "1e3", "010", "1.50", "-1", "720", "true", "Größe", "2024-1-1")
QUOTED = (
    "2024-01-01", "2024-1-1 9:30:00", "20240501_120000", "1__0", "1_", "1_0.5", "-007", "-0", "-0x1", ".NaN", "-.INF",
    "~", "null", "=", "+1", "True", ",", "'",
)  # fmt: skip


def spelled(tmp_path, name: str) -> Path:
    """params.yaml with the name, spelled so, as an action, as its key and as a session."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("\nactions: [LEFT,", f"\nactions: [{name},"), ("  LEFT: [Key.left]", f"  {name}: [{name}]"),
        ("probe_actions: [LEFT,", f"probe_actions: [{name},"), ("  val: 0.15 ", f"  val: [{name}] "),
    ):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def require_spelled(path: Path, name: str) -> None:
    params = read_params(path)
    assert (params.actions[0], params.keys[name], params.split.val) == (name, (name,), (name,))


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_without_quotes_keeps_its_spelling_and_dvc_leaves_it(tmp_path, name):
    path = spelled(tmp_path, name)
    require_spelled(path, name)
    apply_overrides(path, ["seed=2"])  # what `dvc exp run -S` does
    require_spelled(path, name)


@pytest.mark.parametrize("name", PLAIN + QUOTED)
def test_a_name_in_quotes_survives_dvc_which_writes_it_without(tmp_path, name):
    path = spelled(tmp_path, "'" + name.replace("'", "''") + "'")
    require_spelled(path, name)
    apply_overrides(path, ["seed=2"])
    require_spelled(path, name)


@pytest.mark.parametrize("name", [name for name in QUOTED if name not in (",", "'")])
def test_a_name_whose_spelling_dvc_would_lose_has_to_stand_in_quotes(tmp_path, name):
    with pytest.raises(ValueError, match="put it in quotes|needs quotes"):
        read_params(spelled(tmp_path, name))


def test_precision_no_survives_dvc_which_writes_it_without_quotes(tmp_path):
    path = changed(tmp_path, precision="no")
    apply_overrides(path, ["seed=2"])
    assert "precision: no\n" in path.read_text(encoding="utf-8")
    assert read_params(path).precision == "no"


BILLION = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (TEXT.encode("utf-16"), "is not in UTF-8 .* save it as UTF-8"),
        (TEXT.encode("utf-16-le"), "not valid YAML: unacceptable character .* save it as UTF-8"),
        (TEXT.replace("doom_center  #", "Größe  #").encode("latin-1"), "is not in UTF-8 .byte 0xf6"),
        (b"a: " + b"[" * 3000, "nested too deeply"),
        (b"labels:\n\trule: state\n", "line 2: .* with blanks, not with tabs"),
        (b"seed: 1\nthreads: 2\nseed: 1\n", "line 3: .*duplicate key .* leave one"),
        (b"chess: {a: {b: 1, b: 2}}\n", "line 1: .* duplicate key .* leave one"),
        (b"keys: {LEFT: [,]}\n", "line 1: .* a name with a sign such as , .* needs quotes"),
        (b'keys: {LEFT: ["\\ud800"]}\n', "valid string"),
        (b'keys: {LEFT: ["a\\0"]}\n', "match pattern"),
        (b'keys: {LEFT: ["\\U00110000"]}\n', "not valid YAML: .* look at its"),
        (b"? [a]\n: b\n", "no such key"),
        (b"seed: !!int x\n", "not valid YAML"),
        (b"seed: !!bool x\n", "not valid YAML"),
        (b"seed: 2024-13-45\n", "not valid YAML: month must be in 1..12"),
        (b"seed: !!python/object:os.system x\n", "line 1: not valid YAML"),
        (b"threads: *two\n", "undefined alias"),
        (b"actions: &a [*a]\n", "actions.0: found"),
        (BILLION.encode() + b"actions: [*a11]\n", "actions.0: found"),
    ],
)
def test_no_bytes_of_params_yaml_end_in_a_traceback(tmp_path, written, message):
    path = tmp_path / "params.yaml"
    path.write_bytes(written)
    with pytest.raises(ValueError, match=message) as error:
        read_params(path)
    assert "params.yaml" in str(error.value) and max(map(len, str(error.value).splitlines())) < 800


def test_a_byte_order_mark_an_anchor_and_a_merge_are_read(tmp_path):
    path = tmp_path / "params.yaml"
    text = TEXT.replace("seed: 0 ", "seed: &seed 3 ", 1).replace("\nthreads: 2", "\nthreads: *seed")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("  delay_ms: 0 ", "  <<: {delay_ms: 5} ").encode())
    params = read_params(path)
    assert (params.threads, params.labels.delay_ms) == (3, 5)


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
    with pytest.raises(ValueError, match="nowhere.yaml cannot be read: No such file"):
        read_params(tmp_path / "nowhere.yaml")
    broken.write_text("a: [", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid YAML"):
        read_params(broken)
