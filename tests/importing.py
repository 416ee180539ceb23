"""What the tests of all importers share: the keys that are held, and the way through the pipeline's own reader."""

import argparse

import numpy as np

from stages.commands.importing import add_arguments, episodes_of, imported_to
from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Reading, examined_session

KEYS = {"LEFT": ("Key.left",), "SHOOT": ("x",)}
VOCABULARY = ActionVocabulary.from_params(["LEFT", "SHOOT"], KEYS)
READING = Reading(rule="interval", delay_ms=0, on_bad_line="error", picture_fps=10)
HELD = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 1]], np.uint8)


def imported(source, out, *options, vocabulary=VOCABULARY):
    """All sessions of a source, written and read back as the pipeline reads them, and what was lost."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args([str(source), "--out", str(out), *map(str, options)])
    done, _ = imported_to(out, episodes_of(given, vocabulary, 10.0), vocabulary, crf=10, skip_bad=given.skip_bad)
    return [(examined_session(out, one.name, vocabulary, READING), one.lost) for one in done]
