"""The one vocabulary of actions: what is learned, in which column, and which keys (see keys.py) stand for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from stages.recordings.keys import key_name

FORBIDDEN = ",\"'"  # not in the name of an action: it heads a column


INTENDED = "intended_"  # heads the columns of a session's state that say what a script meant to hold


def intended_column(action: str) -> str:
    """The column of the state that says whether a script meant to hold the keys of an action in a frame."""
    return f"{INTENDED}{action}"


def require_column_name(action: str) -> None:
    """ValueError for a name of an action that cannot head a column of a table."""
    if not action.strip() or any(character in FORBIDDEN or not character.isprintable() for character in action):
        raise ValueError(
            f"the action {action!r}: its name is empty or holds a comma, a quote or a line break; it heads a column of "
            f"tables: call it something like JUMP_LEFT"
        )


@dataclass(frozen=True)
class ActionVocabulary:
    """`names`: the learned actions in column order [A]; `keys`: action -> its keys, also of actions not learned."""

    names: tuple[str, ...]
    keys: dict[str, tuple[str, ...]]

    @classmethod
    def from_params(cls, actions: Sequence[str], keys: Mapping[str, Sequence[str]]) -> "ActionVocabulary":
        """Build it from the params `actions` and `keys`.

        Raises ValueError for an action that stands twice or has no key, for a name that no table can hold and for a
        key that two learned actions claim.
        """
        for action in (*actions, *keys):
            require_column_name(action)
        if len(set(actions)) != len(actions):
            raise ValueError(f"actions: {list(actions)} names one twice")
        canonical = {action: tuple(dict.fromkeys(map(key_name, held))) for action, held in keys.items()}
        owner: dict[str, str] = {}
        for action in actions:
            if not canonical.get(action):
                raise ValueError(f"actions: {action!r} has no key; add keys.{action}, for example [Key.space]")
            for key in canonical[action]:
                if owner.setdefault(key, action) != action:
                    raise ValueError(f"keys: {key!r} belongs to both {owner[key]} and {action}; give it to one")
        return cls(tuple(actions), canonical)

    @cached_property
    def _action_of_key(self) -> dict[str, str]:
        return {key: action for action in self.names for key in self.keys[action]}

    @cached_property
    def ignored_keys(self) -> tuple[str, ...]:
        """Keys that are known but not learned: those of the actions in `keys` that are not in `names`."""
        known = (key for action, held in self.keys.items() if action not in self.names for key in held)
        return tuple(key for key in dict.fromkeys(known) if key not in self._action_of_key)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The column of an action; ValueError for one that is not learned."""
        if name not in self.names:
            raise ValueError(f"{name!r} is not among the learned actions {list(self.names)}")
        return self.names.index(name)

    def action_of(self, key: str) -> str | None:
        """The learned action that a key stands for, None for any other key."""
        return self._action_of_key.get(key_name(key))
