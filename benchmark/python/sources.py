"""The source of a class with all that it uses, as the text of a file that can be imported anywhere.

For classes of a notebook's cells and of scripts. Which names a piece of code takes from around it is read by
`symtable`; what they are is seen in its module. A module, and what another module has, becomes an import; a function or
class of the same notebook comes along with its own source; a plain value is written out. Modules that lie beside the
notebook are found through their folder, and their content is named by its digest, so that a key changes when they do.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import linecache
import symtable
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .. import digest
from ..errors import InputError

INSTALLED = ("site-packages", "dist-packages")
HEAD = "# Written by cxrbench from a notebook, a script or a package: a run imports it. Do not edit.\n"


def file_of(module: ModuleType | None) -> Path | None:
    """The source file of a module; None for a notebook, and for what has none."""
    name = getattr(module, "__file__", None)
    return Path(name).resolve() if name and name.endswith(".py") and Path(name).is_file() else None


def is_main(module: ModuleType | None) -> bool:
    """Whether a module is the notebook or script that runs."""
    return getattr(module, "__name__", "") in ("__main__", "__mp_main__")


def carried_source(cls: type) -> str:
    """The text of a file that defines a class as it is defined here; InputError where something has no source."""
    module = sys.modules.get(cls.__module__)
    carrier = _Carrier(cls.__name__, module)
    if module is not None and is_main(module):
        carrier.add(cls.__name__, cls)
    else:
        carrier.import_from(cls.__name__, cls, cls.__module__)
    return carrier.text()


class _Carrier:
    """Gathers what a class needs: imports, values and definitions, each once, what is needed before what needs it."""

    def __init__(self, title: str, module: ModuleType | None) -> None:
        self.title, self.module = title, module
        self.imports: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.definitions: dict[str, str] = {}
        self.folders: dict[str, str] = {}
        self.begun: set[str] = set()
        self.later_annotations = False

    def text(self) -> str:
        """The file."""
        future = "from __future__ import annotations\n" if self.later_annotations else ""
        paths = [f"# {name}: sha256 {sha}" for name, sha in sorted(self.folders.items())]
        places = sorted({str(Path(name).parent) for name in self.folders})
        paths += ["import sys", *(f"sys.path.append({place!r})" for place in places)] if places else []
        parts = [*paths, *(self.imports[name] for name in sorted(self.imports))]
        parts += [f"{name} = {self.values[name]}" for name in sorted(self.values)]
        return HEAD + future + "\n".join(parts) + "\n\n\n" + "\n\n\n".join(self.definitions.values()) + "\n"

    def add(self, name: str, value: Any) -> None:
        """Whatever a name of the notebook stands for."""
        if name in self.begun:
            return
        self.begun.add(name)
        if isinstance(value, ModuleType):
            self._remember(value)
            self.imports[name] = f"import {value.__name__} as {name}"
        elif self._is_own(value):
            self._define(name, value)
        elif (home := _where(name, value)) is not None:
            self.import_from(name, value, home)
        elif _is_plain(value):
            self.values[name] = repr(value)
        else:
            raise InputError(
                f"{self.title} uses {name}, a {type(value).__name__} of this notebook or script, which other processes "
                "do not have: make it within the class, or put the class into a file"
            )

    def import_from(self, name: str, value: Any, home: str) -> None:
        """An import of what another module has."""
        attribute = next(one for one in _names(name, value) if getattr(sys.modules[home], one, None) is value)
        self._remember(sys.modules[home])
        self.imports[name] = f"from {home} import {attribute}" + (f" as {name}" if attribute != name else "")

    def _is_own(self, value: Any) -> bool:
        return isinstance(value, type | FunctionType) and is_main(sys.modules.get(value.__module__))

    def _define(self, name: str, value: type | FunctionType) -> None:
        if value.__name__ != name:
            raise InputError(
                f"{self.title} uses {value.__name__} by the name {name}: use the name that it is defined by"
            )
        source, later = _definition(value)
        self.later_annotations |= later
        around = vars(self.module) if self.module is not None else {}
        for used in sorted(_used(source, self.title)):
            if used in around:
                self.add(used, around[used])
        self.definitions[name] = source

    def _remember(self, module: ModuleType) -> None:
        """A module that no package manager put there: its folder and the digest of its code."""
        top = sys.modules.get(module.__name__.partition(".")[0], module)
        file = file_of(top)
        if file is None or file.is_relative_to(digest.PACKAGE) or any(one in file.parts for one in INSTALLED):
            return
        if top.__name__ not in sys.stdlib_module_names:
            place = file.parent if file.name == "__init__.py" else file
            code = digest.of_folder(place) if place.is_dir() else digest.of_code(place)
            self.folders[str(place)] = code


def _names(name: str, value: Any) -> list[str]:
    found = (
        getattr(value, "__qualname__", None),
        getattr(value, "__name__", None),
        getattr(value, "_name", None),
        name,
    )
    return [str(one) for one in found if isinstance(one, str) and one.isidentifier()]


def _where(name: str, value: Any) -> str | None:
    """The module that has a value by its name: the public face where it is of that."""
    homes = (getattr(value, "__module__", None), getattr(type(value), "__module__", None))
    for home in (digest.NAME, *homes):
        if not isinstance(home, str) or home in ("__main__", "__mp_main__", "builtins"):
            continue
        if home == digest.NAME and not str(homes[0]).startswith(f"{digest.NAME}."):
            continue
        try:
            module = importlib.import_module(home)
        except ImportError:
            continue
        if any(getattr(module, one, None) is value for one in _names(name, value)):
            return home
    return None


def _is_plain(value: Any) -> bool:
    """Whether a value is what its text is: numbers, texts, and lists and dictionaries of them."""
    try:
        text = repr(value)
        return len(text) <= 10_000 and repr(ast.literal_eval(text)) == text
    except Exception:
        return False


def _used(source: str, title: str) -> set[str]:
    """The names that a piece of code takes from the module around it."""
    found: set[str] = set()
    waiting = [symtable.symtable(source, title, "exec")]
    while waiting:
        table = waiting.pop()
        waiting.extend(table.get_children())
        for symbol in table.get_symbols():
            top = table.get_type() == "module" and symbol.is_referenced() and not symbol.is_assigned()
            if top or (table.get_type() != "module" and symbol.is_global() and symbol.is_referenced()):
                found.add(symbol.get_name())
    return found


def _definition(value: type | FunctionType) -> tuple[str, bool]:
    """The source of a class or function as it was defined, and whether its annotations are kept as texts."""
    for code in _codes(value):
        lines = linecache.getlines(code.co_filename)
        if (found := _among("".join(lines), value, code.co_firstlineno)) is not None:
            return found, bool(code.co_flags & __future__.annotations.compiler_flag)
    for text in _texts():  # a class without a method has no line
        if (found := _among(text, value, None)) is not None:
            return found, "from __future__ import annotations" in text
    raise InputError(
        f"the source of {value.__name__} cannot be read: define it in a notebook's cell, or put it into a file and give "
        f"file.py:{value.__name__}"
    )


def _codes(value: type | FunctionType) -> Iterator[CodeType]:
    """The code of a function, or of the functions of a class that stand in its own source."""
    if isinstance(value, FunctionType):
        yield inspect.unwrap(value).__code__
        return
    for one in vars(value).values():
        inner = getattr(one, "__func__", getattr(one, "fget", one))
        if isinstance(inner, FunctionType) and inner.__module__ == value.__module__:
            yield inspect.unwrap(inner).__code__


def _texts() -> Iterable[str]:
    """The script that runs, or the cells of the notebook, newest first."""
    main = sys.modules["__main__"]
    if (file := file_of(main)) is not None:
        yield file.read_text(encoding="utf-8")
    shell = vars(main).get("get_ipython")
    for cell in reversed(vars(main).get("In") or []):
        yield shell().transform_cell(str(cell)) if callable(shell) else str(cell)


def _among(text: str, value: type | FunctionType, line: int | None) -> str | None:
    """The definition of that name (around that line) at the top of a text, with its decorators."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    kind: Any = ast.ClassDef if isinstance(value, type) else (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in reversed(tree.body):
        if isinstance(node, kind) and node.name == value.__name__:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            last = node.end_lineno or first
            if _has_what_it_says(node, value) if line is None else first <= line <= last:
                return "\n".join(text.splitlines()[first - 1 : last])
    return None


def _has_what_it_says(node: ast.ClassDef, value: type | FunctionType) -> bool:
    """Whether a class may be what a definition makes: it has all that stands in the body, and its annotations are those."""
    plain, noted = set[str](), set[str]()
    for one in node.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            plain.add(one.name)
        elif isinstance(one, ast.Assign):
            plain |= {target.id for target in one.targets if isinstance(target, ast.Name)}
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            noted.add(one.target.id)
    return plain <= set(vars(value)) and noted == set(vars(value).get("__annotations__", {}))
