"""Packages of extras that a provider needs and that are not installed: found before any work."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from .. import digest
from ..errors import InputError
from ..extras import brought


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
