"""reports/benchmark.md: one part a benchmark, each with the machine and the day; a run replaces its own part only."""

import platform
from datetime import date
from pathlib import Path

import psutil

PAGE = Path("reports/benchmark.md")
TITLE = "# Benchmarks"


def write_part(title: str, lines: list[str]) -> None:
    """Puts the lines under the heading `title`, in place of those of an earlier run."""
    parts = _parts(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    parts[title] = "\n".join([f"Measured {date.today()} on {machine()}.", "", *lines]).strip()
    text = "\n\n".join([TITLE, *(f"## {name}\n\n{body}" for name, body in parts.items())])
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text + "\n", encoding="utf-8", newline="\n")


def _parts(text: str) -> dict[str, str]:
    found = {}
    for part in text.split("\n## ")[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = body.strip()
    return found


def machine() -> str:
    """Processor, cores, memory and system of this machine."""
    memory_gb = psutil.virtual_memory().total / 1e9
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{processor()}, {psutil.cpu_count()} cores, {memory_gb:.0f} GB, {system}"


def processor() -> str:
    """The processor's name; Linux keeps it in /proc."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows]]
