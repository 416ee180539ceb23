"""The comparison page of all experiments: reports/comparison.html and reports/comparison.csv.

No DVC stage: it reads what `dvc exp show --json` lists, and files at each experiment's revision. Models are ranked and
looked at on validation; the test result is read for the winner alone.

    python -m stages.commands.compare [--all-commits]
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stages.evaluation.figures import compare as figures
from stages.evaluation.figures import style
from stages.evaluation.figures.policy_figures import eventful_stretch
from stages.evaluation.predictions import parse_predictions
from stages.pages import comparison, page
from stages.pages.experiments import Experiment, finished, ranked, read_at, show_experiments
from stages.pages.glossary import HEADLINE, headline_rows, lower_is_better, with_interval
from stages.run import run_stage

PAGE, CSV, FIGURES = Path("reports/comparison.html"), Path("reports/comparison.csv"), Path("reports/comparison")
BEST = 3
STRETCH_S = 20.0
HEATMAP_WORDS = (
    "Colours compare within a row only, however small its differences: look at the intervals in the table. "
    "Metrics beyond the headline that are equal in all models are left out."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all-commits", action="store_true", help="experiments of every commit, not only this one")
    listed = show_experiments(all_commits=parser.parse_args().all_commits)
    rows = finished(listed)
    if not rows:
        raise ValueError("no experiment with metrics to compare; run `make grid` or `dvc exp run` first")
    criteria = comparison.criteria_of(rows)
    rows = ranked(rows, criteria)
    labels = comparison.model_labels(rows)
    unfinished = [row for row in listed if row.kind == "experiment" and row.state != "done"]
    timelines, notes, shown = best_timelines(rows[:BEST], labels)
    html = page.render(
        "comparison.html",
        title="Experiments compared",
        models=len(rows),
        criterion=criteria[0],
        criterion_words=f" ({HEADLINE[criteria[0]].words})",
        failed=[row.name for row in unfinished if row.state == "failed"],
        open=[row.name for row in unfinished if row.state != "failed"],
        verdict=verdict(rows, criteria[0], labels),
        ranking=drawn("ranking", ranking_figure(rows, criteria[0], labels), "The models by the criterion."),
        headline=comparison.headline_table(rows, labels),
        heatmap=drawn("heatmap", heatmap_figure(rows, labels), HEATMAP_WORDS),
        full=comparison.full_table(rows, labels),
        timelines=timelines,
        timeline_notes=notes,
        timeline_models=shown,
        sizes=size_pictures(rows),
        gap=comparison.gap_table(rows, labels),
        gap_pictures=gap_pictures(rows, labels),
        **winner_on_test(rows[0], len(rows), labels),
    )
    with CSV.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(comparison.csv_rows(rows))
    size = page.write_page(PAGE, html)
    print(f"{len(rows)} models compared, best by {criteria[0]}: {rows[0].name} ({labels[rows[0].name]})")
    print(f"wrote {PAGE} ({size:.1f} MB, open it in a browser) and {CSV}")


def drawn(name: str, figure: Figure, words: str) -> list[page.Picture]:
    """The figure as a picture for the page; its PNG stays in reports/comparison."""
    return [page.Picture(page.data_uri(style.save(figure, FIGURES / f"{name}.png")), words)]


def values_of(rows: Sequence[Experiment], name: str) -> np.ndarray:
    """A metric of every row, float [E], NaN where a row does not have it."""
    return np.array([row.metrics.get(name, np.nan) for row in rows], dtype=float)


def verdict(rows: Sequence[Experiment], criterion: str, labels: dict[str, str]) -> str:
    """Which model is best, and from how many others validation can tell it apart."""
    best = f"Best on validation: {labels[rows[0].name]}, {with_interval(rows[0].metrics, criterion, 3)}."
    if len(rows) == 1:
        return best + " It is the only model so far."
    apart = len(comparison.told_apart(rows, criterion))
    if f"{criterion}_low" not in rows[0].metrics:
        return best + " There is no interval, so nobody can say how much of the order is luck."
    return (
        f"{best} {apart} of the {len(rows) - 1} others are clearly worse: their intervals end below the start of its "
        f"interval. The order of the rest may be luck."
    )


def ranking_figure(rows: Sequence[Experiment], criterion: str, labels: dict[str, str]) -> Figure:
    ends = (values_of(rows, criterion + end) for end in ("", "_low", "_high"))
    return figures.ranking(*ends, [labels[row.name] for row in rows], criterion)


def heatmap_figure(rows: Sequence[Experiment], labels: dict[str, str]) -> Figure:
    names = [n for n in comparison.metric_names(rows) if n in HEADLINE or len({row.metrics.get(n) for row in rows}) > 1]
    values = np.stack([values_of(rows, name) for name in names])
    lower = [lower_is_better(name) for name in names]
    return figures.metric_heatmap(values, names, [labels[row.name] for row in rows], lower)


def best_timelines(rows: Sequence[Experiment], labels: dict[str, str]) -> tuple[list[page.Picture], list[str], str]:
    """The same stretch of validation for each row; notes on rows that cannot be shown; how many are."""
    known, notes = {}, []
    for row in rows:
        words = read_at(row.rev, "reports/policy/predictions.csv")
        if words is None:
            notes.append(f"{labels[row.name]}: its predictions are not in DVC's cache (`dvc pull` may bring them).")
            continue
        predictions = parse_predictions(words)
        known[row.name] = predictions, predictions.pressed
    if not known:
        return [], notes, "0 models"
    first, _ = next(iter(known.values()))
    same = {name: pressed for name, (other, pressed) in known.items()
            if (other.keys, other.actions) == (first.keys, first.actions)}  # fmt: skip
    notes += [
        f"{labels[name]}: its validation frames are others, so it is not shown." for name in known if name not in same
    ]
    part = eventful_stretch(first.truth, first.times, first.episode, seconds=STRETCH_S)
    begin = first.times[np.flatnonzero(first.episode == first.episode[part.start])[0]]
    session, episode, _ = first.keys[part.start]
    figure = figures.best_timelines(
        first.times[part] - begin,
        first.truth[part],
        {labels[name]: pressed[part] for name, pressed in same.items()},
        first.actions,
        f"Player and models: {session}, episode {episode}",
    )
    return drawn("timelines", figure, "Blue: the player. Orange: the models, best first."), notes, f"{len(same)} models"


def size_pictures(rows: Sequence[Experiment]) -> list[page.Picture]:
    """Small objects over the latent size; empty where all models have the same size or nothing was probed."""
    dense = [row for row in rows if row.params.get("autoencoder.kind", "dense") == "dense"]
    spatial = [row for row in rows if row not in dense]
    curves, levels = {}, {}
    for name in ("ae_object_ap", "ae_object_error_px", "ae_moving_psnr_db"):
        points = [(row.params["latent_dim"], row.metrics[name]) for row in dense if name in row.metrics]
        if len({size for size, _ in points}) < 2:
            continue
        curves[name] = points
        flat = {
            "spatial latent": [row.metrics[name] for row in spatial if name in row.metrics],
            "the small frame itself": [row.metrics[f"{name}_raw"] for row in rows if f"{name}_raw" in row.metrics],
        }
        levels[name] = {words: float(np.mean(values)) for words, values in flat.items() if values}
    return drawn("latent_size", figures.latent_size(curves, levels), "Dots: single models.") if curves else []


def gap_pictures(rows: Sequence[Experiment], labels: dict[str, str]) -> list[page.Picture]:
    """One figure for each measure that was taken on train and val."""
    pictures = []
    for train, val in comparison.gap_pairs(rows):
        words = val.removeprefix("val_").replace("_", " ")
        names = [labels[row.name] for row in rows]
        figure = figures.train_gap(values_of(rows, train), values_of(rows, val), names, words)
        pictures += drawn(f"gap_{val}", figure, f"{words} on train and on val")
    return pictures


def winner_on_test(winner: Experiment, models: int, labels: dict[str, str]) -> dict:
    """The winner's validation and test result; of no other model is the test result read."""
    words = read_at(winner.rev, "reports/test/metrics.json")
    if words is None:
        return {
            "winner": page.Table([], []),
            "winner_words": "Its test result is not in DVC's cache; `dvc pull` may bring it.",
        }
    test = json.loads(words)
    rows = headline_rows(winner.metrics, test)
    optimism = (
        f" The best of {models} on validation looks better there than it is; test says what to expect."
        if models > 1
        else ""
    )
    return {
        "winner": page.Table(["", "validation", "test", "beside it, on test"], rows),
        "winner_words": f"{labels[winner.name]} ({winner.name}), seen on test once.{optimism}",
    }


if __name__ == "__main__":
    run_stage(main)
