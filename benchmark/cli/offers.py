"""`cxrbench plugins`: for who adds a provider or a task to a package: the entry points, the list and the settings, from the
classes; and docs/papers.md from the rows beside them."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console_tables import tell
from ..errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

PYPROJECT = "pyproject.toml"
PAPERS = Path("docs", "papers.md")


def plugins_(
    root: Annotated[Path, typer.Option(help="The folder with pyproject.toml.")] = Path(),
    package: Annotated[list[str] | None, typer.Option(help="Packages to look through; default: this one's.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write what differs; without it, exit status 1.")] = False,
) -> None:
    """Entry points, offers.json and settings.json of every provider and task that has a `name`, from the classes themselves;
    and docs/papers.md, where the folder has one, from the rows of the papers."""
    from ..papers import as_page, joined, papers_in
    from ..presets import SETTINGS
    from ..registry import OFFERS, PROVIDERS, TASKS

    own = __package__.partition(".")[0]
    found = [classes(name) for name in (package or [f"{own}.baselines", f"{own}.tasks"])]
    changed = []
    pyproject = root / PYPROJECT
    if not pyproject.is_file():
        raise InputError(f"{pyproject}: no such file; expected the folder of a package (--root)")
    text = before = pyproject.read_text(encoding="utf-8")
    for kind, group in (("provider", PROVIDERS), ("task", TASKS)):
        points = {name: one.where for names in found for name, one in names.items() if one.kind == kind}
        if points:
            text = with_points(text, group, points)
    if text != before:
        changed.append((pyproject, text))
    for name, one in zip(package or [f"{own}.baselines", f"{own}.tasks"], found, strict=True):
        folder = folder_of(name)
        for file, told_of in (
            (OFFERS, {key: told.offer for key, told in one.items()}),
            (SETTINGS, {key: told.settings for key, told in one.items()}),
        ):
            place, written = folder / file, as_text(told_of)
            if not place.is_file() or place.read_text(encoding="utf-8") != written:
                changed.append((place, written))
    page = root / PAPERS
    papers = joined(
        paper for name in (package or [f"{own}.baselines", f"{own}.tasks"]) for paper in papers_in(folder_of(name))
    )
    if page.is_file() and papers and page.read_text(encoding="utf-8") != as_page(papers):
        changed.append((page, as_page(papers)))
    for path, content in changed:
        if write:
            path.write_text(content, encoding="utf-8")
        tell(f"{path}: {'written' if write else 'differs from the classes'}")
    if changed and not write:
        raise InputError("entry points or offers are not those of the classes: cxrbench plugins --write")
    if changed:
        tell("install the package again (pip install -e .), then take a fingerprint of what is new:")
        tell("cxrbench regress --update --fingerprint provider:NAME --reason 'a new provider'")


@dataclass(frozen=True)
class Told:
    """What a class says: whether it is a provider or a task, its module:class, its line, its settings at every preset."""

    kind: str
    where: str
    offer: dict[str, Any]
    settings: dict[str, Any]


def folder_of(package: str) -> Path:
    """Where the modules of a package lie."""
    return Path(str(importlib.import_module(package).__file__)).parent


def classes(package: str) -> dict[str, Told]:
    """Every concrete class with a name of its own below a package, by name."""
    from ..contracts.provider import Provider
    from ..contracts.task import Task
    from ..presets import table_of

    found: dict[str, Told] = {}
    for module in _modules(package):
        for name, cls in vars(module).items():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__ or inspect.isabstract(cls):
                continue
            label = vars(cls).get("name", "")
            if not label or not issubclass(cls, (Provider, Task)):
                continue
            if label in found:
                raise InputError(
                    f"two classes have the name {label}: {found[label].where} and {module.__name__}:{name}"
                )
            where = f"{module.__name__}:{name}"
            if issubclass(cls, Provider):
                line = (cls.__doc__ or "").strip().split("\n")[0]
                offer = {"summary": line, "annotations": sorted(one.value for one in cls.produces)}
                found[label] = Told("provider", where, offer, table_of(cls))
            else:
                offer = {"summary": cls.summary, "annotations": [cls.needs.value]}
                found[label] = Told("task", where, offer, table_of(cls))
    return found


def _modules(package: str) -> list[ModuleType]:
    top = importlib.import_module(package)
    names = sorted(path.stem for path in Path(str(top.__file__)).parent.glob("*.py") if path.stem != "__init__")
    return [importlib.import_module(f"{package}.{name}") for name in names]


def as_text(told: dict[str, dict[str, Any]]) -> str:
    """The content of a file of what classes say."""
    return json.dumps(dict(sorted(told.items())), indent=1) + "\n"


def with_points(text: str, group: str, points: dict[str, str]) -> str:
    """pyproject.toml with the entry points of a group."""
    heading = f'[project.entry-points."{group}"]'
    lines = "\n".join(f'{name} = "{points[name]}"' for name in sorted(points))
    pattern = re.compile(re.escape(heading) + r"\n(?:[^\[\n][^\n]*\n)*")
    section = f"{heading}\n{lines}\n"
    if pattern.search(text):
        return pattern.sub(lambda _: section, text)
    return f"{text.rstrip()}\n\n{section}"
