"""The package as it is installed: complete, light to import, in rooms whose imports run downwards (docs/architecture.md)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cxrbench
from cxrbench.benchmark.registry import COMMANDS, plugins

TREE = Path(__file__).parents[1]
INSTALLED = Path(cxrbench.__file__).parent
PARTS = ("benchmark", "tasks", "baselines", "leaderboard")


def source_files() -> list[Path]:
    """Every file of the package in the tree, whatever its kind, but caches."""
    files = [path for part in PARTS for path in (TREE / part).rglob("*") if path.is_file()]
    files += [TREE / "__init__.py", TREE / "py.typed"]
    return [path.relative_to(TREE) for path in files if "__pycache__" not in path.parts]


def test_every_file_of_the_tree_is_in_the_wheel(tmp_path):
    """Builds the wheel from a copy of the tree: a sub-package that pyproject's list forgets is missing there."""
    if INSTALLED != TREE:
        missing = [str(path) for path in source_files() if not (INSTALLED / path).is_file()]
        different = [
            str(path)
            for path in source_files()
            if (INSTALLED / path).is_file() and (INSTALLED / path).read_bytes() != (TREE / path).read_bytes()
        ]
        assert missing == [] and different == []
        return
    import tomllib

    from setuptools import discovery  # the editable install: hold pyproject's list against the folders

    listed = tomllib.loads((TREE / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    wanted = [f"{part}*" for part in PARTS]
    found = {f"cxrbench.{name}" for name in discovery.PackageFinder.find(str(TREE), include=wanted)}
    assert found | {"cxrbench"} == set(listed)


def arrows() -> dict[str, set[str]]:
    """The modules that each module imports, directly or below a function, by their paths without .py."""
    paths = [path for path in source_files() if path.suffix == ".py"]
    modules = {module_of(path) for path in paths}
    found: dict[str, set[str]] = {}
    for path in paths:
        targets = found.setdefault(module_of(path), set())
        for node in ast.walk(ast.parse((TREE / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = "/".join((*path.parts[: len(path.parts) - node.level], *(node.module or "").split("."))).strip(
                    "/"
                )
                for alias in node.names:
                    inner = f"{base}/{alias.name}".strip("/")
                    targets.add(inner if inner in modules else base)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cxrbench"):
                targets.add("absolute import")
            elif isinstance(node, ast.Import):
                targets |= {"absolute import" for alias in node.names if alias.name.startswith("cxrbench")}
        targets.discard("")
    return found


def module_of(path: Path) -> str:
    """`benchmark/runs/plan`; a package is named by its folder."""
    return (path.parent if path.name == "__init__.py" else path.with_suffix("")).as_posix()


ARROWS = arrows()
GROUND = set(
    [
        "errors",
        "extras",
        "bounds",
        "progress",
        "home",
        "digest",
        "settings",
        "registry",
        "files",
        "processes",
        "fork_server",
        "large_pages",
        "schema",
        "device",
        "exact",
        "draws",
        "console_tables",
        "disk",
        "papers",
        "paper_tables",
        "plain_files",
        "presets",
    ]
)
ROOMS = {  # what stands right below each room of benchmark/; ground is below all
    "training": (),
    "metrics": (),
    "data": (),
    "significance": ("metrics",),
    "contracts": ("data", "training", "significance"),
    "fidelity": ("contracts",),
    "runs": ("contracts",),
    "results": ("runs", "fidelity"),
    "reader_study": ("runs",),
    "report": ("results",),
    "speed": ("report",),
    "audit": ("reader_study", "results"),
    "card": ("audit", "report"),
    "cli": ("reader_study", "speed", "card"),
    "python": ("cli",),
}
PARTS_BELOW = {
    "tasks": {"benchmark", "tasks"},
    "baselines": {"benchmark", "baselines"},
    "leaderboard": {"benchmark", "leaderboard"},
}
BELOW_BASELINES = {"ground", "contracts", "training", "data", "metrics"}


def room(module: str) -> str:
    """The room of a module below benchmark/, `ground` for those beside the rooms; else its part."""
    part, _, rest = module.partition("/")
    first = rest.partition("/")[0]
    return part if part != "benchmark" or not rest else "ground" if first in GROUND else first


def rooms_below(name: str) -> set[str]:
    """Every room that a room may import, itself too."""
    return {"ground", name}.union(*(rooms_below(other) for other in ROOMS[name]))


def test_every_module_of_benchmark_is_in_a_room():
    found = {room(module) for module in ARROWS if module.startswith("benchmark/")}
    assert found == {"ground", *ROOMS}
    assert not GROUND & sys.stdlib_module_names and not set(ROOMS) & sys.stdlib_module_names
    names = {module.rpartition("/")[2] for module in ARROWS if module.startswith("benchmark/")}
    assert not names & sys.stdlib_module_names


@pytest.mark.parametrize("module", sorted(ARROWS))
def test_imports_run_downwards(module):
    part = module.partition("/")[0]
    for target in ARROWS[module]:
        assert target != "absolute import", "inside the package imports are relative"
        if module == ".":  # the public face
            assert target.startswith(("benchmark/", "leaderboard/"))
        elif part == "benchmark":
            allowed = {"ground"} if room(module) == "ground" else rooms_below(room(module))
            assert room(target) in allowed or target == ".", f"{module} imports {target}"
        else:
            assert target.partition("/")[0] in PARTS_BELOW[part], f"{module} imports {target}"
            assert part != "baselines" or target.startswith("baselines") or room(target) in BELOW_BASELINES


def test_no_two_modules_import_each_other_on_any_way():
    left = {module: {target for target in targets if target in ARROWS} for module, targets in ARROWS.items()}
    del left["."]
    while free := {module for module, targets in left.items() if not targets & left.keys()}:
        left = {module: targets for module, targets in left.items() if module not in free}
    assert not left, f"a circle, or what stands above one: {sorted(left)}"


MOST_LINES, A_SCREEN = 400, 60


@pytest.mark.parametrize("path", [path for path in source_files() if path.suffix == ".py"], ids=str)
def test_modules_and_functions_are_short(path):
    text = (TREE / path).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
            assert lines <= A_SCREEN, f"{node.name} has {lines} lines"


def test_the_public_face_is_all_there_and_imports_no_torch():
    code = (
        "import sys, cxrbench\n"
        "assert all(getattr(cxrbench, name) is not None for name in cxrbench.__all__)\n"
        "from cxrbench import Annotation, Batch, Dataset, Provider, Task\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    written = {
        alias.name
        for node in ast.walk(ast.parse((TREE / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert written == set(cxrbench.__all__) == set(cxrbench._HOME_OF)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"], ["--version"]])
def test_help_and_list_import_neither_torch_nor_pandas(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['cxrbench', *{arguments!r}]\n"
        "from cxrbench.benchmark.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'cv2', 'scipy', 'monai'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_monai_is_imported_where_its_networks_are_made_alone():
    """By providers on its networks and the adapter of its bundles, when they make one: not when a class is loaded."""
    having = {path.as_posix() for path in source_files() if path.suffix == ".py" and imports_monai(TREE / path)}
    assert having == {
        "baselines/diffusion_unet.py",
        "baselines/latent_diffusion.py",
        "benchmark/contracts/model_folders.py",
    }
    code = (
        "import sys\n"
        "from cxrbench.benchmark.registry import PROVIDERS, plugins\n"
        "for plugin in plugins(PROVIDERS).values(): plugin.load()\n"
        "assert 'torch' in sys.modules and 'monai' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def imports_monai(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.split(".")[0] == "monai" for name in named):
            return True
    return False


def test_tasks_are_planned_without_torch():
    code = (
        "import sys\n"
        "from cxrbench.benchmark.registry import TASKS, plugins\n"
        "for plugin in plugins(TASKS).values(): plugin.load()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_is_every_extra_that_a_user_may_want():
    import tomllib

    extras = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (said,) = extras["all"]
    assert set(said.removeprefix("cxrbench[").removesuffix("]").split(",")) == extras.keys() - {"all", "docs", "test"}


def test_a_torch_and_torchvision_that_do_not_match_give_one_line(tmp_path):
    """A torchvision that fails as a mismatched one does, before the real one on the path."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "cxrbench.benchmark.cli", "run", "--provider", "three_stage", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1 and "do not match" in lines[0] and "pip install" in lines[0]
    assert "Traceback" not in done.stderr


def test_torch_and_torchvision_that_match_are_told_without_importing_torchvision():
    """Its import takes seconds, and most runs need nothing of it."""
    code = (
        "import sys\n"
        "from cxrbench.benchmark.runs.examine import torch_mismatch\n"
        "assert torch_mismatch() is None\n"
        "assert 'torchvision' not in sys.modules\n"
        "from torchvision.ops import nms\n"
        "import torch\n"
        "assert nms(torch.tensor([[0., 0, 2, 2], [0, 0, 2, 2]]), torch.ones(2), 0.5).tolist() == [0]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("command", sorted(plugins(COMMANDS).values(), key=lambda plugin: plugin.name))
def test_a_command_of_what_stands_above_can_be_imported_first(command):
    """Its module takes options from the command line, which takes the command from its module."""
    subprocess.run([sys.executable, "-c", f"import {command.module}"], check=True)
