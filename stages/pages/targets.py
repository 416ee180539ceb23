"""What a run should reach by default, whether it did, and what to say where it did not.

Everything is judged on test; a target whose number does not exist (no bundled game, no state) is neither met nor
missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.pages.glossary import ends_of, interval_in_words, with_interval
from stages.pages.score_tables import actions_of, best_baseline, named_predictor

RETURN_FRACTION = 0.65
OBJECT_SHARE = 0.8  # of what the probe of the raw frame finds
INFORMATION_GAINED = 0.6


@dataclass(frozen=True)
class Target:
    """`met` is None where it cannot be said; `hint` says what to try when it is missed."""

    words: str
    wanted: str
    found: str
    met: bool | None
    hint: str = ""

    @property
    def answer(self) -> str:
        return {True: "reached", False: "missed", None: "cannot be said"}[self.met]


def targets(test: Mapping, scores: Mapping, paired: Mapping, *, min_onsets: int) -> list[Target]:
    """All targets in the order of the report.

    `test` are the flat metrics of reports/test, `scores` those of actions.csv (see `score_tables.scores`), `paired` the
    paired differences of the play stage.
    """
    return [
        _at_least("the agent's skill in the game (0: blind, 1: the player)", test, "return_fraction", RETURN_FRACTION,
                  "more recordings with mistakes in them, a larger latent, another loss"),
        *(_above_zero(f"mean gain: {name}, in the same games", ends["mean"], ends["low"], ends["high"])
          for name, ends in paired.items() if "blind" in name),
        *_onsets(scores, min_onsets),
        _objects(test),
        _above_zero("latent action: the next frame better than a copy (dB)", *ends_of(test, "lam_gain_db")),
        _above_zero("latent action: dB lost when codes are shuffled", *ends_of(test, "lam_shuffle_drop_db")),
        _at_least("latent action: information on the keys (0: what the past tells, 1: what the next frame shows)", test,
                  "lam_information_gained", INFORMATION_GAINED, "more frames, a few labels"),
    ]  # fmt: skip


def weaknesses(
    found: Sequence[Target], *, unit: str, warnings: Sequence[str], in_game: bool, probed: bool
) -> list[str]:
    """What a reader should not overlook, in whole sentences; empty when there is nothing."""
    words = []
    for target in found:
        if target.met is False:
            hint = f" Worth trying: {target.hint}." if target.hint else ""
            words.append(f"Missed: {target.words}: {target.found}, wanted {target.wanted}.{hint}")
    if unit == "episode":
        words.append(
            "Train, val and test are episodes of the same sessions (split.unit: episode). That is a weaker test than "
            "whole sessions: the day, the form and the opponent are known. Expect less in a new session."
        )
    if not in_game:
        words.append(
            "The agent was not let into the game: the recordings come from no game that is bundled. How well it "
            "presses the recorded keys is known, how well it plays is not; the two can differ a lot."
        )
    if not probed:
        words.append(
            "The recordings have no record of where objects were, so nobody checked whether small fast things survive "
            "in the latent."
        )
    return words + [f"About the recordings: {warning}" for warning in warnings]


def _at_least(words: str, metrics: Mapping, name: str, wanted: float, hint: str) -> Target:
    value = metrics.get(name)
    met = None if value is None else value >= wanted
    return Target(words, f"at least {wanted:g}", with_interval(metrics, name, 2), met, hint)


def _above_zero(words: str, value: float | None, low: float | None, high: float | None) -> Target:
    """Above 0 with the whole interval; without an interval nobody can say."""
    met = None if low is None else low > 0
    return Target(words, "above 0, whole interval", interval_in_words(value, low, high, 2), met)


def _onsets(scores: Mapping, min_onsets: int) -> list[Target]:
    """One target a key with enough presses: its onset F1 above that of every playable baseline."""
    found = []
    for action in actions_of(scores):
        onsets = scores.get(("model", action, "onsets"), {}).get("value") or 0
        value = scores.get(("model", action, "onset_f1"), {}).get("value")
        rival = best_baseline(scores, action, "onset_f1")
        if onsets < min_onsets or rival is None:
            continue
        name = named_predictor(rival[0])
        met = None if value is None else value > rival[1]
        words = f"{action}: presses found at the right moment (onset F1)"
        said = "–" if value is None else f"{value:.2f}"
        found.append(
            Target(words, f"above {rival[1]:.2f} ({name})", said, met, f"more presses of {action}, rare_actions")
        )
    return found


def _objects(test: Mapping) -> Target:
    words = "small objects found in the latent (AP)"
    value, raw = test.get("ae_object_ap"), test.get("ae_object_ap_raw")
    if value is None or raw is None:
        return Target(words, f"at least {OBJECT_SHARE:g} of the raw frame's", "–", None)
    wanted = f"at least {OBJECT_SHARE * raw:.2f} ({OBJECT_SHARE:g} of the raw frame's {raw:.2f})"
    return Target(words, wanted, with_interval(test, "ae_object_ap", 2), value >= OBJECT_SHARE * raw,
                  "a larger latent_dim, a larger autoencoder.change_weight")  # fmt: skip
