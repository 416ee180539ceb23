"""What every headline metric means, in plain words; the order is the order in all tables.

Names are those of validation (`val_...`, `ae_...`, `lam_...`); on test the same metric has no `val_`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """`heading`: two short lines for narrow tables; `digits`: behind the point; `beside`: what to compare it
    with, the strongest control where there is one, in words around metrics of test."""

    words: str
    heading: tuple[str, str]
    digits: int
    beside: str


HEADLINE: Mapping[str, Term] = {
    "val_return_fraction": Term(
        "play: 0 = best blind policy, 1 = the recorded player", ("return", "fract."), 2,
        "points a game: agent {return:.1f}, player {return_script:.1f}, best blind {return_blind:.1f}",
    ),
    "val_onset_f1": Term(
        "key presses found at the right moment (onset F1)", ("onset", "F1"), 3,
        "best playable baseline {onset_f1_baseline:.3f}",
    ),
    "val_onset_skill": Term("onset F1 above the best playable baseline", ("onset", "skill"), 3, "0 is that baseline"),
    "val_composite_f1": Term(
        "weighted F1 of the chosen actions", ("compos.", "F1"), 3,
        "best playable baseline {composite_f1_baseline:.3f}; the player's last keys again {composite_f1_repeat:.3f}",
    ),
    "val_frame_f1": Term(
        "keys held, frame by frame (macro F1)", ("frame", "F1"), 3,
        "best playable baseline {frame_f1_baseline:.3f}; the player's last keys again {frame_f1_repeat:.3f}",
    ),
    "val_ap": Term(
        "average precision of the probabilities", ("avg.", "prec."), 3,
        "best playable baseline {ap_baseline:.3f}; the player's last keys again {ap_repeat:.3f}",
    ),
    "val_exact_match": Term(
        "frames with every key right", ("exact", "match"), 3,
        "best playable baseline {exact_match_baseline:.3f}; the player's last keys again {exact_match_repeat:.3f}",
    ),
    "ae_psnr_db": Term(
        "reconstruction, all pixels (dB)", ("PSNR", "dB"), 2, "the mean picture every time {ae_background_psnr_db:.2f}"
    ),
    "ae_moving_psnr_db": Term(
        "reconstruction, moving pixels (dB)", ("moving", "dB"), 2,
        "the mean picture every time {ae_background_moving_psnr_db:.2f}",
    ),
    "ae_object_ap": Term(
        "small objects still found in the latent (AP)", ("object", "AP"), 3,
        "from the picture itself {ae_object_ap_raw:.3f}, blind {ae_object_ap_blind:.3f}",
    ),
    "lam_gain_db": Term(
        "latent action: next frame better than a copy (dB)", ("l.act.", "gain"), 2,
        "{lam_zeroed_drop_db:.2f} less without any code, {lam_shuffle_drop_db:.2f} less with shuffled ones",
    ),
    "lam_shuffle_drop_db": Term(
        "latent action: lost with shuffled codes (dB)", ("l.act.", "shuffle"), 2,
        "lost without any code {lam_zeroed_drop_db:.2f}",
    ),
    "lam_information_gained": Term(
        "latent action: information on the keys (0 = the past, 1 = the next frame)", ("l.act.", "inform."), 2,
        "keys told from the past {lam_probe_past:.2f} (the key before, again: {lam_probe_repeat:.2f}), with the code "
        "{lam_probe_past_code:.2f}, with the next frame {lam_probe_past_next:.2f}",
    ),
    "lam_change_accuracy": Term(
        "latent action: keys told by the code where they change", ("l.act.", "changes"), 2,
        "from the past {lam_change_past:.2f}, the likeliest other key {lam_change_switch:.2f}, from past and next "
        "frame {lam_change_past_next:.2f}",
    ),
    "lam_perplexity": Term(
        "latent action: codes in use (perplexity)", ("l.act.", "codes"), 1,
        "codes that occur {lam_codes_used:.0f}, {lam_codes_used_share:.0%} of all",
    ),
}  # fmt: skip

TEST_FIRST = ("return_fraction", "return", "return_script", "return_blind", "return_random")


def test_name(name: str) -> str:
    """The name of a validation metric in reports/test/metrics.json."""
    return name.removeprefix("val_")


def headline_first(metrics: Mapping, first: list[str] | tuple[str, ...]) -> dict:
    """The same metrics, those of `first` in its order, then the rest by name."""
    known = [name for name in first if name in metrics]
    return {name: metrics[name] for name in [*known, *sorted(set(metrics) - set(known))]}


WORDS = {
    "f1": "F1",
    "ap": "AP",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "db": "dB",
    "kl": "KL",
    "l1": "L1",
    "l2": "L2",
    "ami": "AMI",
}


def in_words(name: str) -> str:
    """A metric's name for readers: "val_onset_f1_DASH" becomes "onset F1 DASH"."""
    for prefix in ("val_", "ae_", "lam_"):
        name = name.removeprefix(prefix)
    return " ".join(WORDS.get(part, part) for part in name.split("_"))


def headline_rows(val: Mapping, test: Mapping) -> list[list[str]]:
    """What it means, on validation, on test, and what stands beside it on test: a row for each headline metric that
    either has."""
    return [
        [term.words, *on_both(val, test, name, term.digits), beside(term, test)]
        for name, term in HEADLINE.items()
        if val.get(name) is not None or test.get(test_name(name)) is not None
    ]


def beside(term: Term, test: Mapping) -> str:
    """What stands beside a headline metric, in words; empty where test has no such number."""
    try:
        return term.beside.format_map(test)
    except (KeyError, TypeError):  # a metric is missing, or null
        return ""


def on_both(val: Mapping, test: Mapping, name: str, digits: int) -> tuple[str, str]:
    """A metric on validation and on test, with intervals."""
    return with_interval(val, name, digits), with_interval(test, test_name(name), digits)


LOWER_IS_BETTER = ("_l1", "_l2", "_kl", "error", "_mae", "_mse", "_loss", "_brier", "_ece", "_off_px", "_missed")


def lower_is_better(name: str) -> bool:
    """True for distances and errors, whose smallest value is the best."""
    return any(part in name for part in LOWER_IS_BETTER)


def digits_of(name: str) -> int:
    """Digits behind the point in tables of all metrics; the errors of pixels in 0..1 are small numbers."""
    return 5 if name.startswith("lam_") and name.endswith(("_l1", "_l2")) else 3


def with_interval(metrics: Mapping, name: str, digits: int) -> str:
    """ "0.81 (0.74-0.87)", "0.81" without an interval, a dash where the metric is missing or null."""
    return interval_in_words(*ends_of(metrics, name), digits)


def ends_of(metrics: Mapping, name: str) -> tuple[float | None, float | None, float | None]:
    """A metric and the ends of its interval; None for what there is not."""
    return tuple(metrics.get(name + end) for end in ("", "_low", "_high"))


def interval_in_words(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    """The same of a value and the ends of its interval."""
    if value is None:
        return "–"
    if low is None or high is None:
        return f"{value:.{digits}f}"
    between = " to " if low < 0 else "-"
    return f"{value:.{digits}f} ({low:.{digits}f}{between}{high:.{digits}f})"
