"""The section of params.yaml of the study suite."""

from typing import Annotated

from pydantic import Field

from stages.params import Count, Name, Positive, Section, Whole


class SuiteParams(Section):
    games: Annotated[tuple[Name, ...], Field(min_length=1)]
    policies: Annotated[tuple[Name, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)]
    minutes: Positive
    test_games: Count
