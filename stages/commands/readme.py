"""`make readme`: the measured results of the last `dvc repro` into README.md, and a picture of the agent playing.

No DVC stage: it reads reports/test/, and reports/labels.json of the last `make labels`, and writes what stands between
the result marks of README.md, and reports/agent.png, the middle of the median test game.
"""

import argparse
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import cv2

from stages.pages.glossary import HEADLINE, beside, test_name, with_interval
from stages.pages.labels_page import readme_table
from stages.pages.page import read_json
from stages.paths import PLAY_BASELINES, REPORTS, TEST_METRICS, TEST_REPORTS
from stages.recordings.video import count_frames, read_frames
from stages.run import run_stage

README, PICTURE = Path("README.md"), REPORTS / "agent.png"
BLIND = PLAY_BASELINES / "choice.json"
VIDEO, SUMMARY = TEST_REPORTS / "play/median.mp4", TEST_REPORTS / "play/summary.json"
LABELS = REPORTS / "labels.json"
BEGIN, END = "<!-- results -->", "<!-- /results -->"
SHOWN = (
    "val_onset_f1", "val_frame_f1", "ae_object_ap", "lam_gain_db", "lam_change_accuracy", "lam_information_gained",
)  # fmt: skip
LABEL_MARKS = ("<!-- labels -->", "<!-- /labels -->")


def results(test: Mapping, *, games: int, candidates: int) -> str:
    """The README's tables of the flat metrics of reports/test."""
    players = {
        "**the agent**": f"**{with_interval(test, 'return', 1)}**",
        "the script it watched": with_interval(test, "return_script", 1),
        f"the best of {candidates} blind policies": with_interval(test, "return_blind", 1),
        "the agent shown another episode": with_interval(test, "return_blindfolded", 1),
        "random keys": with_interval(test, "return_random", 1),
        "random keys with the script's shares and holds": with_interval(test, "return_matched_random", 1),
        "no key": with_interval(test, "return_nothing", 1),
    }
    learned = [
        (
            HEADLINE[name].words,
            with_interval(test, test_name(name), HEADLINE[name].digits),
            beside(HEADLINE[name], test),
        )
        for name in SHOWN
    ]
    return "\n".join([
        f"| who plays {games} test games | mean score |", "|---|---|",
        *(f"| {who} | {score} |" for who, score in players.items()),
        "",
        f"The agent goes **{with_interval(test, 'return_fraction', 2)}** of the way from the best blind policy (0) to",
        "the player it watched (1).",
        "",
        "| on recorded test sessions | the model | beside it |", "|---|---|---|",
        *(f"| {what} | {model} | {control} |" for what, model, control in learned),
    ])  # fmt: skip


def between_marks(page: str, tables: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """The page with the tables in place of what stands between the marks; ValueError where a mark is missing."""
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{README} has no line {marks[0]} followed by {marks[1]}: nobody knows where the results go")
    return f"{before}{begin}\n{tables}\n{end}{after}"


def main() -> None:
    test, summary, blind = (read_json(path) for path in (TEST_METRICS, SUMMARY, BLIND))
    if test is None or summary is None or blind is None or test.get("return_fraction") is None:
        raise ValueError(
            f"{TEST_METRICS} has no result of a bundled game; run `dvc repro` with the params of the repository first"
        )
    tables = results(test, games=summary["policies"]["agent"]["episodes"], candidates=blind["candidates"])
    page = between_marks(README.read_text(encoding="utf-8"), tables)
    labels = read_json(LABELS)
    if labels is not None:
        page = between_marks(page, readme_table(labels), LABEL_MARKS)
    README.write_text(page, encoding="utf-8", newline="\n")
    middle_frame = next(islice(read_frames(VIDEO), count_frames(VIDEO) // 2, None))
    cv2.imwrite(str(PICTURE), middle_frame)
    print(f"wrote the results in {README} and {PICTURE}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run_stage(main)
