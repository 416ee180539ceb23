"""What few labels are worth, as a page and as lines for the terminal; `found` is the content of reports/labels.json:

`curve` and `play` hold rows, `marks` mean scores of others, `choice` is how the labels of those who play were chosen.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

from matplotlib.figure import Figure

from stages.evaluation.figures.labels import naming_figure, returns_figure
from stages.latent_actions.few_label_policies import WHO
from stages.latent_actions.naming import WAYS
from stages.pages.glossary import with_interval
from stages.pages.page import Picture, Table, bytes_uri, render

# The same in the fewest words, for the columns of the README.
SHORT_WAYS = {
    "vectors": "latent actions, unquantised", "code": "codes alone", "shaped": "shaped codes alone",
    "inverse": "inverse model", "cloning": "cloning",
}  # fmt: skip
SHORT_WHO = {
    "named": "video named, cloned", "shaped": "shaped codes predicted, decoded", "decoded": "codes predicted, decoded",
    "cloning": "cloning",
}  # fmt: skip


def labels_page(found: Mapping) -> str:
    """The page of what `make labels` found."""
    rows, games, choice = found["curve"], found["play"], found["choice"]
    main = [row for row in rows if row["choice"] == choice]
    lines = {measure: _lines(main, "way", WAYS, measure) for measure in ("exact", "macro_f1")}
    played = []
    if games:
        picture = returns_figure(_lines(games, "who", WHO, "return"), found["marks"])
        played = [_picture(picture, "Mean score by number of labels; bands are 95 % intervals over games.")]
    return render(
        "labels.html",
        title="Few labels",
        choice=choice,
        draws=max(row["draws"] for row in main),
        slow_draws=min(row["draws"] for row in main),
        games=games[0]["games"] if games else 0,
        curve=[_picture(naming_figure(*lines.values()), "Mean over the draws; bands: 95 % intervals over episodes.")],
        exact=naming_table(main, "exact"),
        macro_f1=naming_table(main, "macro_f1"),
        choices=choices_table(rows),
        absent=absent_lines(rows),
        returns=played,
        play=play_table(games),
    )


def naming_table(rows: Sequence[Mapping], measure: str) -> Table:
    """A row a way to name keys, a column a number of labels."""
    counts = sorted({row["labels"] for row in rows})
    cells = {(row["way"], row["labels"]): with_interval(row, measure, 2) for row in rows}
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    return Table(
        ["the keys are told by", *(f"{count} labels" for count in counts)],
        [[WAYS[way], *(cells.get((way, count), "–") for count in counts)] for way in ways],
    )


def choices_table(rows: Sequence[Mapping]) -> Table:
    """All keys right by how the labels were chosen, where both were tried."""
    counts = sorted({row["labels"] for row in rows})
    value = {(row["way"], row["choice"], row["labels"]): f"{row['exact']:.2f}" for row in rows}
    both = [way for way in WAYS if len({row["choice"] for row in rows if row["way"] == way}) > 1]
    chosen = sorted({row["choice"] for row in rows})
    return Table(
        ["the keys are told by", "labels are", *(f"{count}" for count in counts)],
        [[WAYS[way], how, *(value.get((way, how, count), "–") for count in counts)] for way in both for how in chosen],
    )


def play_table(games: Sequence[Mapping]) -> Table:
    """A row for each number of labels and who plays."""
    head = ["labels", "who plays", "mean score", "share of all labels", "return fraction", "more than cloning", "rule"]
    cells = [
        [
            str(row["labels"]), WHO[row["who"]], with_interval(row, "return", 1),
            with_interval(row, "share_of_all_labels", 2), with_interval(row, "return_fraction", 2),
            "–" if row["who"] == "cloning" else with_interval(row, "gain_over_cloning", 1), row["acting_rule"],
        ]
        for row in games
    ]  # fmt: skip
    return Table(head, cells, strong=[i for i, row in enumerate(games) if row["who"] == "shaped"])


def readme_table(found: Mapping) -> str:
    """Markdown, two tables by number of labels: the keys named right, and the mean scores of those who play by them."""
    cells = {(row["way"], row["labels"]): row for row in found["curve"] if row["choice"] == found["choice"]}
    scores = {(row["who"], row["labels"]): row for row in found["play"]}
    counts = sorted({row["labels"] for row in found["curve"]})
    ways, players, shares = ("vectors", "code", "shaped", "inverse", "cloning"), tuple(WHO), ("named", "shaped")
    named = [["labels", *(f"named right: {SHORT_WAYS[way]}" for way in ways)]]
    named += [[str(count), *(_cell(cells.get((way, count)), "exact", 2) for way in ways)] for count in counts]
    played = [["labels", *(f"mean score: {SHORT_WHO[who]}" for who in players),
               *(f"share of all labels: {SHORT_WHO[who]}" for who in shares)]]  # fmt: skip
    played += [
        [str(count), *(_cell(scores.get((who, count)), "return", 1) for who in players),
         *(_cell(scores.get((who, count)), "share_of_all_labels", 2) for who in shares)]
        for count in counts
    ]  # fmt: skip
    return "\n\n".join(_markdown(*table) for table in (named, played))


def _markdown(head: Sequence[str], *rows: Sequence[str]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


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
    lines = [f"all keys right on test, labels {found['choice']}"]
    lines += ["  ".join(f"{cell:>16}" for cell in row[1:]) + "  " + row[0] for row in naming_table(main, "exact").rows]
    lines += [", ".join(row[:6]) for row in play_table(found["play"]).rows]
    return "\n".join(lines + absent_lines(found["curve"]))


def _lines(rows: Sequence[Mapping], key: str, words: Mapping[str, str], measure: str) -> dict[str, list]:
    """{words of a way: (labels, value, low, high) by number of labels}."""
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
