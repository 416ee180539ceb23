"""What few labels are worth, as a page and as lines for the terminal; `found` is the content of reports/labels.json:

`curve` holds a row for each number of labels, way to choose them and labeller (the accuracy of its pseudo-labels),
`play` one for each number of labels and policy, `marks` mean scores of others, `choice` is how the labels that policies
learn from were chosen.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

from matplotlib.figure import Figure

from stages.evaluation.figures.labels import accuracy_figure, returns_figure
from stages.pages.glossary import with_interval
from stages.pages.page import Picture, Table, bytes_uri, markdown, render

# What predicts the keys of a transition.
LABELLERS = {
    "code": "code alone",
    "shaped": "code alone, codes shaped by the same labels",
    "codes": "code and those around it",
    "vectors": "latent action before quantising, and those around it",
    "latents": "autoencoder latents of the transition and those around it",
    "unlearned": "block matching and changes, which nobody learned, and those around it",
    "inverse": "inverse model trained from scratch, with the transitions around it",
    "cloning": "cloning (past frames only)",
}
POLICIES = {
    "pseudo_labels": "latent actions: cloned from the pseudo-labels of all video",
    "shaped": "latent actions shaped by the labels: latent policy, readout of keys",
    "decoded": "latent actions: latent policy, readout of keys",
    "unlearned": "block matching and changes, unlearned: cloned from the pseudo-labels of all video",
    "inverse": "inverse model from scratch: cloned from the pseudo-labels of all video",
    "cloning": "cloning from the same labels",
}
MARKS = {"agent": "cloning from all labels", "best_blind": "best blind policy", "script": "the player"}
# The same in the fewest words, for the columns of the README.
SHORT_LABELLERS = {
    "vectors": "latent actions, unquantised", "code": "codes alone", "shaped": "shaped codes alone",
    "unlearned": "unlearned features", "inverse": "inverse model", "cloning": "cloning",
}  # fmt: skip
SHORT_POLICIES = {
    "pseudo_labels": "latent actions name all video", "unlearned": "unlearned features name all video",
    "inverse": "inverse model names all video", "shaped": "latent policy on shaped codes", "decoded": "latent policy",
    "cloning": "cloning",
}  # fmt: skip
# Those that do without latent actions (but for how the labels were chosen, where that is spread).
WITHOUT = {"labeller": ("latents", "unlearned", "inverse", "cloning"), "policy": ("unlearned", "inverse", "cloning")}


def labels_page(found: Mapping) -> str:
    """The page of what `make labels` found."""
    rows, games, choice = found["curve"], found["play"], found["choice"]
    main = [row for row in rows if row["choice"] == choice]
    lines = {measure: _lines(main, "labeller", LABELLERS, measure) for measure in ("exact", "macro_f1")}
    played = []
    if games:
        marks = {MARKS[name]: value for name, value in found["marks"].items()}
        picture = returns_figure(_lines(games, "policy", POLICIES, "return"), marks)
        played = [_picture(picture, "Mean score by number of labels; bands are 95 % intervals over games.")]
    return render(
        "labels.html",
        title="Few labels",
        choice=choice,
        claim=claim(found),
        draws=max(row["draws"] for row in main),
        slow_draws=min(row["draws"] for row in main),
        games=games[0]["games"] if games else 0,
        curve=[_picture(accuracy_figure(*lines.values()), "Mean over the draws; bands: 95 % intervals over episodes.")],
        exact=accuracy_table(main, "exact"),
        macro_f1=accuracy_table(main, "macro_f1"),
        choices=choices_table(rows),
        absent=absent_lines(rows),
        returns=played,
        play=play_table(games),
    )


def accuracy_table(rows: Sequence[Mapping], measure: str) -> Table:
    """A row a labeller, a column a number of labels."""
    counts = sorted({row["labels"] for row in rows})
    cells = {(row["labeller"], row["labels"]): with_interval(row, measure, 2) for row in rows}
    present = [name for name in LABELLERS if any(row["labeller"] == name for row in rows)]
    return Table(
        ["pseudo-labels from", *(f"{count} labels" for count in counts)],
        [[LABELLERS[name], *(cells.get((name, count), "–") for count in counts)] for name in present],
    )


def choices_table(rows: Sequence[Mapping]) -> Table:
    """Pseudo-label accuracy by how the labels were chosen, where both were tried."""
    counts = sorted({row["labels"] for row in rows})
    value = {(row["labeller"], row["choice"], row["labels"]): f"{row['exact']:.2f}" for row in rows}
    both = [name for name in LABELLERS if len({row["choice"] for row in rows if row["labeller"] == name}) > 1]
    chosen = sorted({row["choice"] for row in rows})
    return Table(
        ["pseudo-labels from", "labels are", *(f"{count}" for count in counts)],
        [
            [LABELLERS[name], how, *(value.get((name, how, count), "–") for count in counts)]
            for name in both
            for how in chosen
        ],
    )


def play_table(games: Sequence[Mapping]) -> Table:
    """A row for each number of labels and policy."""
    head = ["labels", "policy", "mean score", "share of all labels", "return fraction", "more than cloning", "rule"]
    cells = [
        [
            str(row["labels"]), POLICIES[row["policy"]], with_interval(row, "return", 1),
            with_interval(row, "share_of_all_labels", 2), with_interval(row, "return_fraction", 2),
            "–" if row["policy"] == "cloning" else with_interval(row, "gain_over_cloning", 1), row["acting_rule"],
        ]
        for row in games
    ]  # fmt: skip
    return Table(head, cells, strong=[i for i, row in enumerate(games) if row["policy"] == "shaped"])


def claim(found: Mapping) -> str:
    """What is left of latent actions beside the best that does without, a sentence for naming and one for play; a
    number of labels at which one of them is missing is left out."""
    named = [row for row in found["curve"] if row["choice"] == found["choice"]]
    tasks = (
        (named, "labeller", "exact", 2, "vectors", WITHOUT["labeller"],
         "latent actions name {ours} of the transitions rightly, the best without them {best}"),
        (found["play"], "policy", "return", 1, "pseudo_labels", WITHOUT["policy"],
         "policies cloned from what latent actions name score {ours}, the best without them {best}"),
    )  # fmt: skip
    sentences = []
    for rows, key, measure, digits, ours, rivals, words in tasks:
        value = {(row["labels"], row[key]): row[measure] for row in rows}
        counts = [n for n in sorted({n for n, _ in value}) if all((n, name) in value for name in (ours, *rivals))]
        if counts:
            own = ", ".join(f"{value[n, ours]:.{digits}f}" for n in counts)
            best = ", ".join(f"{max(value[n, name] for name in rivals):.{digits}f}" for n in counts)
            labels = ", ".join(map(str, counts))
            sentences.append(f"From {labels} labels {words.format(ours=own, best=best)}.")
    return " ".join(sentences)


def readme_table(found: Mapping) -> str:
    """Markdown: what is left of the claim, and two tables by number of labels: pseudo-label accuracy, and mean scores
    of policies."""
    cells = {(row["labeller"], row["labels"]): row for row in found["curve"] if row["choice"] == found["choice"]}
    scores = {(row["policy"], row["labels"]): row for row in found["play"]}
    counts = sorted({row["labels"] for row in found["curve"]})
    labellers = [name for name in SHORT_LABELLERS if any(name == known for known, _ in cells)]
    policies = [name for name in SHORT_POLICIES if any(name == known for known, _ in scores)]
    accuracy = [["labels", *(f"pseudo-label accuracy: {SHORT_LABELLERS[name]}" for name in labellers)]]
    accuracy += [[str(count), *(_cell(cells.get((name, count)), "exact", 2) for name in labellers)] for count in counts]
    played = [["labels", *(f"mean score: {SHORT_POLICIES[name]}" for name in policies)]]
    played += [[str(count), *(_cell(scores.get((name, count)), "return", 1) for name in policies)] for count in counts]
    return "\n\n".join([*filter(None, [claim(found)]), *(markdown(*table) for table in (accuracy, played))])


def _cell(row: Mapping | None, name: str, digits: int) -> str:
    return "–" if row is None else with_interval(row, name, digits)


def absent_lines(rows: Sequence[Mapping]) -> list[str]:
    """Which numbers of labels had draws without one example of an action; it is then never pressed."""
    counted: dict[tuple, Mapping] = {}
    for row in rows:
        if row["absent"]:
            counted.setdefault((row["labels"], row["choice"]), row)  # the first rows are of all draws
    return [
        f"{labels} labels, {choice}: no example of "
        + ", ".join(f"{action} in {draws} of {row['draws']} draws" for action, draws in row["absent"].items())
        for (labels, choice), row in counted.items()
    ]


def printed(found: Mapping) -> str:
    """The results for the terminal."""
    main = [row for row in found["curve"] if row["choice"] == found["choice"]]
    lines = [*filter(None, [claim(found)]), f"pseudo-label accuracy on test (all keys right), labels {found['choice']}"]
    lines += [
        "  ".join(f"{cell:>16}" for cell in row[1:]) + "  " + row[0] for row in accuracy_table(main, "exact").rows
    ]
    lines += [", ".join(row[:6]) for row in play_table(found["play"]).rows]
    return "\n".join(lines + absent_lines(found["curve"]))


def _lines(rows: Sequence[Mapping], key: str, words: Mapping[str, str], measure: str) -> dict[str, list]:
    """{words of a name: (labels, value, low, high) by number of labels}."""
    found: dict[str, list] = {}
    for name in words:
        points = [(row["labels"], *(row[measure + end] for end in ("", "_low", "_high")))
                  for row in rows if row[key] == name]  # fmt: skip
        if points:
            found[words[name]] = sorted(points)
    return found


def _picture(figure: Figure, words: str) -> Picture:
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return Picture(bytes_uri(file.getvalue(), "image/png"), words)
