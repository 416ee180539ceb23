"""How much a latent action tells: about the next picture, and about the key that was pressed.

Conventions: N transitions in F episodes, K codes; errors are squared grey levels, summed over the
pixels of a transition. Scores are pooled: errors are added up before the logarithm is taken.

Gain over copy-last in dB says how much better than "nothing changes" the prediction is; it would be
high for a model that ignores its code and knows the game. The shuffle drop says how much of it is the
code's doing: the dB lost when each transition gets another one's code (Bruce et al. 2024, Genie,
section 3, compare with random codes in the same way).
"""

import math
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score, f1_score

from stages.evaluation.intervals import Interval, sums_interval
from stages.evaluation.metrics import ratio

ERRORS = ("model", "copy", "shuffled")  # the columns of the sums of errors
# The columns of what pictures are judged by: squared errors on moving pixels, SSIM, and the pixels of the SSIM.
PICTURE_SUMS = ("moving_error", "copy_moving_error", "ssim", "copy_ssim", "ssim_pixels")
PROBES = ("accuracy", "majority", "frame", "supervised")  # the columns of the counts of right answers


def decibels(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    """10 log10(larger / smaller) of two sums of squared errors; NaN where one of them is 0."""
    quotient = ratio(larger, smaller)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.where(quotient > 0, quotient, math.nan))


def gain_db(sums: np.ndarray) -> np.ndarray:
    """How far below a copy of the current frame the error lies, in dB: sums [..., ERRORS + pixels] -> [...]."""
    return decibels(sums[..., 1], sums[..., 0])


def shuffle_drop_db(sums: np.ndarray) -> np.ndarray:
    """What shuffled codes cost, in dB: sums [..., ERRORS + pixels] -> [...]."""
    return decibels(sums[..., 2], sums[..., 0])


def perplexity(codes: np.ndarray, count: int) -> float:
    """exp(entropy) of codes int [N] out of `count`: 1 when one code does all, `count` when all do the same."""
    share = np.bincount(codes, minlength=count) / len(codes)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def key_classes(actions: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Which one of the actions is held, its place among `columns`; len(columns) for none or several.

    actions 0/1 [N, A] -> int64 [N]. Several at once (left and right) cancel each other or mix.
    """
    held = np.asarray(actions)[:, list(columns)] > 0
    return np.where(held.sum(axis=1) == 1, held.argmax(axis=1), len(columns)).astype(np.int64)


def majority_by_code(codes: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The class that goes with each code most often, int64 [count]; for codes never seen the most frequent class.

    The best possible probe on codes alone: with one code a transition, every probe is a table.
    """
    table = np.zeros((count, int(classes.max()) + 1), np.int64)
    np.add.at(table, (codes, classes), 1)
    return np.where(table.any(axis=1), table.argmax(axis=1), table.sum(axis=0).argmax())


def probe_skill(right: np.ndarray) -> np.ndarray:
    """(accuracy - guess) / (supervised - guess), guess the better of majority and frame; right [..., PROBES] -> [...].

    0: no better than a guess without the transition. 1: as good as the same network trained on all
    labels. NaN where labels do not help that network either.
    """
    accuracy, majority, frame, supervised = np.moveaxis(np.asarray(right, np.float64), -1, 0)
    guess = np.maximum(majority, frame)
    room = supervised - guess
    return ratio(accuracy - guess, np.where(room > 0, room, 0.0))


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
    none = dict.fromkeys(("lam_psnr_db", "lam_copy_psnr_db"))
    if not kept.any():
        empty = Interval(math.nan, math.nan, math.nan)
        return empty.as_metrics("lam_gain_db") | empty.as_metrics("lam_shuffle_drop_db") | none | found
    sums = sums_by_episode(counts, episode[kept])
    drawn = {"resamples": resamples, "seed": seed}
    total = sums.sum(axis=0)
    psnr = [float(decibels(255.0**2 * total[3], total[column])) for column in (0, 1)]
    return (
        sums_interval(gain_db, sums, **drawn).as_metrics("lam_gain_db")
        | sums_interval(shuffle_drop_db, sums, **drawn).as_metrics("lam_shuffle_drop_db")
        | {name: value if math.isfinite(value) else None for name, value in zip(none, psnr, strict=True)}
        | found
    )


def picture_metrics(sums: np.ndarray, episode: np.ndarray, *, resamples: int, seed: int) -> dict[str, float | None]:
    """Gain over a copy on moving pixels, and SSIM, from the sums [N, PICTURE_SUMS] of transitions."""
    by_episode = sums_by_episode(sums, episode)
    drawn = {"resamples": resamples, "seed": seed}
    moving = sums_interval(lambda each: decibels(each[..., 1], each[..., 0]), by_episode, **drawn)
    found = moving.as_metrics("lam_moving_gain_db")
    total = by_episode.sum(axis=0)
    for name, column in (("lam_ssim", 2), ("lam_copy_ssim", 3)):
        value = float(ratio(total[column], total[4]))
        found[name] = value if math.isfinite(value) else None
    return found


def code_metrics(codes: np.ndarray, count: int) -> dict[str, float]:
    """How many codes are in use, and how evenly, in codes int [N] out of `count`."""
    return {
        "lam_perplexity": perplexity(codes, count),
        "lam_codes_used": int(len(np.unique(codes))),
        "lam_capacity_bits": math.log2(count),
    }


def probe_metrics(right: np.ndarray, episode: np.ndarray, *, resamples: int, seed: int) -> dict[str, float | None]:
    """Accuracies and skill from right answers bool [N, PROBES]."""
    skill = sums_interval(probe_skill, sums_by_episode(right, episode), resamples=resamples, seed=seed)
    shares = right.mean(axis=0)
    return skill.as_metrics("lam_probe_skill") | {
        f"lam_probe_{name}": float(share) for name, share in zip(PROBES, shares, strict=True)
    }


def agreement_metrics(codes: np.ndarray, classes: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """How codes and keys go together: adjusted mutual information (0: by chance, 1: the same), the probe's macro F1.

    codes, classes and the probe's answers int64 [N]. Vinh, Epps and Bailey 2010; both by scikit-learn.
    """
    return {
        "lam_ami": float(adjusted_mutual_info_score(classes, codes)),
        "lam_probe_macro_f1": float(f1_score(classes, answers, average="macro", zero_division=0)),
    }


def no_probe_metrics() -> dict[str, None]:
    """The metrics of probe and agreement where the store has no actions: null."""
    names = [f"probe_skill{end}" for end in ("", "_low", "_high")] + [f"probe_{name}" for name in PROBES]
    return {f"lam_{name}": None for name in (*names, "ami", "probe_macro_f1")}
