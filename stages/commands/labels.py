"""The end of `make labels`: the study's table for the terminal, from reports/labels.json."""

import argparse

from stages.pages.labels_page import printed
from stages.pages.page import read_json
from stages.paths import REPORTS
from stages.run import run_stage


def main() -> None:
    found = read_json(REPORTS / "labels.json")
    if found is None:
        raise ValueError("reports/labels.json is missing; run `dvc repro stages/studies/labels/dvc.yaml` first")
    print(printed(found))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run_stage(main)
