"""Returns of whole games, compared seed by seed: float [S] each, the same S seeds for all."""

from collections.abc import Mapping, Sequence

import numpy as np

from stages.evaluation.intervals import Interval, interval_of, mean_interval, paired_difference, resamples_of


def return_fraction(returns: Mapping[str, np.ndarray], *, resamples: int, seed: int) -> Interval:
    """(agent - best blind) / (script - best blind), each a mean over the same seeds, resampled together.

    0 is as good as whoever sees nothing, 1 as good as the player it watched.
    """
    agent, blind, script = (returns[name] for name in ("agent", "best_blind", "script"))
    drawn = resamples_of(len(agent), resamples=resamples, seed=seed)

    def fraction(index) -> np.ndarray:
        low = blind[index].mean(axis=-1)
        span = script[index].mean(axis=-1) - low
        return (agent[index].mean(axis=-1) - low) / np.where(span > 0, span, np.nan)

    return interval_of(float(fraction(np.arange(len(agent)))), fraction(drawn), episodes=len(agent))


def share_of(returns: np.ndarray, whole: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """mean(returns) / mean(whole), both [S] resampled together; undefined where `whole` earns nothing."""
    returns, whole = np.asarray(returns, float), np.asarray(whole, float)
    if returns.shape != whole.shape:
        raise ValueError(f"a share needs the same games twice, found {returns.shape} and {whole.shape}")
    drawn = resamples_of(len(returns), resamples=resamples, seed=seed)

    def share(index) -> np.ndarray:
        all_of_it = whole[index].mean(axis=-1)
        return returns[index].mean(axis=-1) / np.where(all_of_it > 0, all_of_it, np.nan)

    return interval_of(float(share(np.arange(len(returns)))), share(drawn), episodes=len(returns))


def compared(
    games: Sequence[Mapping], players: Mapping[str, np.ndarray], *, resamples: int, seed: int
) -> list[dict[str, object]]:
    """Rows of `games` (labels, policy, returns [S], ...) with intervals in place of the returns.

    Beside the players of the stage play, `players` {name: scores [S]}, and beside cloning from as many labels.
    """
    drawn = {"resamples": resamples, "seed": seed}
    cloned = {row["labels"]: np.array(row["returns"]) for row in games if row["policy"] == "cloning"}
    rows = []
    for row in games:
        returns = np.array(row["returns"], float)
        rows.append(
            {name: value for name, value in row.items() if name != "returns"}
            | {"games": len(returns)}
            | mean_interval(returns, **drawn).as_metrics("return")
            | return_fraction({**players, "agent": returns}, **drawn).as_metrics("return_fraction")
            | share_of(returns, players["agent"], **drawn).as_metrics("share_of_all_labels")
            | paired_difference(returns, cloned[row["labels"]], **drawn).as_metrics("gain_over_cloning")
            | paired_difference(returns, players["agent"], **drawn).as_metrics("gain_over_all_labels")
        )
    return rows
