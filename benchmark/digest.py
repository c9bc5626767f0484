"""Digests: canonical JSON, files, arrays, and the code that makes a number.

A cell's key must change whenever anything that can change its numbers changes, and should not change with anything else.
So the code digest covers a module and every module of this package (outside the package: of its own folder and package) that
it imports, found by reading the source, but for those that make no number of a cell (`NO_NUMBERS`, `IN_NO_CELL`). An import
for types alone (below `TYPE_CHECKING`) makes no number either; it is followed in an `__init__.py`, which names there what it
loads when asked.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import InputError

PACKAGE = Path(__file__).resolve().parent.parent
NAME, PARTS = "cxrbench", ("baselines", "benchmark", "leaderboard", "tasks")
NO_NUMBERS = (
    "benchmark/data/catalogue.py",  # films are found by it and are in every key by a digest of their own
    "benchmark/errors.py",
    "benchmark/home.py",
    "benchmark/progress.py",
    "benchmark/registry.py",  # what it finds has a digest of its own
)
"""Modules of this package that others import and that make no number: words, places, names. They are in no digest, nor is
what they alone import."""
IN_NO_CELL = ("tasks/found_boxes.py",)
"""Modules whose numbers no cell keeps: they are made of what cells keep, whenever results are put together. They are in no
digest either."""
BLOCK = 4 << 20
"""Bytes of an array that are read at once."""
_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What statements are in, an import among them: nothing is imported within an expression."""
_FOR_TYPES = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
_NUMERIC_PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "opencv-python-headless",
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "lightning-fabric",
)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN and infinity are refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def of_json(value: Any) -> str:
    """sha256 (64 hex digits) of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def of_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def of_folder(folder: Path) -> str:
    """sha256 over the names and bytes of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return of_json([[path.relative_to(folder).as_posix(), of_file(path)] for path in files])


def of_array(array: Any) -> str:
    """sha256 of an array's type, shape and values, read in blocks so that a memory map (or `data.film_rows.FilmRows`) need
    not fit in memory."""
    import numpy as np

    hasher = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    rows = max(1, BLOCK * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        hasher.update(np.ascontiguousarray(array[start : start + rows]).data)
    return hasher.hexdigest()


def derive_seed(*parts: object) -> int:
    """A seed (0 to 2**31 - 1) from the names of a draw, so that the order of runs changes nothing."""
    text = canonical_json([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@cache
def of_packages() -> dict[str, str]:
    """Versions of the packages that compute numbers; an absent one is named so."""
    versions = {}
    for name in _NUMERIC_PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def module_file(base: Path, dotted: str) -> Path | None:
    """The source file of a dotted name below a folder, or None when it is not there."""
    target = base.joinpath(*dotted.split(".")) if dotted else base
    if target.with_suffix(".py").is_file():
        return target.with_suffix(".py")
    if (target / "__init__.py").is_file():
        return target / "__init__.py"
    return None


def _imported_files(source: Path) -> frozenset[Path]:
    """Files of the same project that a source file imports: those of this package; and of a file that is not of this package
    its neighbours and the modules of its own package (a provider may be a file, a folder or a package).

    InputError where it is no Python.
    """
    try:
        return _read_imports(source, source.read_text(encoding="utf-8"))
    except SyntaxError as error:
        where = f" line {error.lineno}" if error.lineno else ""
        raise InputError(f"cannot read {source}{where}: {error.msg}") from None
    except (OSError, ValueError) as error:  # not there, no text, or a NUL byte
        raise InputError(f"cannot read {source}: {str(error).splitlines()[0]}") from None


def _bases(source: Path) -> Iterator[tuple[Path, str]]:
    """Where a file that is not of this package may find modules of its project by absolute names: (folder, first name; any
    where it is empty)."""
    root = source.parent
    while (root / "__init__.py").is_file() and root != root.parent:
        root, package = root.parent, root.name
        yield root, package
    if source.parent.name not in ("site-packages", "dist-packages"):  # neighbours there are other projects
        yield source.parent, ""


@cache  # by content: a file that was changed is read anew
def _read_imports(source: Path, text: str) -> frozenset[Path]:
    inside = source.is_relative_to(PACKAGE) and source.relative_to(PACKAGE).parts[0] in (*PARTS, "__init__.py")
    found: set[Path] = set()

    def add(base: Path, dotted: str, names: Sequence[str] = ()) -> None:
        for candidate in (dotted, *(f"{dotted}.{name}".lstrip(".") for name in names)):
            path = module_file(base, candidate)
            if path is not None:
                found.add(path)

    def add_own(dotted: str, names: Sequence[str] = ()) -> None:
        parents = dotted.split(".")
        for base, package in _bases(source):
            if package in ("", parents[0]):
                add(base, dotted, names)
                for depth in range(1, len(parents)):  # importing a.b.c runs a and a.b first
                    add(base, ".".join(parents[:depth]))

    tree = ast.parse(text, filename=str(source))
    for node in _nodes(tree, types=source.name == "__init__.py"):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if alias.name != "__version__"]  # a release moves no number
            if node.level and names and node.level <= len(source.parents):
                add(source.parents[node.level - 1], node.module or "", names)
            elif not node.level and node.module == NAME:
                for name in names:  # from the public face: the module that the name is of, and nothing else of it
                    add(PACKAGE, _public_face().get(name, name))
            elif not node.level and node.module and node.module.partition(".")[0] == NAME and names:
                add(PACKAGE, node.module.removeprefix(NAME).lstrip("."), names)
            elif not node.level and node.module and not inside:
                add_own(node.module, names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == NAME:
                    add(PACKAGE, alias.name.removeprefix(NAME).lstrip("."))
                elif not inside:
                    add_own(alias.name)
    return frozenset(found)


@cache
def _public_face() -> dict[str, str]:
    """The module below the package that each name of the public face is of, from the imports of its `__init__.py`."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level and node.module]
    return {alias.name: str(node.module) for node in found for alias in node.names}


def _nodes(tree: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """All statements of a source file; without `types` not those below `if TYPE_CHECKING:`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not types and isinstance(node, ast.If) and ast.unparse(node.test) in _FOR_TYPES:
            waiting.extend(node.orelse)
        else:
            waiting.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, _STATEMENTS))


def source_closure(source: Path) -> list[Path]:
    """A source file and every project file that it reaches through imports and that can make a number, sorted."""
    silent = {PACKAGE / name for name in (*NO_NUMBERS, *IN_NO_CELL)}
    reached: set[Path] = set()
    waiting = [source.resolve()]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        waiting.extend(found for file in _imported_files(path) if (found := file.resolve()) not in silent)
    return sorted(reached)


@cache
def of_code(source: Path) -> str:
    """sha256 over a source file and everything of the project it imports."""
    closure = source_closure(source)
    names = [path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name for path in closure]
    return of_json([[name, of_file(path)] for name, path in zip(names, closure, strict=True)])
