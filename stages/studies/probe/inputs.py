"""What the stages of this study share: their section of params.yaml, and where files lie."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages.params import Count, Name, Params, Section, Share, Whole, read_params
from stages.paths import PARAMS

RECORDED = Path("data/probe/recorded")  # episodes.zarr, latents/, policy/ and the params.yaml that they were made with
ASKED = Path("data/probe/asked")  # a folder a lead
ROWS, ANSWERS = "rows.json", "answers.json"


class ProbeParams(Section):
    game: Name
    leads: Annotated[tuple[Whole, ...], Field(min_length=1)]
    hidden: tuple[Share, Share, Share, Share] | None
    steps: Count
    evaluate_every: Count
    patience: Count


def study_params() -> tuple[ProbeParams, Params]:
    """The study's own section, and the params of its game with the network's steps as the study has them."""
    own, chosen = read_params().section("probe", ProbeParams), read_params(RECORDED / PARAMS)
    steps = {name: getattr(own, name) for name in ("steps", "evaluate_every", "patience")}
    return own, chosen.model_copy(update={"probe_onsets": chosen.probe_onsets.model_copy(update=steps)})
