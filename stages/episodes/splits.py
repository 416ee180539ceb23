"""Which episodes are learned from (train), chosen by (val) and finally judged by (test).

Whole sessions stay together, because two episodes of one sitting resemble each other; `unit: episode`
splits whole episodes instead, for the common case of one long session, and says less about new days.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np

SPLITS = ("train", "val", "test")
Episode = tuple[str, int]


def split_of(
    sessions_and_episodes: Iterable[Episode],
    *,
    unit: str,
    val: float | Sequence[str],
    test: float | Sequence[str],
    seed: int,
) -> dict[Episode, str]:
    """The split of every (session, episode): "train", "val" or "test".

    val and test are shares of the units (at least one each, drawn by `seed`) or names: of sessions,
    and with unit "episode" also of single episodes, `<session>:<episode>`. What neither takes is train.
    ValueError: unknown names, an episode in two splits, an empty split, too few units.
    """
    episodes = sorted(set(sessions_and_episodes))
    units = _units(episodes, unit)
    if len(units) < len(SPLITS):
        raise ValueError(_too_few(units, unit))
    chosen: dict[str, str] = {}
    for split, wanted in (("val", val), ("test", test)):
        if not isinstance(wanted, float | int):
            for name in _named(wanted, units, split, unit):
                if chosen.setdefault(name, split) != split:
                    raise ValueError(f"split: {name!r} is named in both val and test; leave it in one of them")
    free = [name for name in units if name not in chosen]
    free = [free[i] for i in np.random.default_rng(seed).permutation(len(free))]
    for split, wanted in (("test", test), ("val", val)):
        if isinstance(wanted, float | int):
            count = max(1, round(wanted * len(units)))
            chosen.update(dict.fromkeys(free[:count], split))
            free = free[count:]
    splits = {episode: chosen.get(name, "train") for name, members in units.items() for episode in members}
    for split in SPLITS:
        if split not in splits.values():
            raise ValueError(
                f"split: no {unit} is left for {split} (val: {val}, test: {test}, {len(units)} {unit}s); "
                f"lower the shares or shorten the lists in params.yaml"
            )
    return dict(sorted(splits.items()))


def _units(episodes: Sequence[Episode], unit: str) -> dict[str, list[Episode]]:
    if unit not in ("session", "episode"):
        raise ValueError(f"split.unit is {unit!r}, expected session or episode")
    units: dict[str, list[Episode]] = {}
    for session, episode in episodes:
        units.setdefault(session if unit == "session" else f"{session}:{episode}", []).append((session, episode))
    return units


def _named(wanted: Sequence[str], units: dict[str, list[Episode]], split: str, unit: str) -> list[str]:
    """The units that a list of names means; with unit "episode" a session's name means all its episodes."""
    found = []
    for name in wanted:
        matches = [known for known, members in units.items() if name in (known, members[0][0])]
        if not matches:
            raise ValueError(
                f"split.{split} names {name!r}, which is no {unit} with an episode; known: {', '.join(units)}"
                f"{_quotes_lost(name, units, split)}"
            )
        found += matches
    return found


def _quotes_lost(name: str, units: Iterable[str], split: str) -> str:
    """What to do where a name is a known one as a number: YAML and -S write 20240501_1 as 202405011, 1.10 as 1.1."""
    for known in units:
        with suppress(ValueError):
            if float(known) == float(name):
                return f". For {known!r} put it in quotes: -S \"split.{split}=['{known}']\""
    return ""


def _too_few(units: dict[str, list[Episode]], unit: str) -> str:
    found = f"{len(units)} {unit}{'' if len(units) == 1 else 's'} with an episode ({', '.join(units) or 'none'})"
    hint = (
        "record more, or set split.unit: episode in params.yaml to split whole episodes"
        if unit == "session"
        else "record more episodes, or mark the episodes of a long session (fight_start, fight_end)"
    )
    return f"split: train, val and test need at least one {unit} each, found {found}; {hint}"
