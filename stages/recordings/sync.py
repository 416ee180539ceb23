"""The sync certificate: by how much the picture follows the keys, told from the recording itself.

Model: what a key does to the picture it does while it is held, `lag` later. For a lag L the share of each frame
interval (t_i-1, t_i] in which a key was down, moved by L, should explain how much the picture changed in that
interval. The lag is where the explained variance (R^2, least squares over all keys, summed over cells of the
picture) is highest. That is finer than a frame: a press that begins late in an interval changes it little.

The lag holds the game's own reaction (a few frames in most games) and any offset between the two logs; only
`understudy doctor --calibrate` can tell these apart.

Uncertainty, in two parts that add in squares. Chance: a bootstrap over blocks of consecutive frames (after Kuensch
1989, here without overlap), of seconds rather than of single frames, for what happens within seconds hangs together;
its percentiles stand as far apart as Student's t asks of that few blocks (expanded percentile interval, Hesterberg
2015, The American Statistician 69:4). And what no length of recording makes smaller, for the model is not the game:
keys act each after its own time (a shot flashes later than a turn begins), which a jackknife over the keys tells (Tukey
1958: the lag without each of them), and what happens within a frame interval is told by the model alone. That enters as
a standard uncertainty of type B (JCGM 100:2008, 4.3): MODEL_SHARE of the interval, or, as far as keys move in step with
the frames (a script's do, a person's do not), up to that of a value anywhere within it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import gammaincinv, stdtrit

from stages.recordings.timeline import presses

CELLS = (8, 6)  # across, down
SMALL = (96, 72)
LAGS_S = np.arange(-0.300, 0.6005, 0.005)
JITTERS_MS = np.arange(0, 300.05, 0.1)
BLOCK_FRAMES, BLOCK_S = 60, 3.0  # a block has at least so many frames, and lasts at least so long;
MOST_BLOCKS = 240  # a long recording has longer ones, not more: an hour takes no more memory than 12 minutes
FEWEST_BLOCKS, FEWEST_PRESSES = 6, 20
RESAMPLES = 200
MODEL_SHARE = 0.05  # of a frame interval: the standard uncertainty that stays however long a recording is
NOISE_R2 = 0.01  # less is no relation worth a number
FAR_LAGS_S = np.arange(-10, 10.05, 0.1)
EARLIEST_S, LATEST_S = -0.25, 1.0  # lags that a sound recording may have
RATES, RATE_LAGS_S, RATE_BLOCKS = np.geomspace(0.5, 2, 141), np.arange(-0.2, 1.05, 0.1), 10
FEW_LAGS_S = RATE_LAGS_S[::3]  # enough to compare rates
FINE_RATES, PLAIN_TIMES = np.geomspace(0.995, 1.005, 9), 1.5
BLOCKS_A_PART, FEWEST_PARTS, CERTAIN_R2, CERTAIN_TIMES, MOST_PARTS, STEADY_S = 3, 3, 0.15, 3.0, 0.7, 1.0


@dataclass(frozen=True)
class Certificate:
    """All in ms, with 95 % intervals: `lag` of the picture behind the keys, `drift` of it a minute.

    `model` is the half width of the part of the lag's interval that stays however long the recording is. `jitter` is
    how much the lag of single stretches spreads about the drift, beyond what their own uncertainty explains. `r2` is
    the share of the picture's change that the keys explain at that lag. `why_not` says why there is no number.
    """

    lag_ms: float = np.nan
    lag_low_ms: float = np.nan
    lag_high_ms: float = np.nan
    drift_ms_per_min: float = np.nan
    drift_pm_ms_per_min: float = np.nan
    jitter_ms: float = np.nan
    jitter_low_ms: float = np.nan
    jitter_high_ms: float = np.nan
    r2: float = 0.0
    why_not: str = ""
    model_ms: float = 0.0


def change_of(frames_bgr: Iterable[np.ndarray]) -> np.ndarray:
    """float32 [T, cells]: how much each cell of each picture differs from the picture before; row 0 is 0."""
    rows, before = [], None
    for image in frames_bgr:
        gray = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), SMALL, interpolation=cv2.INTER_AREA)
        rows.append(change_between(gray.astype(np.float32), before))
        before = gray.astype(np.float32)
    return np.array(rows, np.float32)


def change_between(small: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """float32 [cells]: how much each cell of a picture, its brightness float32 of size SMALL, differs from another."""
    difference = np.zeros_like(small) if before is None else np.abs(small - before)
    return np.log1p(cv2.resize(difference, CELLS, interpolation=cv2.INTER_AREA).ravel())


def held_share(times: np.ndarray, spans: np.ndarray, lag_s: float) -> np.ndarray:
    """float64 [T]: the share of (t_i-1, t_i] in which a key with presses [P, 2] was down, moved by `lag_s`; 0 first."""
    ends = np.minimum(spans, times[-1] + 10)
    held = np.cumsum(ends[:, 1] - ends[:, 0])
    so_far = np.stack([np.concatenate([[0.0], held[:-1]]), held], axis=1)  # held in all, when it goes down and up
    total = np.interp(times - lag_s, ends.ravel(), so_far.ravel())  # presses of one key never overlap
    return np.concatenate([[0.0], np.diff(total) / np.maximum(np.diff(times), 1e-6)])


def in_step(times: np.ndarray, spans: np.ndarray) -> float:
    """From 0 (anywhere) to 1 (always the same): where between two frames the keys of presses [P, 2] go down and up.

    The length of the mean direction of their phases, without what chance gives (Mardia and Jupp 2000, 2.3).
    """
    t = spans[(spans > times[0]) & (spans < times[-1])]
    after = np.searchsorted(times, t, side="right")
    phase = (t - times[after - 1]) / np.maximum(times[after] - times[after - 1], 1e-6)
    squared = float(np.abs(np.exp(2j * np.pi * phase).mean()) ** 2) if len(t) else 0.0
    return float(np.sqrt(max(len(t) * squared - 1, 0) / max(len(t) - 1, 1)))


def certificate(times: np.ndarray, inside: np.ndarray, key_events, change: np.ndarray, seed: int) -> Certificate:
    """The certificate of a session: `times` [T], `inside` bool [T] (frames to use), `change` [T, cells]."""
    spans = {key: s for key, s in presses(key_events).items() if len(s) >= FEWEST_PRESSES}
    if not spans:
        return Certificate(why_not=f"no key is pressed {FEWEST_PRESSES} times")
    if len(times) < 2 or np.median(np.diff(times)) <= 0:
        return Certificate(why_not="most frames have the time of the one before")
    blocks = _blocks(times, inside)
    if len(blocks) < FEWEST_BLOCKS:
        return Certificate(why_not=f"fewer than {FEWEST_BLOCKS * _block_frames(times)} frames without a break")
    sums = _sums(times, spans, change, blocks)
    whole = _r2(sums, np.ones((1, len(blocks))))[0]
    if whole.max() < NOISE_R2:
        return Certificate(r2=float(whole.max()), why_not="the keys have no effect on the picture that could be seen")
    generator = np.random.default_rng(seed)
    drawn = _resamples(np.arange(len(blocks)), len(blocks), RESAMPLES, generator)
    lags = np.array([_peak(curve) for curve in _r2(sums, drawn)])
    lag_ms, frame_ms = _peak(whole) * 1000, float(np.median(np.diff(times))) * 1000
    share = np.hypot(MODEL_SHARE, in_step(times, np.concatenate([*spans.values()])) / np.sqrt(12))
    model_ms = 1.96 * float(np.hypot(share * frame_ms, _keys_apart(sums)))
    low, high = _limits(lag_ms, lags * 1000, len(blocks), model_ms)
    middles = np.array([times[block].mean() for block in blocks])
    drift = _drift_and_jitter(sums, middles, generator)
    return Certificate(lag_ms, low, high, *drift, float(whole.max()), model_ms=model_ms)


def apart(times: np.ndarray, inside: np.ndarray, key_events, change: np.ndarray) -> tuple[float, float] | None:
    """The lag, s, at the start and the end of a session whose logs are certainly of two clocks, or None.

    Certain is what one part after another says: a lag that no game has (the picture changes before the key, or more
    than LATEST_S after it) explains CERTAIN_R2 of the picture's change, and CERTAIN_TIMES what any usual lag does; and
    from part to part it moves by no more than clocks do. Certain is also what all parts together say that clearly, if
    each says so.
    """
    spans = {key: s for key, s in presses(key_events).items() if len(s) >= FEWEST_PRESSES}
    if not spans or not np.median(np.diff(times)):
        return None
    blocks = _blocks(times, inside)
    if len(blocks) <= FEWEST_PARTS:
        return None
    sums = _sums(times, spans, change, blocks, FAR_LAGS_S)
    parts = np.array_split(np.arange(len(blocks)), max(len(blocks) // BLOCKS_A_PART, FEWEST_PARTS))
    weights = np.array([np.isin(np.arange(len(blocks)), part) for part in parts], float)
    curves = _r2(sums, weights)
    usual = _usual(FAR_LAGS_S)
    best, other = curves[:, ~usual].max(axis=1), curves[:, usual].max(axis=1)
    certain = (best >= CERTAIN_R2) & (best >= CERTAIN_TIMES * other)
    lags = FAR_LAGS_S[~usual][curves[:, ~usual].argmax(axis=1)][certain]
    long = len(blocks) >= FEWEST_PARTS * BLOCKS_A_PART
    if long and certain.mean() >= MOST_PARTS and (np.abs(np.diff(lags)) <= STEADY_S).mean() >= MOST_PARTS:
        return float(lags[0]), float(lags[-1])
    # Keys pressed evenly explain a part of the picture at many lags, all parts together far less so.
    whole = _r2(sums, np.ones((1, len(blocks))))[0]
    lag = int(np.where(usual, 0, whole).argmax())
    if whole[lag] >= max(CERTAIN_R2, CERTAIN_TIMES * whole[usual].max()) and (curves[:, lag] > other).all():
        return float(FAR_LAGS_S[lag]), float(FAR_LAGS_S[lag])
    return None


def other_rate(times: np.ndarray, inside: np.ndarray, key_events, change: np.ndarray) -> float | None:
    """By which the key log's times have to be stretched, from the first frame on, for the picture to follow; or None.

    Certain is a rate at which the keys explain, in both halves of the first blocks, far more of the picture's change
    than they do at any lag as they were logged.
    """
    spans = {key: s for key, s in presses(key_events).items() if len(s) >= FEWEST_PRESSES}
    blocks = _blocks(times, inside, most=None)[:RATE_BLOCKS] if spans and np.median(np.diff(times)) else []
    if len(blocks) <= FEWEST_PARTS:
        return None
    halves = np.arange(len(blocks)) < len(blocks) / 2
    weights = np.array([halves, ~halves, halves | True], float)
    curves = _r2(_sums(times, spans, change, blocks, FAR_LAGS_S), weights)
    usual, logged = _usual(FAR_LAGS_S), curves.max(axis=1)
    if logged[2] > 1 / CERTAIN_TIMES or curves[2, usual].max() > PLAIN_TIMES * curves[2, ~usual].max():
        return None
    rate = 1.0
    for tried in (RATES, FINE_RATES):
        sums = [_sums(times, _stretched(spans, times[0], rate * each), change, blocks, FEW_LAGS_S) for each in tried]
        rate *= tried[np.argmax([_r2(one, weights)[2].max() for one in sums])]
    curves = _r2(_sums(times, _stretched(spans, times[0], rate), change, blocks, RATE_LAGS_S), weights)
    found = curves[:, curves[2].argmax()]
    certain = found[2] >= CERTAIN_TIMES * logged[2] and (found >= CERTAIN_R2).all() and (found > logged).all()
    return float(rate) if certain else None


def _usual(lags: np.ndarray) -> np.ndarray:
    return (lags >= EARLIEST_S) & (lags <= LATEST_S)


def _stretched(spans: Mapping[str, np.ndarray], start: float, rate: float) -> dict[str, np.ndarray]:
    return {key: start + (own - start) * rate for key, own in spans.items()}


def pooled_lag(found: Sequence[Certificate]) -> tuple[float, float, float] | None:
    """Lag of several sessions of one game on one machine together and its 95 % interval, ms; None for fewer than two.

    Each weighs by the inverse square of its own interval; the interval also holds how much they differ. The model's
    part is the same in all, so it grows no smaller: it is taken out of each and put back once.
    """
    known = [c for c in found if not c.why_not]
    if len(known) < 2:
        return None
    lags = np.array([c.lag_ms for c in known])
    model = float(np.median([c.model_ms for c in known]))
    chance = [max(((c.lag_high_ms - c.lag_low_ms) / 2) ** 2 - c.model_ms**2, 0) ** 0.5 for c in known]
    error = np.maximum(np.array(chance) / 1.96, 0.5)
    weight = 1 / error**2
    mean = float((weight * lags).sum() / weight.sum())
    excess = max(float((weight * (lags - mean) ** 2).sum()) / (len(lags) - 1), 1.0)  # Birge's ratio, squared
    half = float(np.hypot(1.96 * np.sqrt(excess / weight.sum()), model))
    return mean, mean - half, mean + half


def _keys_apart(sums) -> float:
    """Standard error of the lag, ms, from how much it changes without each of the keys; 0 where one is all there is."""
    xtx, xty, rest = sums
    once, lags = np.ones((1, xtx.shape[1])), []
    for key in range(1, xtx.shape[-1]):
        left = np.delete(np.arange(xtx.shape[-1]), key)
        curve = _r2((xtx[..., left[:, None], left], xty[:, :, left], rest), once)[0]
        if curve.max() >= NOISE_R2:
            lags.append(_peak(curve) * 1000)
    return float(np.sqrt((len(lags) - 1) * np.var(lags))) if len(lags) > 1 else 0.0


def _limits(lag: float, drawn: np.ndarray, blocks: int, model: float) -> tuple[float, float]:
    """The 95 % interval about `lag`: of the lags `drawn` from that many `blocks`, and of the model's half width, ms."""
    wider = np.sqrt(blocks / (blocks - 1)) * stdtrit(blocks - 1, 0.975) / 1.96
    low, high = np.percentile(drawn, [2.5, 97.5])
    below, above = (float(np.hypot(wider * max(side, 0.0), model)) for side in (lag - low, high - lag))
    return lag - below, lag + above


