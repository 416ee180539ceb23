"""Does the model press when the player presses? Onsets matched one to one, as mir_eval does for notes.

An onset is the first frame of a press: the action is active and was not in the frame before, of
the same episode. The first frame of an episode is none, the key may have been down before it. A
predicted onset may be up to the tolerance earlier or later than the player's; each of either
side is used at most once (Raffel et al. 2014, mir_eval, onset F-measure). Because a tolerance
also forgives a model that only repeats what the player did a frame ago, matches are counted a
second time with those alone that are no later than the player's ("on time").

Conventions: N frames in store order, A actions, F episodes; times in seconds; `episode` is the index
0..F-1 of a frame's episode, ascending.
"""

import numpy as np

# Times are stored to a microsecond: two frames' distance may be off by about one, the tolerance must not notice.
SLACK_S = 2e-6


def episode_index(lengths: list[int]) -> np.ndarray:
    """The index of its episode for every frame, int64 [N], from the episodes' lengths in frames."""
    return np.repeat(np.arange(len(lengths)), lengths)


def onset_frames(active: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """The frames [n] at which one action's presses begin; active bool [N], episode int [N]."""
    active = np.asarray(active, dtype=bool)
    rising = active[1:] & ~active[:-1] & (episode[1:] == episode[:-1])
    return np.flatnonzero(rising) + 1


def holds(active: np.ndarray) -> list[tuple[int, int]]:
    """[start, stop) of every hold of one action, 0/1 [T]."""
    edges = np.flatnonzero(np.diff(np.asarray(active, dtype=bool), prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def match_onsets(player_s: np.ndarray, predicted_s: np.ndarray, *, early_s: float, late_s: float) -> np.ndarray:
    """As many pairs as possible with -early_s <= predicted - player <= late_s, each onset in one at most.

    Both time lists ascend; returns indices int64 [pairs, 2] (player, predicted). Windows of equal
    length end in the order in which they begin, so giving each player's onset, in order, the
    earliest free prediction in its window is a maximum matching (a prediction that is too early
    for this one is too early for all that follow; swapping any other choice for the earliest
    loses nothing). ValueError when times do not ascend.
    """
    player, predicted = np.asarray(player_s, dtype=np.float64), np.asarray(predicted_s, dtype=np.float64)
    for name, times in (("player's", player), ("predicted", predicted)):
        if not np.all(np.diff(times) >= 0):
            raise ValueError(f"the {name} onset times must ascend, without NaN; found {times.tolist()[:10]}")
    earliest, latest = (player - early_s - SLACK_S).tolist(), (player + late_s + SLACK_S).tolist()
    free, pairs = predicted.tolist(), []
    candidate = 0
    for index in range(len(earliest)):
        while candidate < len(free) and free[candidate] < earliest[index]:
            candidate += 1
        if candidate < len(free) and free[candidate] <= latest[index]:
            pairs.append((index, candidate))
            candidate += 1
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def onset_counts(
    truth: np.ndarray, pressed: np.ndarray, times: np.ndarray, episode: np.ndarray, *, tolerance_s: float
) -> dict[str, np.ndarray]:
    """Counts an episode and action, int64 [F, A]: onsets, predicted_onsets, matched, matched_on_time.

    truth, pressed: bool or 0/1 [N, A]; times float64 [N] in seconds; episode int64 [N].
    """
    episodes, actions = int(episode[-1]) + 1, truth.shape[1]
    clock = _one_clock(np.asarray(times, dtype=np.float64), episode, tolerance_s)
    counts = {
        name: np.zeros((episodes, actions), dtype=np.int64)
        for name in ("onsets", "predicted_onsets", "matched", "matched_on_time")
    }
    for action in range(actions):
        player, predicted = onset_frames(truth[:, action], episode), onset_frames(pressed[:, action], episode)
        around = match_onsets(clock[player], clock[predicted], early_s=tolerance_s, late_s=tolerance_s)
        before = match_onsets(clock[player], clock[predicted], early_s=tolerance_s, late_s=0.0)
        frames = {
            "onsets": player,
            "predicted_onsets": predicted,
            "matched": player[around[:, 0]],
            "matched_on_time": player[before[:, 0]],
        }
        for name, at in frames.items():
            counts[name][:, action] = np.bincount(episode[at], minlength=episodes)
    return counts


def _one_clock(times: np.ndarray, episode: np.ndarray, tolerance_s: float) -> np.ndarray:
    """Times [N] that restart with every episode and lie so far apart between episodes that none can match."""
    first = np.searchsorted(episode, np.arange(int(episode[-1]) + 1))
    inside = times - times[first][episode]
    return inside + episode * (inside.max() + 2 * tolerance_s + 1.0)
