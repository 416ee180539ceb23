"""Is it enough to learn from? Per action: presses, holds and shares in each split, and how much is still missing.

What is too rare is estimated from the recordings themselves: a recall measured on n presses has a 95 % interval of
about +-0.98 / sqrt(n) at one half (normal approximation of the binomial); with the presses a minute seen so far this
gives the minutes of play after which val and test hold enough of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.episodes.balance import ALL, EPISODES, Balance, balance_of, kind_of, stretches
from stages.episodes.splits import SPLITS, split_of
from stages.recordings.timeline import Timeline


@dataclass(frozen=True)
class Supply:
    """One action: `presses` and `share` (of the frames) by split and for "all"; `recall_pm` is the half width of the
    95 % interval of a recall measured on test; `minutes_missing` of play until val and test have enough presses
    (0: enough, inf: it is never pressed)."""

    action: str
    kind: str
    presses: dict[str, int]
    share: dict[str, float]
    typical_hold_s: float
    recall_pm: float
    minutes_missing: float


def splits_of(timelines: Mapping[str, Timeline], *, unit: str, val, test, seed: int) -> dict[tuple[str, int], str]:
    """The split of every (session, episode) with frames, as the stage convert draws it."""
    episodes = [
        (name, int(k)) for name, line in timelines.items() for k in sorted(set(line.episode[line.episode >= 0]))
    ]
    return split_of(episodes, unit=unit, val=val, test=test, seed=seed)


def supplies(
    timelines: Mapping[str, Timeline], splits: Mapping, *, min_presses: int, reflex_hold_s: float
) -> list[Supply]:
    """A row an action, in the order of the columns."""
    names = next(iter(timelines.values())).action_names
    _, episodes = stretches(timelines, splits)
    rows = {(row.split, row.action): row for row in balance_of(episodes, names, scope=EPISODES)}
    minutes = sum(float(piece.edges[-1] - piece.edges[0]) for piece in episodes) / 60
    return [_supply(name, rows, minutes, min_presses, reflex_hold_s) for name in names]


def _supply(name: str, rows: Mapping, minutes: float, min_presses: int, reflex_hold_s: float) -> Supply:
    by_split: dict[str, Balance] = {split: rows[split, name] for split in (ALL, *SPLITS)}
    presses = {split: row.presses for split, row in by_split.items()}
    fewest = min(presses["val"], presses["test"])
    growth = max(fewest, presses[ALL] * _smallest_share(by_split)) / minutes if minutes else 0.0
    missing = max(min_presses - fewest, 0)
    return Supply(
        action=name,
        kind=kind_of(by_split[ALL], reflex_hold_s),
        presses=presses,
        share={split: row.share for split, row in by_split.items()},
        typical_hold_s=by_split[ALL].typical_hold_s,
        recall_pm=min(0.98 / math.sqrt(presses["test"]), 1.0) if presses["test"] else 1.0,
        minutes_missing=missing / growth if missing and growth else math.inf if missing else 0.0,
    )


def _smallest_share(by_split: Mapping[str, Balance]) -> float:
    """Of the frames, that val or test has: what a further minute of play adds to the smaller of the two."""
    return min(by_split[split].frames for split in ("val", "test")) / max(by_split[ALL].frames, 1)


def enough_lines(found: Sequence[Supply], *, min_presses: int) -> list[str]:
    """The table, and in words which action to record more of."""
    width = max(6, *(len(row.action) for row in found))
    lines = [
        f"{'action':<{width}}  {'kind':<6} {'hold s':>6}  {'presses':>7} {'train':>6} {'val':>5} {'test':>5}  held"
    ]
    for row in found:
        counts = f"{row.presses['train']:>6} {row.presses['val']:>5} {row.presses['test']:>5}"
        hold = "" if math.isnan(row.typical_hold_s) else f"{row.typical_hold_s:.2f}"
        share = row.share[ALL]
        lines.append(f"{row.action:<{width}}  {row.kind:<6} {hold:>6}  {row.presses[ALL]:>7} {counts}  {share:.1%}")
    for row in sorted(found, key=lambda row: -row.minutes_missing):
        if math.isinf(row.minutes_missing):
            lines.append(f"{row.action} is never pressed: use it while you record, or take it out of actions")
        elif row.minutes_missing:
            lines.append(
                f"record more of {row.action}: a score on {row.presses['test']} test presses is only known to "
                f"+-{row.recall_pm:.2f}; about {math.ceil(row.minutes_missing)} more minutes of play like this give "
                f"{min_presses} in val and test"
            )
    if not any(row.minutes_missing for row in found):
        lines.append(f"enough of every action: at least {min_presses} presses in val and in test")
    return lines
