"""The vocabulary: columns, keys and names that mean the same key."""

import pytest

from stages.recordings.actions import ActionVocabulary
from stages.recordings.keys import hint, key_name, number_of

KEYS = {"LEFT": ["Key.left", "a"], "SHOOT": ["Key.space"], "DASH": ["'F'"], "MENU": ["Key.esc", "Key.space"]}


@pytest.fixture
def vocabulary():
    return ActionVocabulary.from_params(["LEFT", "SHOOT", "DASH"], KEYS)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("'f'", "f"),
        ("f", "f"),
        ("F", "f"),
        ("'F'", "f"),
        ("Key.space", "Key.space"),
        ('"\'"', "'"),
        ("'\"'", '"'),
        ("'\\\\'", "\\"),
        ("'", "'"),
        ("'\\x03'", "c"),
        ("\x03", "c"),
        ("'\\x09'", "'\\t'"),
        ("<65437>", "Numpad.5"),
        ("<101>", "Numpad.5"),
        ("<65461>", "Numpad.5"),
        ("<173>", "<173>"),
        ("Key.ctrl_l", "Key.ctrl"),
        ("Key.ctrl_r", "Key.ctrl_r"),
        ("Key.alt_gr", "Key.alt_r"),
        ("key.SPACE", "Key.space"),
        ("'[´]'", "´"),
        ("e\u0301", "é"),
        (" ", "Key.space"),
        (" Key.left ", "Key.left"),
        ("f\n", "f"),
        ("İ", "İ"),
    ],
)
def test_a_key_has_one_name(raw, name):
    assert key_name(raw) == name
    assert key_name(name) == name


def test_every_key_of_an_action_stands_for_it(vocabulary):
    assert [vocabulary.action_of(key) for key in ("a", "'A'", "Key.left", "f")] == ["LEFT", "LEFT", "LEFT", "DASH"]
    assert vocabulary.action_of("q") is None


def test_keys_of_actions_that_are_not_learned_are_ignored_unless_a_learned_action_has_them(vocabulary):
    assert vocabulary.ignored_keys == ("Key.esc",)
    assert vocabulary.action_of("Key.esc") is None
    assert vocabulary.action_of("Key.space") == "SHOOT"


def test_columns_are_in_the_order_of_the_params(vocabulary):
    assert [vocabulary.index(name) for name in ("LEFT", "SHOOT", "DASH")] == [0, 1, 2]
    assert len(vocabulary) == 3


def test_what_is_not_learned_is_an_error(vocabulary):
    with pytest.raises(ValueError, match="'MENU' is not among the learned actions"):
        vocabulary.index("MENU")


@pytest.mark.parametrize(
    ("actions", "keys", "message"),
    [
        (["UP"], {}, "'UP' has no key"),
        (["UP"], {"UP": []}, "'UP' has no key"),
        (["UP", "UP"], {"UP": ["w"]}, "names one twice"),
        (["UP,LEFT"], {"UP,LEFT": ["w"]}, "'UP,LEFT': its name is empty or holds a comma"),
        (["UP\n"], {"UP\n": ["w"]}, "its name is empty or holds a comma"),
        (["UP"], {"UP": ["w"], '"DOWN"': ["s"]}, "its name is empty or holds a comma"),
        ([" "], {" ": ["w"]}, "its name is empty or holds a comma"),
        (["UP", "DOWN"], {"UP": ["'w'"], "DOWN": ["W"]}, "'w' belongs to both UP and DOWN"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_an_error(actions, keys, message):
    with pytest.raises(ValueError, match=message):
        ActionVocabulary.from_params(actions, keys)


def test_numbers_are_those_of_the_system_where_a_key_is_pressed():
    numbers = [number_of("Numpad.5", platform) for platform in ("linux", "win32", "darwin")]
    assert numbers == [65437, 101, 87]
    assert number_of("<173>", "win32") == 173 and number_of("<65300>", "linux") == 65300
    assert number_of("f", "linux") is None
    with pytest.raises(ValueError, match="'<173>': a number of Windows or macOS .* not of this one"):
        number_of("<173>", "linux")
    with pytest.raises(ValueError, match="a number of X11"):
        number_of("<65300>", "win32")
    with pytest.raises(ValueError, match="no key of the number pad here"):
        number_of("Numpad.enter", "win32")


@pytest.mark.parametrize(
    ("key", "words"),
    [("<65032>", "Shift or Alt"), ("!", "with Shift held"), ("space", "is it Key.space?"),
     ("ArrowLeft", "is it Key.left?"), ("KEY_UP", "is it Key.up?"), ("ф", "another layout"), ("Numpad.4", "number pad"),
     ("q", "")],
)  # fmt: skip
def test_hints_say_what_an_unmapped_key_may_be(key, words):
    assert words in hint(key)
