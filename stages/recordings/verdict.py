"""What the doctor's numbers mean, in words: good, usable with warnings, or not to be trained on."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

GOOD, USABLE, BAD = "good", "usable with warnings", "do not train on this"
MANY_REPEATS, TOO_MANY_REPEATS = 0.02, 0.2  # shares of the frames
MANY_GAPS_PER_MIN = 2.0
SAME_RATE = 1.1  # as far as two frame rates may lie apart and still be one
MOST_LEFT_OUT = 0.5  # share of the frames in episodes
MANY_LOST, MOST_LOST = 20, 0.5  # keyups: so many, and this share of the presses
FATAL = ("nothing is learned from this session",)  # words of warnings


@dataclass(frozen=True)
class Verdict:
    """`word` is GOOD, USABLE or BAD; `reasons` say why in sentences."""

    word: str
    reasons: tuple[str, ...]


def verdict_of(report: Mapping) -> Verdict:
    """The verdict on one session from the doctor's report (recordings/doctor.py)."""
    fatal = [*_fatal(report)]
    reasons = (*fatal, *(r for r in (*report["warnings"], *_doubts(report)) if r not in fatal))
    return Verdict(BAD if fatal else USABLE if reasons else GOOD, reasons)


def require_sound(stem: str, verdict: Verdict) -> None:
    """ValueError for a session that must not be trained on, with the reasons and what to do."""
    if verdict.word == BAD:
        raise ValueError(f"{stem}: {BAD}: {verdict.reasons[0]}")


def repaired_twins(metadata: Mapping[str, Mapping]) -> dict[str, str]:
    """{session: its repaired one} for the sessions that are one recording, before and after a repair.

    `metadata`: of every session that would be learned from together, what its session file says.
    """
    recordings = defaultdict(list)
    for stem, said in metadata.items():
        recordings[str(said.get("repaired_from", stem))].append(stem)
    twins = {}
    for stems in recordings.values():
        kept = max(stems, key=lambda stem: ("repaired_from" in metadata[stem], stem))
        twins |= {stem: kept for stem in stems if stem != kept}
    return twins


def require_no_twins(metadata: Mapping[str, Mapping]) -> None:
    """ValueError when two sessions are one recording; `metadata` as for `repaired_twins`."""
    for stem, kept in repaired_twins(metadata).items():
        raise ValueError(f"{stem}: {twin_words(kept)}")


def twin_words(kept: str) -> str:
    """Why a session must not be learned from beside its repaired one."""
    return (
        f"{kept} is the same recording, repaired: take one of the two out of the folder, or what is learned from one "
        f"may be tested on the other"
    )


def other_rates(interval_ms: Mapping[str, float], fps: float | None) -> dict[str, str]:
    """{session: why it does not go with the others}: those of another frame rate than most, unless `fps` evens them.

    To a model one number of frames is one stretch of time.
    """
    if fps is not None or not interval_ms:
        return {}
    usual = sorted(interval_ms.values())[len(interval_ms) // 2]
    return {
        stem: (
            f"it has {1000 / own:.3g} frames a second, most others {1000 / usual:.3g}: learn from one kind alone, or "
            f"set align.fps: {1000 / max(interval_ms.values()):.3g}"
        )
        for stem, own in interval_ms.items()
        if own > 0 and usual > 0 and max(own / usual, usual / own) > SAME_RATE
    }


def _fatal(report: Mapping):
    yield from report["faults"]
    learnable = report["frames_in_episodes"] + report["frames_left_out"]
    if report["frames_left_out"] > MOST_LEFT_OUT * learnable:
        whys = list(dict.fromkeys(stretch["why"] for stretch in report["left_out"]))
        yield f"{report['frames_left_out']} of {learnable} frames cannot be learned from: {'; '.join(whys[:3])}"
    if report["frames"] < 2:
        yield f"it holds {report['frames']} frames"
    if report["keys_logged"] and not any(report["presses"].values()):
        seen = {**report["unmapped_keys"], **report["known_keys_not_learned"]}
        if seen or not report["other_events"]:
            pressed = str(seen)[:200] if seen else "no keys at all"
            yield f"no key of the game is ever pressed; pressed are {pressed}: is the key map right?"
        else:
            kinds = ", ".join([*report["other_events"]][:3])
            yield f"no key is ever pressed; the key log holds only {kinds}: call its events keydown and keyup"
    lost = len(report["key_repairs"])
    pressed = sum(sum(report[of].values()) for of in ("presses", "unmapped_keys", "known_keys_not_learned"))
    if lost >= MANY_LOST and lost > MOST_LOST * pressed and not report["key_repeats"]:
        yield f"{lost} of {pressed} presses have no keyup, so nobody knows how long keys were held: log keyups, too"
    share = report["repeats"] / max(report["frames"], 1)
    if share > TOO_MANY_REPEATS:
        yield f"{share:.0%} of the frames repeat the one before: the machine was too slow; record smaller or slower"
    yield from (warning for warning in report["warnings"] if any(words in warning for words in FATAL))


def _doubts(report: Mapping):
    if report["closed"] is False:
        yield "the recording was not ended cleanly (crash, full disk): what was saved before that is sound"
    share = report["repeats"] / max(report["frames"], 1)
    if MANY_REPEATS < share <= TOO_MANY_REPEATS:
        yield f"{share:.1%} of the frames repeat the one before"
    if report["unmarked_repeats"] > MANY_REPEATS * report["frames"]:
        yield f"{report['unmarked_repeats']} frames are the same picture as the one before: did the recorder lag?"
    gaps = report["gaps"]
    inside = sum(gap["episode"] >= 0 for gap in gaps["list"])
    if inside > MANY_GAPS_PER_MIN * report["seconds"] / 60:
        yield f"{inside} gaps lie in episodes, the longest lasts {gaps['longest_s']:.2f} s"
