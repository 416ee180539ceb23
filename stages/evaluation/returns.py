"""Returns of whole games, compared seed by seed: float [S] each, the same S seeds for all."""

from collections.abc import Mapping, Sequence

import numpy as np

from stages.evaluation.intervals import Interval, bootstrap_interval, mean_interval, paired_difference


def return_fraction(returns: Mapping[str, np.ndarray], *, resamples: int, seed: int) -> Interval:
    """(agent - best blind) / (script - best blind), each a mean over the same seeds, resampled together.

    0 is as good as whoever sees nothing, 1 as good as the player it watched.
    """
    agent, blind, script = (np.asarray(returns[name], float) for name in ("agent", "best_blind", "script"))
    if not agent.shape == blind.shape == script.shape:
        raise ValueError(f"a share needs the same games of all, found {agent.shape}, {blind.shape} and {script.shape}")

    def fraction(drawn: np.ndarray) -> np.ndarray:
        low = blind[drawn].mean(axis=-1)
        span = script[drawn].mean(axis=-1) - low
        return (agent[drawn].mean(axis=-1) - low) / np.where(span > 0, span, np.nan)

    return bootstrap_interval(fraction, len(agent), resamples=resamples, seed=seed)


def chosen_elsewhere(tried: Sequence[np.ndarray]) -> np.ndarray:
    """Scores [S] of the acting rule that was best in the other half of the games, of the scores [S] of several rules.

    The best of several, scored in the very games that it was chosen by, would promise too much; of a single game there
    is no other half.
    """
    scores = np.stack(tried)
    if scores.shape[1] == 1:
        return scores[scores[:, 0].argmax()]
    even = np.arange(scores.shape[1]) % 2 == 0
    by_odd, by_even = (scores[:, half].sum(axis=1).argmax() for half in (~even, even))
    return np.where(even, scores[by_odd], scores[by_even])


def share_of(returns: np.ndarray, whole: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """mean(returns) / mean(whole), both [S] resampled together; undefined where `whole` earns nothing."""
    nothing = np.zeros(len(whole))
    return return_fraction({"agent": returns, "best_blind": nothing, "script": whole}, resamples=resamples, seed=seed)


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