def _resamples(part: np.ndarray, blocks: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Weights float64 [count, blocks] of bootstraps that draw among the blocks `part`."""
    weights = np.zeros((count, blocks))
    weights[:, part] = generator.multinomial(len(part), np.full(len(part), 1 / len(part)), count)
    return weights


def _blocks(times: np.ndarray, inside: np.ndarray, most: int | None = MOST_BLOCKS) -> list[np.ndarray]:
    """Frames of usual intervals that lie in episodes, in at most so many runs of at least `_block_frames`."""
    usual = np.concatenate([[False], np.diff(times) < 1.5 * np.median(np.diff(times))]) & inside
    frames, length = np.flatnonzero(usual), _block_frames(times)
    if most is not None:
        length = max(length, -(-len(frames) // most))
    return [frames[i : i + length] for i in range(0, len(frames) - length + 1, length)]


def _block_frames(times: np.ndarray) -> int:
    """How many frames a block has."""
    return max(BLOCK_FRAMES, round(BLOCK_S / float(np.median(np.diff(times)))))


def _sums(times, spans: Mapping[str, np.ndarray], change, blocks, lags=LAGS_S) -> tuple[np.ndarray, ...]:
    """Per block: X'X [L, B, K, K], X'Y [L, B, K, C] and Y'Y [B, C], with a column of ones in X."""
    index = np.concatenate(blocks)
    y = change[index].astype(np.float64)
    y = ((y - y.mean(axis=0)) / np.maximum(y.std(axis=0), 1e-9)).reshape(len(blocks), len(blocks[0]), -1)
    xtx, xty = [], []
    for lag in lags:
        columns = [np.ones(len(index)), *(held_share(times, s, lag)[index] for s in spans.values())]
        x = np.stack(columns).reshape(len(columns), len(blocks), -1).swapaxes(0, 1)
        xtx.append(x @ x.swapaxes(1, 2))
        xty.append(x @ y)
    return np.array(xtx), np.array(xty), np.stack([np.einsum("btc,btc->bc", y, y), y.sum(axis=1)])


def _r2(sums, weights: np.ndarray) -> np.ndarray:
    """float64 [R, L]: explained variance over all cells for weights [R, B] of the blocks."""
    xtx, xty, (yty, y_sum) = sums
    gram, cross = np.tensordot(weights, xtx, (1, 1)), np.tensordot(weights, xty, (1, 1))  # [R, L, K, K], [R, L, K, C]
    ridge = 1e-6 * np.trace(gram, axis1=-2, axis2=-1)[..., None, None] * np.eye(gram.shape[-1])
    explained = (cross * np.linalg.solve(gram + ridge, cross)).sum(axis=-2)
    frames = (weights @ xtx[0, :, 0, 0])[:, None]  # the column of ones times itself
    mean_part = (weights @ y_sum) ** 2 / frames
    total = weights @ yty - mean_part
    return np.maximum(explained - mean_part[:, None], 0).sum(axis=-1) / np.maximum(total.sum(axis=-1), 1e-9)[:, None]


def _peak(curve: np.ndarray) -> float:
    """The lag in s at which a curve [L] is highest, refined by a parabola through three points."""
    best = int(np.clip(np.argmax(curve), 1, len(curve) - 2))
    left, middle, right = curve[best - 1 : best + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(LAGS_S[best] + np.clip(shift, -1, 1) * (LAGS_S[1] - LAGS_S[0]))


def _drift_and_jitter(sums, middles: np.ndarray, generator: np.random.Generator) -> tuple[float, ...]:
    """Drift and its 95 % half width in ms a minute; jitter, its lower and upper limit in ms. NaN for too few blocks."""
    parts = np.array_split(np.arange(len(middles)), min(8, len(middles) // 3))
    if len(parts) < 3:
        return (np.nan,) * 5
    minutes = np.array([middles[part].mean() for part in parts]) / 60
    lags, errors = np.array([_lag_of(part, sums, len(middles), generator) for part in parts]).T
    jitter, *limits = _jitter(minutes, lags, errors)
    weight = 1 / (errors**2 + jitter**2)
    centre = np.average(minutes, weights=weight)
    spread = (weight * (minutes - centre) ** 2).sum()
    slope = (weight * (minutes - centre) * lags).sum() / spread
    return float(slope), float(1.96 / np.sqrt(spread)), jitter, *limits


def _lag_of(part: np.ndarray, sums, blocks: int, generator: np.random.Generator) -> tuple[float, float]:
    """The lag of the blocks `part` alone and its standard error, ms."""
    inside = np.zeros(blocks)
    inside[part] = 1
    again = [_peak(curve) for curve in _r2(sums, _resamples(part, blocks, 40, generator))]
    return _peak(_r2(sums, inside[None])[0]) * 1000, max(float(np.std(again)) * 1000, 0.5)


def _jitter(minutes: np.ndarray, lags: np.ndarray, errors: np.ndarray) -> tuple[float, float, float]:
    """How much the lags [K] of stretches spread about a line beyond their own errors, and its 95 % interval, ms.

    The weighted squares about the line follow chi-square with K - 2 degrees of freedom at the true spread: the spread
    at which they are as large as expected (Paule and Mandel 1982), and those at which they are just likely enough
    (Q-profile, Viechtbauer 2007).
    """
    weight = 1 / (errors**2 + JITTERS_MS[:, None] ** 2)
    x, y = (row - (weight @ row / weight.sum(axis=1))[:, None] for row in (minutes, lags))
    slope = (weight * x * y).sum(axis=1) / (weight * x**2).sum(axis=1)
    squares = (weight * (y - slope[:, None] * x) ** 2).sum(axis=1)  # the smaller, the wider the spread
    free = len(lags) - 2
    limits = (free, *(2 * gammaincinv(free / 2, [0.975, 0.025])))
    first = [min(np.searchsorted(-squares, -limit), len(squares) - 1) for limit in limits]
    return tuple(JITTERS_MS[first].tolist())
