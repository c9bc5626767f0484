"""Packages that the extras of cxrbench bring (`pip install "cxrbench[diffusion]"`), and which of them some code needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata, util
from pathlib import Path

from . import digest
from .errors import InputError

_REQUIRED = re.compile(r"([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['\"]([a-z]+)['\"]")
_NOT_FOR_RUNS = ("all", "docs", "test")


@cache
def brought() -> dict[str, str]:
    """The extra that brings a package, by the name that code imports; empty where cxrbench is not installed."""
    try:
        required = metadata.requires("cxrbench") or []
    except metadata.PackageNotFoundError:
        return {}
    found = [match.groups() for text in required if (match := _REQUIRED.match(text))]
    return {name.lower().replace("-", "_"): extra for name, extra in found if extra not in _NOT_FOR_RUNS}


def cure_for(error: Exception) -> str:
    """What to do about an error: `; pip install 'cxrbench[EXTRA]'` for a module that an extra brings, else nothing."""
    name = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    extra = brought().get(name.partition(".")[0])
    return "" if extra is None else f"; pip install 'cxrbench[{extra}]'"


def check_packages(source: Path, what: str) -> None:
    """InputError where code imports a package that an extra brings and that is not installed, at whatever place: it would
    be found after hours otherwise. Looked through are the source and the files beside it that it imports; an import that
    is tried, as one does without the package, asks for nothing."""
    for file in digest.source_closure(source):
        if file.parent != source.resolve().parent:
            continue
        for name in _imported(ast.parse(file.read_text(encoding="utf-8"))):
            if name in brought() and util.find_spec(name) is None:
                extra = brought()[name]
                raise InputError(
                    f"{what} needs the package {name}, which is not installed: pip install 'cxrbench[{extra}]'"
                )


def _imported(tree: ast.AST) -> Iterator[str]:
    """First names of the absolute imports of a source, but for those that are tried or are for types alone."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
        if isinstance(node, ast.Try):
            waiting += [*node.orelse, *node.finalbody]
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
