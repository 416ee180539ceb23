"""The section of params.yaml of the study minutes."""

from typing import Annotated

from pydantic import Field

from stages.params import Count, Section, Whole


class MinutesParams(Section):
    sessions: Annotated[tuple[Count, ...], Field(min_length=1)]
    test_sessions: Count
    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)]
    games: Count
