"""How much a latent action tells: about the next picture, and about the key that was pressed.

Conventions: N transitions in F episodes, K codes, one or more a transition: codes [N] or [N, n]; errors are squared
grey levels, summed over the pixels of a transition. Scores are pooled: errors are added up before the logarithm.

Gain over copy-last in dB says how much better than "nothing changes" the prediction is; it would be
high for a model that ignores its code and knows the game. The shuffle drop says how much of it is the
code's doing: the dB lost when each transition gets another one's code (Bruce et al. 2024, Genie,
section 3, compare with random codes in the same way).
"""

import math
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

from stages.evaluation.intervals import UNDEFINED, Interval, bootstrap_interval, finite, sums_interval
from stages.evaluation.metrics import mean_of_sums, nanmean, ratio

# The columns of the sums of errors: squared ones, then absolute ones. The first four are those of PICTURE_SUMS, too.
ERRORS = ("model", "copy", "shuffled", "zeroed", "model_absolute", "copy_absolute")
# The columns of what pictures are judged by: squared errors on moving pixels, SSIM, and the pixels of the SSIM.
PICTURE_SUMS = (
    "moving_error", "copy_moving_error", "shuffled_moving_error", "zeroed_moving_error",
    "ssim", "copy_ssim", "ssim_pixels",
)  # fmt: skip
SEEN = ("past", "past_code", "past_next")  # what the predictors of `information` see
MEANS = ("lam_psnr_db", "lam_copy_psnr_db", "lam_l2", "lam_copy_l2", "lam_l1", "lam_copy_l1")
# The columns of the probes' answers: the code alone, the most frequent class, the class one frame earlier, the one that
# follows it most often when it ends, the three of SEEN, a network with all labels that sees the whole transition, the
# code with a hidden layer.
PROBES = ("accuracy", "majority", "repeat", "switch", "past", "past_code", "past_next", "supervised", "mlp")
# Those that are judged where the class changes as well.
AT_CHANGES = ("accuracy", "switch", "past", "past_code", "past_next")


def decibels(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    """10 log10(larger / smaller) of two sums of squared errors; NaN where one of them is 0."""
    quotient = ratio(larger, smaller)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.where(quotient > 0, quotient, math.nan))


def gain_db(sums: np.ndarray) -> np.ndarray:
    """How far below a copy of the current frame the error lies, in dB: sums [..., ERRORS or PICTURE_SUMS] -> [...]."""
    return decibels(sums[..., 1], sums[..., 0])


def shuffle_drop_db(sums: np.ndarray) -> np.ndarray:
    """What shuffled codes cost, in dB: sums [..., ERRORS or PICTURE_SUMS] -> [...]."""
    return decibels(sums[..., 2], sums[..., 0])


def zeroed_drop_db(sums: np.ndarray) -> np.ndarray:
    """What no code at all costs, in dB: sums [..., ERRORS or PICTURE_SUMS] -> [...]."""
    return decibels(sums[..., 3], sums[..., 0])


def perplexity(codes: np.ndarray, count: int) -> float:
    """exp(entropy) of codes out of `count`: 1 when one code does all, `count` when all do the same."""
    return float(perplexity_of(np.bincount(codes.ravel(), minlength=count)))


def perplexity_of(counts: np.ndarray) -> np.ndarray:
    """The perplexity of codes that occur so often: counts [..., K] -> [...]."""
    share = counts / counts.sum(axis=-1, keepdims=True)
    return np.exp(-(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=-1))


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """The mean F1 of the classes that are true or said somewhere: confusion counts [..., C * C], the true class first
    -> [...]."""
    table = confusion.reshape(*confusion.shape[:-1], math.isqrt(confusion.shape[-1]), -1)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    return nanmean(ratio(2 * hits, table.sum(axis=-1) + table.sum(axis=-2)))


def occurrences(values: np.ndarray, count: int) -> np.ndarray:
    """How often each of the numbers below `count` stands in a row of values [N] or [N, n]: float64 [N, count]."""
    rows = np.zeros((len(values), count))
    np.add.at(rows, (np.arange(len(values))[:, None], values.reshape(len(values), -1)), 1)
    return rows


