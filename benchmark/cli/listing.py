"""`cxrbench list`: providers, tasks, presets and datasets with one line each, without importing torch."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ..errors import unknown
from .options import Json

KINDS = ("providers", "tasks", "presets", "datasets")
PRESETS = {
    "quick": "two CPU cores, minutes, 64-pixel films",
    "standard": "one GPU, under an hour per provider, 256-pixel films",
    "paper": "the paper's own sizes and schedules",
}


def list_(
    kind: Annotated[str, typer.Argument(help="providers, tasks, presets or datasets; all without it.")] = "",
    as_json: Json = False,
) -> None:
    """What there is: providers, tasks, presets, datasets; what fits what."""
    if kind and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    makers = {"providers": _providers, "tasks": _tasks, "presets": _presets, "datasets": _datasets}
    found = {name: makers[name]() for name in ([kind] if kind else KINDS)}
    if as_json:
        print(json.dumps(found[kind] if kind else found, indent=1))
        return
    for name, rows in found.items():
        print(name)
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            fits = f"  [{', '.join(row['fits'])}]" if row.get("fits") else ""
            print(f"  {row['name']:<{width}}  {row['about']}{fits}")
        print()


def _providers() -> list[dict[str, Any]]:
    from ..registry import PROVIDERS, TASKS, describe, plugins

    tasks = {name: describe(plugin).values for name, plugin in plugins(TASKS).items()}
    rows = []
    for name, plugin in plugins(PROVIDERS).items():
        said = describe(plugin)
        produces = said.values.get("produces") or []
        fits = [task for task, values in tasks.items() if set(values.get("needs") or []) <= set(produces)]
        rows.append({"name": name, "about": said.line, "produces": produces, "fits": fits})
    return rows


def _tasks() -> list[dict[str, Any]]:
    from ..registry import TASKS, describe, plugins

    rows = []
    for name, plugin in plugins(TASKS).items():
        said = describe(plugin)
        rows.append({"name": name, "about": said.values.get("summary") or said.line, "needs": said.values["needs"]})
    return rows


def _presets() -> list[dict[str, Any]]:
    return [{"name": name, "about": about} for name, about in PRESETS.items()]


def _datasets() -> list[dict[str, Any]]:
    from ..data.catalogue import list_datasets

    return [{"name": entry.name, "about": entry.about} for entry in list_datasets()]
