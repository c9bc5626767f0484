"""`cxrbench plugins`: for who adds a provider or a task to a package: the entry points and the list, from the classes."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

PYPROJECT = "pyproject.toml"


def plugins_(
    root: Annotated[Path, typer.Option(help="The folder with pyproject.toml.")] = Path(),
    package: Annotated[list[str] | None, typer.Option(help="Packages to look through; default: this one's.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write what differs; without it, exit status 1.")] = False,
) -> None:
    """Entry points and offers.json of every provider and task that has a `name`, from the classes themselves."""
    from ..registry import PROVIDERS, TASKS

    own = __package__.partition(".")[0]
    found = [classes(name) for name in (package or [f"{own}.baselines", f"{own}.tasks"])]
    changed = []
    pyproject = root / PYPROJECT
    if not pyproject.is_file():
        raise InputError(f"{pyproject}: no such file; expected the folder of a package (--root)")
    text = before = pyproject.read_text(encoding="utf-8")
    for kind, group in (("provider", PROVIDERS), ("task", TASKS)):
        points = {name: where for one in found for name, (what, where, _) in one.items() if what == kind}
        if points:
            text = with_points(text, group, points)
    if text != before:
        changed.append((pyproject, text))
    for name, one in zip(package or [f"{own}.baselines", f"{own}.tasks"], found, strict=True):
        folder = Path(str(importlib.import_module(name).__file__)).parent
        offers = offers_text({key: offer for key, (_, _, offer) in one.items()})
        place = folder / "offers.json"
        if not place.is_file() or place.read_text(encoding="utf-8") != offers:
            changed.append((place, offers))
    for path, content in changed:
        if write:
            path.write_text(content, encoding="utf-8")
        print(f"{path}: {'written' if write else 'differs from the classes'}")
    if changed and not write:
        raise InputError("entry points or offers are not those of the classes: cxrbench plugins --write")
    if changed:
        print("install the package again (pip install -e .), then take a fingerprint of what is new:")
        print("cxrbench regress --update --fingerprint provider:NAME --reason 'a new provider'")


def classes(package: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """(provider or task, module:class, offer) of every concrete class with a name of its own below a package, by name."""
    from ..contracts.provider import Provider
    from ..contracts.task import Task

    found: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for module in _modules(package):
        for name, cls in vars(module).items():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or inspect.isabstract(cls):
                continue
            label = vars(cls).get("name", "")
            if not label or not issubclass(cls, (Provider, Task)):
                continue
            if label in found:
                raise InputError(f"two classes have the name {label}: {found[label][1]} and {module.__name__}:{name}")
            where = f"{module.__name__}:{name}"
            if issubclass(cls, Provider):
                line = (cls.__doc__ or "").strip().split("\n")[0]
                offer = {"summary": line, "annotations": sorted(one.value for one in cls.produces)}
                found[label] = ("provider", where, offer)
            else:
                found[label] = ("task", where, {"summary": cls.summary, "annotations": [cls.needs.value]})
    return found


def _modules(package: str) -> list[ModuleType]:
    top = importlib.import_module(package)
    names = sorted(path.stem for path in Path(str(top.__file__)).parent.glob("*.py") if path.stem != "__init__")
    return [importlib.import_module(f"{package}.{name}") for name in names]


def offers_text(offers: dict[str, dict[str, Any]]) -> str:
    """The content of offers.json."""
    return json.dumps(dict(sorted(offers.items())), indent=1) + "\n"


def with_points(text: str, group: str, points: dict[str, str]) -> str:
    """pyproject.toml with the entry points of a group."""
    heading = f'[project.entry-points."{group}"]'
    lines = "\n".join(f'{name} = "{points[name]}"' for name in sorted(points))
    pattern = re.compile(re.escape(heading) + r"\n(?:[^\[\n][^\n]*\n)*")
    section = f"{heading}\n{lines}\n"
    if pattern.search(text):
        return pattern.sub(lambda _: section, text)
    return f"{text.rstrip()}\n\n{section}"
