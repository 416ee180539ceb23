"""Pages that open offline: one HTML file, every picture and video inside as a data URI, no script.

The words and the layout are in `templates/` (jinja2, everything from outside is escaped); here are the parts that fill
them.
"""

import base64
import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml", ".mp4": "video/mp4"}
PAGE_MB = 15.0  # videos that would make a page larger than this stay files beside it


@dataclass(frozen=True)
class Table:
    """Cells are words already formatted, the first names its row; `strong` are the rows that stand out."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()


@dataclass(frozen=True)
class Picture:
    """`uri` is a data URI; `words` say what is to be seen."""

    uri: str
    words: str


@dataclass(frozen=True)
class Video:
    """`uri` is a data URI, or None where the file is too large to stand inside the page; `path` is where it lies."""

    uri: str | None
    words: str
    path: str


@dataclass
class VideoBudget:
    """Embeds videos as long as they fit into `left_mb`, counted as base64."""

    left_mb: float = PAGE_MB
    refused: list[str] = field(default_factory=list)

    def video(self, path: Path, words: str) -> Video | None:
        """The video for the page, without its data where it does not fit; None where there is no such file."""
        if not path.is_file():
            return None
        megabytes = path.stat().st_size * 4 / 3 / 1e6
        if megabytes > self.left_mb:
            self.refused.append(path.as_posix())
            return Video(None, words, path.as_posix())
        self.left_mb -= megabytes
        return Video(data_uri(path), words, path.as_posix())


def data_uri(path: Path) -> str:
    """The file as a data URI; ValueError for a kind of file that pages do not hold."""
    if path.suffix not in TYPES:
        raise ValueError(f"{path}: a page holds files of the kinds {', '.join(TYPES)} only")
    return bytes_uri(path.read_bytes(), TYPES[path.suffix])


def bytes_uri(content: bytes, kind: str) -> str:
    """Bytes of a media type such as "image/png" as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def pictures(folder: Path, words: Mapping[str, str]) -> list[Picture]:
    """Every PNG of a folder, those with a caption in `words` {file name: caption} first and in that order.

    Without one the file's name is the caption. A missing folder has no picture.
    """
    names = [path.name for path in sorted(folder.glob("*.png"))]
    order = [name for name in words if name in names] + [name for name in names if name not in words]
    return [Picture(data_uri(folder / name), words.get(name, Path(name).stem.replace("_", " "))) for name in order]


def read_json(path: Path):
    """The content of a JSON file, None where it does not exist; ValueError where it is not JSON."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); delete it and repeat `dvc repro`") from None


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; empty where it does not exist."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(value, digits: int = 3) -> str:
    """A number as short as its size allows, thousands apart; a dash for None, "", and NaN; other words as they are."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    if value != value:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", "\u202f")


def markdown(head: Sequence[str], *rows: Sequence[str]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def render(template: str, **values) -> str:
    """The page of a template under `templates/`; a name that the template needs and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=style, **values)


def write_page(path: Path, html: str) -> float:
    """Write the page, whole or not at all; returns its size in MB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(html, encoding="utf-8", newline="\n")
    os.replace(partial, path)
    return path.stat().st_size / 1e6
