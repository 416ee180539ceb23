"""The house stands as drawn: arrows run one way, and dvc.yaml knows every module and param that a stage uses."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.commands.deps import closure, imports, module_of, modules, pipelines, stages_run_by, with_code
from stages.games.catalog import GAMES
from stages.models.policies.registry import KINDS

ROOT = Path(__file__).parents[1]
PARAMS_TREE = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STUDIES = {  # of each study the stages
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    for path in pipelines()
    if path.parent != ROOT
}
ALL_STAGES = {
    **STAGES, **{f"{study}:{name}": stage for study, stages in STUDIES.items() for name, stage in stages.items()},
}  # fmt: skip
MODULES = modules()
ENTRIES = {name for name in MODULES if name.count(".") == 1} - {"stages.params", "stages.paths", "stages.run"}
STUDY_MODULES = {name for name in MODULES if name.startswith("stages.studies.")}
STUDY_ENTRIES = {module_of(stage["cmd"]) for stages in STUDIES.values() for stage in stages.values()}
WINGS = {
    "recordings": set(),
    "episodes": {"recordings"},
    "learning": set(),
    "models": {"learning", "episodes"},
    "evaluation": {"episodes", "recordings", "learning", "models"},
    "latent_actions": {"episodes", "learning", "models", "evaluation"},
    "pages": {"episodes", "evaluation", "latent_actions"},
    "games": set(),
    "live": {"recordings", "models"},
    "commands": {"recordings", "episodes", "learning", "models", "evaluation", "pages", "live"},
}
SET_BY_STUDIES = {"seed", "split", "recordings"}  # in the workspace where a study runs other stages
SET_BY_GAME = {"game", "${game}", "actions", "keys", "rare_actions"}  # where a study has a row a game, by its preset
NOT_IN_OUTPUT = {"workers", "launcher"}  # they change how fast a stage is, not what it writes


def wing(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else None


@pytest.mark.parametrize("module", sorted(set(MODULES) - ENTRIES - STUDY_MODULES))
def test_wings_import_no_stage_and_only_the_wings_below_them(module):
    for other in imports(module, MODULES):
        assert other not in ENTRIES, f"{module} imports the stage {other}"
        if wing(other) and wing(module) != wing(other):
            assert wing(other) in WINGS[wing(module)], f"{module} imports {other}"


@pytest.mark.parametrize("module", sorted(ENTRIES))
def test_stages_import_no_stage(module):
    assert not imports(module, MODULES) & ENTRIES


@pytest.mark.parametrize("module", sorted(STUDY_MODULES))
def test_studies_import_no_stage_and_no_other_study(module):
    """What stages of a study share lies beside them, in a file that is no stage; what all studies share, above."""
    study = module.rpartition(".")[0]
    for other in imports(module, MODULES):
        assert other not in ENTRIES | STUDY_ENTRIES, f"{module} imports the stage {other}"
        own = other.rpartition(".")[0] in (study, "stages.studies")
        assert own or wing(other) != "studies", f"{module} imports another study: {other}"


def test_the_files_of_a_study_are_stages_or_shared_by_them():
    shared = {other for module in STUDY_ENTRIES for other in closure(module, MODULES)} & STUDY_MODULES
    assert STUDY_ENTRIES | shared == STUDY_MODULES


def test_only_games_and_live_touch_the_outside_world():
    engines = {"vizdoom", "ale_py", "gymnasium", "flappy_bird_gymnasium", "Box2D", "pygame"}
    outside = engines | {"mss", "pynput", "Xlib", "tkinter", "Quartz"}
    for name, path in MODULES.items():
        words = set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert wing(name) in ("games", "live") or not words & outside, f"{name} imports {words & outside}"


@pytest.mark.parametrize("path", pipelines(), ids=lambda path: path.parent.name)
def test_a_stage_depends_on_the_modules_it_imports_and_no_others(path):
    text = path.read_text(encoding="utf-8")
    assert with_code(text) == text, f"{path} names other modules than the stages import; run `make deps`"


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_no_stage_of_the_pipeline_needs_a_screen(stage):
    assert not {name for name in closure(f"stages.{stage}", MODULES) if wing(name) in ("live", "commands")}


def own_code(module: str) -> str:
    """The text of a stage and of the functions that it imports from files of its study."""
    source = MODULES[module].read_text(encoding="utf-8")
    texts = [source]
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module in STUDY_MODULES:
            other = MODULES[node.module].read_text(encoding="utf-8")
            names = {alias.name for alias in node.names}
            texts += [ast.get_source_segment(other, each) for each in ast.parse(other).body
                      if isinstance(each, ast.FunctionDef) and each.name in names]  # fmt: skip
    return "\n".join(texts)


@pytest.mark.parametrize("stage", sorted(ALL_STAGES))
def test_a_stage_declares_every_param_it_reads(stage):
    """In its own file, in the functions that it imports from its study, and by the stages that a study runs."""
    module = module_of(ALL_STAGES[stage]["cmd"])
    source = own_code(module)
    read = set(re.findall(r"\bparams\.(\w+)", source)) & set(PARAMS_TREE)
    run = [STAGES[name.split(".")[1]] for name in stages_run_by(module, MODULES)]
    read |= {name.split(".")[0] for other in run for name in other.get("params", [])} - SET_BY_STUDIES
    listed = ALL_STAGES[stage].get("params", [])
    if any(isinstance(entry, dict) for entry in listed):  # the whole file
        return
    declared = {name.replace("item.", "").split(".")[0] for name in listed}
    if "options_of(params)" in source:
        read |= {"game", "${game}"}
    if any("/presets/${" in dep and ".game}" in dep for dep in ALL_STAGES[stage]["deps"]):
        read -= SET_BY_GAME
    if declared >= set(KINDS):  # a row a kind
        read -= {"${policy}"}
    assert read - NOT_IN_OUTPUT <= declared, f"dvc.yaml, {stage}: params {sorted(read - declared)} are read, not listed"


@pytest.mark.parametrize("stage", sorted(ALL_STAGES))
def test_every_listed_param_exists(stage):
    """DVC does not say so when a key is missing from params.yaml."""
    for name in ALL_STAGES[stage].get("params", []):
        if isinstance(name, dict):
            continue
        for game in GAMES:
            node = tree = PARAMS_TREE | {"game": game}
            shown = re.sub(r"\$\{(item|probe)\.", "${", name)  # of studies that choose game and policy themselves
            shown = re.sub(r"\$\{(\w+)\}", lambda template, tree=tree: tree[template[1]], shown)
            for part in shown.split("."):
                assert part in node, f"dvc.yaml, {stage}: {shown} is not in params.yaml"
                node = node[part]


def test_the_top_of_stages_holds_stages_only():
    assert {name.split(".")[1] for name in ENTRIES} == set(STAGES)


def test_every_cached_out_is_ignored_by_git_in_the_root_file():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for stage in ALL_STAGES.values():
        outs = [out for out in stage.get("outs", []) if isinstance(out, str)]
        for path in (out.replace("${game}", game) for out in outs for game in GAMES):
            covering = {f"/{path}/", f"/{path}"} | {f"/{parent}/*" for parent in map(str, Path(path).parents)}
            covering |= {f"/{Path(path).parent}/?*/"} | {f"/{parent}/" for parent in map(str, Path(path).parents)}
            assert covering & set(ignored), f"{path} is a cached out and not in .gitignore"


def test_dvc_sees_own_recordings(tmp_path):
    """With a pattern that covers the folder of recordings DVC would overlook them, and delete them as unused."""
    for name in (".gitignore", ".dvcignore"):
        shutil.copy2(ROOT / name, tmp_path / name)
    mine = tmp_path / "data/raw/mine"
    mine.mkdir(parents=True)
    (mine / "one.mp4").write_bytes(b"video")
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "add", "-q", "data/raw/mine"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    seen = subprocess.run([*dvc, "stage", "list", "--all"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "data/raw/mine.dvc" in seen.stdout
    untracked = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, capture_output=True, text=True)
    assert "mine.dvc" in untracked.stdout and "one.mp4" not in untracked.stdout


def test_nothing_that_dvc_compares_experiments_by_comes_from_test():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    metrics = [next(iter(entry)) for stage in STAGES.values() for entry in stage.get("metrics", [])]
    assert metrics == ["reports/metrics.json"]
    assert pipeline["plots"] and "reports/test" not in str(pipeline["plots"])
