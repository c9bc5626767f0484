"""Names to classes, nothing imported until it is used.

Providers, tasks and commands are found through entry points (groups `cxrbench.providers`, `cxrbench.tasks` and
`cxrbench.commands`), so a third party's provider and a baseline are the same thing; a provider may also be a path
(`file.py:Class`), a folder of films (`folder:path`), a program (`command:...`) or a model on disk (`onnx:file`, ...).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import json
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from . import digest
from .errors import CxrbenchError, InputError, unknown

PROVIDERS = "cxrbench.providers"
TASKS = "cxrbench.tasks"
COMMANDS = "cxrbench.commands"


@dataclass(frozen=True)
class Scheme:
    """What stands before the colon of a provider that is no class: its class, and what the argument names ("dir", "file",
    or "" for a text)."""

    module: str
    attribute: str
    kind: str


_SCHEMES = {
    "folder": Scheme("external", "FolderProvider", "dir"),
    "command": Scheme("external", "CommandProvider", ""),
    "diffusers": Scheme("model_folders", "DiffusersProvider", "dir"),
    "monai": Scheme("model_folders", "BundleProvider", "dir"),
    "onnx": Scheme("model_files", "OnnxProvider", "file"),
    "torchscript": Scheme("model_files", "TorchScriptProvider", "file"),
}


OFFERS = "offers.json"
"""Beside the modules of a package's plugins: what each offers, so that they can be listed without importing them."""


@dataclass(frozen=True)
class Offer:
    """One line about a plugin, and the annotations that a provider makes or a task needs."""

    summary: str
    annotations: tuple[str, ...]


@dataclass(frozen=True)
class Plugin:
    """A provider or task by name: where its class is, and the text it was asked for by."""

    name: str
    spec: str
    module: str
    attribute: str
    file: Path | None = None
    """The source file of a plugin given by path; None for one that is installed."""
    argument: str = ""
    """What follows the colon of `folder:`, `command:` and the like."""

    @property
    def kind(self) -> str:
        """What the argument names: "dir", "file", or "" for a text or where there is none."""
        scheme = _SCHEMES.get(self.spec.partition(":")[0])
        return scheme.kind if self.argument and scheme is not None else ""

    def source(self) -> Path:
        """The file that defines the class."""
        if self.file is not None:
            return self.file
        origin = _origin(self.module)
        if origin is None:
            raise InputError(f"'{self.name}' names the module {self.module}, which cannot be found; is it installed?")
        return origin

    def code_digest(self) -> str:
        """sha256 over the source that defines the class, all it imports of its project, and its argument's content."""
        parts = [self.attribute, digest.of_code(self.source())]
        if self.argument:
            one_file = self.kind == "file"
            parts.append(digest.of_file(Path(self.argument)) if one_file else _argument_digest(self.argument))
        return digest.of_json(parts)

    def said(self) -> Offer | None:
        """What `cxrbench plugins` wrote of the class beside its module; None where nothing is written."""
        found = self.written(OFFERS)
        try:
            return Offer(str(found["summary"]), tuple(map(str, found["annotations"])))
        except (KeyError, TypeError):
            return None

    def written(self, name: str) -> Any:
        """What `cxrbench plugins` wrote of it into the file `name` beside its module; None where nothing is written."""
        if self.file is not None or self.argument:
            return None
        try:
            return json.loads(self.source().with_name(name).read_bytes())[self.name]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def load(self) -> type[Any]:
        """Import the class. InputError when the module or class is not there or cannot be imported."""
        try:
            module = _module_of_file(self.file) if self.file is not None else importlib.import_module(self.module)
            if not self.attribute or not hasattr(module, self.attribute):
                raise InputError(
                    f"{self.source()} has no class '{self.attribute}'{_classes_there(module, self.attribute)}"
                )
            return getattr(module, self.attribute)
        except CxrbenchError:
            raise
        except Exception as error:
            raise InputError(f"cannot import {self.spec}: {type(error).__name__}: {error}") from error

    def make(self, settings: Any = None, **options: Any) -> Any:
        """An instance with the given settings."""
        cls = self.load()
        return cls(self.argument, settings, **options) if self.argument else cls(settings, **options)


def _classes_there(module: Any, name: str) -> str:
    """What to say of the classes of a module that lacks the one of this name: the nearest, else all of its own."""
    here = [one for one, it in vars(module).items() if isinstance(it, type) and it.__module__ == module.__name__]
    own = {one.casefold(): one for one in sorted(here) if not one.startswith("_")}
    if not own:
        return ", nor any other"
    if near := difflib.get_close_matches(name.casefold(), own, n=1):
        return f"; did you mean {own[near[0]]}?"
    return f"; it has {', '.join(own.values())}"


