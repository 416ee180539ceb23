"""`make deps`: writes the modules that each stage imports into the `deps` of its dvc.yaml.

DVC does not follow imports. Every module of ours that a stage imports, directly or through others, must stand in its
deps: otherwise a change there would leave old results in place. So must LOCK, with the version of every library
of the default pipeline. What else stands there (data, folders) stays.
"""

import argparse
import ast
import io
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from stages.run import run_stage

ROOT = Path(__file__).parents[2]
LOCK = "requirements.lock"
PIPELINES = ("dvc.yaml", "stages/studies/*/dvc.yaml")


def modules() -> dict[str, Path]:
    """All modules under stages/ by name, without the empty __init__ files."""
    files = (path for path in (ROOT / "stages").rglob("*.py") if path.name != "__init__.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


def imports(module: str, known: dict[str, Path]) -> set[str]:
    """The modules among `known` that one imports, `from package import module` included."""
    return _imported(known[module]) & known.keys()


@cache
def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(module: str, known: dict[str, Path]) -> set[str]:
    """A module and all that it imports, directly or through others."""
    seen, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += imports(current, known)
    return seen


def module_of(command: str) -> str:
    """The module that a stage's command runs: what follows -m."""
    words = command.split()
    return words[words.index("-m") + 1]


def stages_run_by(module: str, known: dict[str, Path]) -> set[str]:
    """The stages that a study runs in a workspace of its own, by its constant RUNS."""
    for node in ast.parse(known[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RUNS":
            return {f"stages.{name}" for name in ast.literal_eval(node.value)}
    return set()


def code_of(module: str) -> list[str]:
    """The files that a stage runs, its own first, relative to the project."""
    known = modules()
    names = closure(module, known).union(*(closure(name, known) for name in stages_run_by(module, known)))
    files = {name: known[name].relative_to(ROOT).as_posix() for name in names}
    return [files.pop(module), *sorted(files.values())]


def with_code(text: str) -> str:
    """A dvc.yaml whose stages depend on exactly the code they run; comments and all else stay."""
    kind = YAML()
    kind.preserve_quotes, kind.width = True, 4096
    kind.indent(mapping=2, sequence=4, offset=2)
    tree = kind.load(text)
    for entry in tree["stages"].values():
        stage = entry.get("do", entry)
        data = [path for path in stage.get("deps", []) if not path.endswith((".py", LOCK))]
        stage["deps"] = [*data, LOCK, *code_of(module_of(stage["cmd"]))]
    written = io.StringIO()
    kind.dump(tree, written)
    return written.getvalue()


def pipelines() -> list[Path]:
    """dvc.yaml of the project and of every study."""
    return [path for pattern in PIPELINES for path in sorted(ROOT.glob(pattern))]


def main() -> None:
    for path in pipelines():
        before = path.read_text(encoding="utf-8")
        after = with_code(before)
        path.write_text(after, encoding="utf-8", newline="\n")
        print(f"{path.relative_to(ROOT)}: {'written' if after != before else 'as it was'}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run_stage(main)
