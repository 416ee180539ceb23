"""What the stages of this study share: their section of params.yaml, and where files lie."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages.params import Name, Section, Whole

CODES = Path("data/codes")


class CodesParams(Section):
    games: Annotated[tuple[Name, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)]


def row_file(game: str, seed: int) -> Path:
    return CODES / "rows" / f"{game}_seed{seed}.json"
