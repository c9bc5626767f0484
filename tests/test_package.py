"""The package as it is installed: complete, light to import, and imported in one direction only."""

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


def imported_parts(path: Path) -> set[str]:
    """Names of the package's other parts that a module imports, directly or below a function."""
    found = set()
    for node in ast.walk(ast.parse((TREE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            target = (*path.parts[: len(path.parts) - node.level], *(node.module or "").split("."))
            found.add(target[0])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cxrbench"):
            found.add("absolute import")
        elif isinstance(node, ast.Import):
            found |= {"absolute import" for alias in node.names if alias.name.startswith("cxrbench")}
    return found


ALLOWED = {
    "benchmark": {"benchmark"},
    "tasks": {"benchmark", "tasks"},
    "baselines": {"benchmark", "baselines"},
    "leaderboard": {"benchmark", "leaderboard"},
}


@pytest.mark.parametrize("path", [path for path in source_files() if path.suffix == ".py" and len(path.parts) > 1])
def test_imports_run_in_one_direction(path):
    assert imported_parts(path) - {""} <= ALLOWED[path.parts[0]]


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"], ["--version"]])
def test_help_and_list_import_neither_torch_nor_pandas(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['cxrbench', *{arguments!r}]\n"
        "from cxrbench.benchmark.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'cv2', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_tasks_are_planned_without_torch():
    code = (
        "import sys\n"
        "from cxrbench.benchmark.registry import TASKS, plugins\n"
        "for plugin in plugins(TASKS).values(): plugin.load()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_torch_and_torchvision_that_do_not_match_give_one_line(tmp_path):
    """A torchvision that fails as a mismatched one does, before the real one on the path."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "cxrbench.benchmark.cli", "run", "--provider", "three_stage", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1 and "do not match" in lines[0] and "pip install" in lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", sorted(plugins(COMMANDS).values(), key=lambda plugin: plugin.name))
def test_a_command_of_what_stands_above_can_be_imported_first(command):
    """Its module takes options from the command line, which takes the command from its module."""
    subprocess.run([sys.executable, "-c", f"import {command.module}"], check=True)
