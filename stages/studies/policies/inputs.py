"""What the stages of this study share: their section of params.yaml, and where rows lie."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages.params import Count, Name, Section, Whole

ROWS = Path("data/policies")


class Row(Section):
    kind: Name
    seed: Whole


class PoliciesParams(Section):
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    test_games: Count
    decisions: Count


def folder_of(kind: str, seed: int) -> Path:
    """row.json, and predictions.csv of the test recordings."""
    return ROWS / f"{kind}_seed{seed}"