def joined_codes(codes: np.ndarray) -> np.ndarray:
    """All codes of a transition as one number, int64 [N]: equal where all are equal. codes [N] or [N, n]."""
    return np.unique(codes.reshape(len(codes), -1), axis=0, return_inverse=True)[1].ravel()


def key_classes(actions: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Which one of the actions is held, its place among `columns`; len(columns) for none or several.

    actions 0/1 [N, A] -> int64 [N]. Several at once (left and right) cancel each other or mix.
    """
    held = np.asarray(actions)[:, list(columns)] > 0
    return np.where(held.sum(axis=1) == 1, held.argmax(axis=1), len(columns)).astype(np.int64)


def classes_before(classes: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """The class one frame earlier, int64 [N]; -1 at an episode's first transition. classes and episode int64 [N]."""
    before = np.roll(classes, 1)
    before[np.flatnonzero(np.diff(episode, prepend=-1))] = -1
    return before


def information_gained(right: np.ndarray) -> np.ndarray:
    """(past and code - past) / (past and next frame - past), of accuracies or sums; right [..., PROBES] -> [...].

    0: the code tells no key that the frames before it have not told to the same reader. 1: as many as the next frame
    itself tells it; a code that is easier to read than the frame tells more. NaN where the next frame tells it nothing
    new.
    """
    past, with_code, with_next = (np.asarray(right, np.float64)[..., PROBES.index(name)] for name in SEEN)
    room = with_next - past
    return ratio(with_code - past, np.where(room > 0, room, 0.0))


def sums_by_episode(values: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """values [N, ...] added up within each episode that has a transition -> float64 [F, ...]; episode int [N]."""
    names, place = np.unique(episode, return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, place, values)
    return sums


def prediction_metrics(
    errors: np.ndarray, identical: np.ndarray, episode: np.ndarray, pixels: int, *, resamples: int, seed: int
) -> dict[str, float | None]:
    """Gain, shuffle drop and PSNRs from the squared errors [N, ERRORS] of transitions with `pixels` values each.

    Pairs of identical frames, bool [N], are counted and left out: a copy predicts them for nothing.
    """
    kept = ~identical
    counts = np.concatenate([errors[kept], np.full((kept.sum(), 1), float(pixels))], axis=1)
    found: dict[str, float | None] = {"lam_identical_pairs": int(identical.sum())}
    scores = {"lam_gain_db": gain_db, "lam_shuffle_drop_db": shuffle_drop_db, "lam_zeroed_drop_db": zeroed_drop_db}
    if not kept.any():
        intervals = {key: value for name in scores for key, value in UNDEFINED.as_metrics(name).items()}
        return intervals | dict.fromkeys(MEANS) | found
    sums = sums_by_episode(counts, episode[kept])
    for name, score in scores.items():
        found |= sums_interval(score, sums, resamples=resamples, seed=seed).as_metrics(name)
    return found | mean_errors(sums.sum(axis=0))


def mean_errors(total: np.ndarray) -> dict[str, float | None]:
    """MEANS of the prediction and of a copy from sums [ERRORS + pixels]: PSNR in dB, squared and absolute errors a
    value in 0..1 (L2 and L1)."""
    pixels = total[-1]
    values = [float(decibels(255.0**2 * pixels, total[column])) for column in (0, 1)]
    values += [total[0] / pixels / 255**2, total[1] / pixels / 255**2, total[4] / pixels / 255, total[5] / pixels / 255]
    return {name: finite(value) for name, value in zip(MEANS, values, strict=True)}


def picture_metrics(sums: np.ndarray, episode: np.ndarray, *, resamples: int, seed: int) -> dict[str, float | None]:
    """On moving pixels gain over a copy and what shuffled codes or none cost, and SSIM: from sums [N, PICTURE_SUMS]."""
    by_episode = sums_by_episode(sums, episode)
    drawn = {"resamples": resamples, "seed": seed}
    found = {}
    for name, score in {"gain": gain_db, "shuffle_drop": shuffle_drop_db, "zeroed_drop": zeroed_drop_db}.items():
        found |= sums_interval(score, by_episode, **drawn).as_metrics(f"lam_moving_{name}_db")
    for name, column in {"lam_ssim": -3, "lam_copy_ssim": -2}.items():
        found |= sums_interval(mean_of_sums, by_episode[:, [column, -1]], **drawn).as_metrics(name)
    return found


def code_metrics(
    codes: np.ndarray, count: int, episode: np.ndarray, *, resamples: int, seed: int
) -> dict[str, float | None]:
    """How many codes are in use, and how evenly, out of `count`; the most bits that those of a transition can tell."""
    used, counts = len(np.unique(codes)), sums_by_episode(occurrences(codes, count), episode)
    return sums_interval(perplexity_of, counts, resamples=resamples, seed=seed).as_metrics("lam_perplexity") | {
        "lam_codes_used": used,
        "lam_codes_used_share": used / count,
        "lam_capacity_bits": codes.reshape(len(codes), -1).shape[1] * math.log2(count),
    }


def probe_metrics(
    answers: np.ndarray, classes: np.ndarray, codes: np.ndarray, episode: np.ndarray, *,
    name: str, resamples: int, seed: int,
) -> dict[str, float | None]:  # fmt: skip
    """What PROBES answered, int64 [N, PROBES], against the classes int64 [N]: metrics that begin with lam_`name`.

    Accuracies, of AT_CHANGES also over the transitions whose class is not that of the frame before; information
    gained; the macro F1 of the linear probe; and how codes and classes go together: adjusted mutual information (0: by
    chance, 1: the same; Vinh, Epps and Bailey 2010), both by scikit-learn.
    """
    right, drawn = answers == classes[:, None], {"resamples": resamples, "seed": seed}
    kinds = 1 + max(int(classes.max()), int(answers[:, 0].max()))
    confusion = occurrences(classes * kinds + answers[:, 0], kinds**2)
    shares = zip(PROBES, right.mean(axis=0), strict=True)
    before = classes_before(classes, episode)
    changed = ((before >= 0) & (before != classes))[:, None]
    beyond = beyond_the_past(name)
    found = {f"lam_{name}_{probe}": float(share) for probe, share in shares}
    gained = sums_interval(information_gained, sums_by_episode(right, episode), **drawn)
    found |= gained.as_metrics(f"{beyond}_information_gained") | {f"{beyond}_change_share": float(changed.mean())}
    for probe in AT_CHANGES:
        sums = sums_by_episode(np.hstack([right[:, [PROBES.index(probe)]] & changed, changed]), episode)
        found |= sums_interval(mean_of_sums, sums, **drawn).as_metrics(f"{beyond}_change_{probe}")
    return (
        found
        | sums_interval(macro_f1, sums_by_episode(confusion, episode), **drawn).as_metrics(f"lam_{name}_macro_f1")
        | _agreement(classes, joined_codes(codes), episode, **drawn).as_metrics(f"lam_{name}_ami")
    )


def _agreement(classes: np.ndarray, codes: np.ndarray, episode: np.ndarray, **drawn: int) -> Interval:
    """The adjusted mutual information of classes and codes, int64 [N] each."""
    rows = [np.flatnonzero(episode == name) for name in np.unique(episode)]

    def of_episodes(chosen: np.ndarray) -> float:
        kept = np.concatenate([rows[episode] for episode in chosen])
        return adjusted_mutual_info_score(classes[kept], codes[kept])

    return bootstrap_interval(lambda drawn: np.apply_along_axis(of_episodes, -1, drawn), len(rows), **drawn)


def no_probe_metrics(name: str) -> dict[str, None]:
    """The metrics of `probe_metrics` where nothing says what the classes are: null."""
    beyond = beyond_the_past(name)
    ranges = [f"{beyond}_information_gained", *(f"{beyond}_change_{probe}" for probe in AT_CHANGES)]
    ranges += [f"lam_{name}_macro_f1", f"lam_{name}_ami"]
    single = [f"{beyond}_change_share", *(f"lam_{name}_{probe}" for probe in PROBES)]
    return dict.fromkeys([each + end for each in ranges for end in ("", "_low", "_high")] + single)


def beyond_the_past(name: str) -> str:
    """How the metrics of a probe begin that leave out what the past tells: of the keys, the headline, plain lam."""
    return "lam" if name == "probe" else f"lam_{name}"
