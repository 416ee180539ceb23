"""What the tests of all importers share: the keys that are held, and the way through the pipeline's own reader."""

import numpy as np

from stages.commands.importing import read_source
from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Reading, examined_session
from stages.recordings.importers.imported import write_session

KEYS = {"LEFT": ("Key.left",), "SHOOT": ("x",)}
VOCABULARY = ActionVocabulary.from_params(["LEFT", "SHOOT"], KEYS)
READING = Reading(rule="interval", delay_ms=0, on_bad_line="error", picture_fps=10)
HELD = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 1]], np.uint8)


def imported(source, out, *, fps=None):
    """All sessions of a source, written and read back as the pipeline reads them, and what was lost."""
    found = read_source(source, KEYS, fps, 10.0)
    for one in found:
        write_session(out, one, KEYS, crf=10)
    return [(examined_session(out, one.name, VOCABULARY, READING), one.lost) for one in found]
