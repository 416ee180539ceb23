"""What came out of the last `dvc repro`, in a few lines: the headline metrics and where the report lies.

No DVC stage: it reads reports/metrics.json and reports/test/metrics.json.
"""

import argparse

from stages.pages.glossary import headline_rows
from stages.pages.page import read_json
from stages.paths import METRICS, PAGE, TEST_METRICS
from stages.run import run_stage


def table_lines(rows: list[list[str]]) -> list[str]:
    """Rows of words as lines with aligned columns, the first one to the left; under each what stands beside it."""
    rows = [["", "validation", "test", ""], *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for words, val, test, control in rows:
        lines.append(f"{words:<{widths[0]}}  {val:>{widths[1]}}  {test:>{widths[2]}}")
        if control:
            lines.append(f"    test, beside it: {control}")
    return lines


def main() -> None:
    val, test = read_json(METRICS), read_json(TEST_METRICS)
    if val is None or test is None:
        raise ValueError(f"{METRICS} or {TEST_METRICS} is missing; run `dvc repro` first")
    print("\n".join(table_lines(headline_rows(val, test))))
    print("\nIn brackets: 95 % intervals. Experiments are compared on validation; test is looked at last.")
    if PAGE.is_file():
        print(f"The report, one page for a browser: {PAGE.resolve().as_uri()}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run_stage(main)