def _origin(module: str) -> Path | None:
    """The source file of a module, without importing it or its parents; None where there is none."""
    first, *rest = module.split(".")
    try:
        found = importlib.util.find_spec(first)  # imports nothing
        for part in rest:
            places = None if found is None else found.submodule_search_locations
            found = None if places is None else importlib.machinery.PathFinder.find_spec(part, list(places))
    except (ImportError, ValueError):
        return None
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return None
    return Path(found.origin)


def _argument_digest(argument: str) -> str:
    """Content of a folder, or the text of a command and of the files it names."""
    if _is("dir", argument):
        return digest.of_folder(Path(argument))
    try:
        words = shlex.split(argument)
    except ValueError as error:
        raise InputError(f"command '{argument}': {error}") from None
    return digest.of_json([argument, *(digest.of_file(Path(word)) for word in words if _is("file", word))])


def _is(kind: str, text: str) -> bool:
    """Whether a text names a file or folder; a long text is no name."""
    try:
        return Path(text).is_dir() if kind == "dir" else Path(text).is_file()
    except (OSError, ValueError):
        return False


def _none_there(kind: str, text: str) -> str:
    """What is wrong with the path of a folder or file that is none, with the nearest that there is."""
    path = Path(text)
    if _is("file", text) or _is("dir", text):
        return f"{text} is not a {'folder' if kind == 'dir' else kind}"
    try:
        there = [one.name for one in path.parent.iterdir() if _is(kind, str(one))]
    except OSError:
        there = []
    near = difflib.get_close_matches(path.name, there, n=1)
    return f"{text} does not exist{f'; did you mean {path.with_name(near[0])}?' if near else ''}"


def _resolved(kind: str, path: str) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise InputError(f"{kind} '{path}': {error}") from None


@cache
def _module_of_file(file: Path) -> Any:
    """The module of a file given by path. Files beside it can be imported as plain or as relative modules."""
    if not file.stem.isidentifier():
        raise InputError(f"{file.name} cannot be imported: name the file like a Python module (letters, digits, '_')")
    package = f"cxrbench_by_path_{digest.of_json(str(file.parent))[:12]}"
    if package not in sys.modules:
        spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(file.parent)]
        sys.modules[package] = importlib.util.module_from_spec(spec)
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    return importlib.import_module(f"{package}.{file.stem}")


@cache
def plugins(group: str) -> dict[str, Plugin]:
    """All installed plugins of a group, by name."""
    found = {}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name):
        module, _, attribute = point.value.partition(":")
        found[point.name] = Plugin(point.name, point.name, module, attribute)
    if not found:
        raise InputError(f"no plugin of group {group} is installed: install cxrbench with pip instead of copying it")
    return found


def find_task(spec: str) -> Plugin:
    """A task by name or `file.py:Class`; InputError names the nearest known ones."""
    return _by_path("task", spec) or _by_name("task", spec, TASKS)


def _by_name(kind: str, name: str, group: str) -> Plugin:
    known = plugins(group)
    if name not in known:
        raise unknown(kind, name, known, f"cxrbench list {kind}s")
    return known[name]


def _by_path(kind: str, spec: str) -> Plugin | None:
    """The plugin of `path/to/file.py:Class`; None when the text is not of that form."""
    path, _, attribute = spec.rpartition(":")
    if not (spec.endswith(".py") or path.endswith(".py")):
        return None
    file = _resolved(kind, path or spec)
    if not path or not attribute:
        raise InputError(f"{kind} '{spec}': expected path/to/file.py:Class")
    if not _is("file", str(file)):
        raise InputError(f"{kind} '{spec}': there is no file {path}")
    return Plugin(attribute, spec, "", attribute, file=file)


def find_provider(spec: str) -> Plugin:
    """A provider by name, `file.py:Class`, `folder:path`, `command:...` or a model (`onnx:file`, `torchscript:file`,
    `diffusers:path`, `monai:path`); InputError says what was expected."""
    name, _, rest = spec.partition(":")
    scheme = _SCHEMES.get(name)
    if scheme is not None:
        if not rest.strip():
            raise InputError(f"provider '{spec}': expected something after '{name}:'")
        argument = str(_resolved("provider", rest)) if scheme.kind else rest
        if scheme.kind and not _is(scheme.kind, argument):
            raise InputError(f"provider '{spec}': {_none_there(scheme.kind, rest)}")
        label = Path(rest.split()[-1]).stem if not scheme.kind else Path(argument).name
        label = Path(label).stem if scheme.kind == "file" else label
        return Plugin(label, spec, f"{__package__}.contracts.{scheme.module}", scheme.attribute, argument=argument)
    return _by_path("provider", spec) or _by_name("provider", spec, PROVIDERS)
