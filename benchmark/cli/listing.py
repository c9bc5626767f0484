"""`cxrbench list`: providers, tasks, presets and datasets with one line each, without importing torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console_tables import tell
from ..errors import CxrbenchError, InputError, unknown
from .options import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..registry import Offer, Plugin

KINDS = ("providers", "tasks", "presets", "datasets", "tables")
PRESETS = {
    "quick": "two CPU cores, minutes, 64-pixel films",
    "standard": "one GPU, under an hour per provider, 256-pixel films",
    "paper": "the paper's own sizes and schedules",
}


def list_(
    kind: Annotated[
        str, typer.Argument(help="providers, tasks, presets, datasets or tables (of papers); default: all.")
    ] = "",
    name: Annotated[
        str, typer.Argument(help="With provider or task: one, its settings at every preset and how it reads its paper.")
    ] = "",
    as_json: Json = False,
) -> None:
    """What there is: providers, tasks, presets, datasets, tables of papers; what fits what.

    `provider NAME` and `task NAME`: all of one."""
    kind = f"{kind}s" if f"{kind}s" in KINDS else kind
    if kind and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if name:
        if kind not in ("providers", "tasks"):
            raise InputError(f"list {kind} {name}: only a provider or a task is shown by name")
        from . import details

        found_one = details.details_of(kind[:-1], name)
        if as_json:
            print(details.as_json(found_one))
        else:
            details.show(found_one)
        return
    makers = {"providers": _providers, "tasks": _tasks, "presets": _presets, "datasets": _datasets, "tables": _tables}
    found = {name: makers[name]() for name in ([kind] if kind else KINDS)}
    if as_json:
        print(json.dumps(found[kind] if kind else found, indent=1))
        return
    for name, rows in found.items():
        tell(name)
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            fits = f"  [{', '.join(row['fits'])}]" if row.get("fits") else ""
            tell(f"  {row['name']:<{width}}  {row['about']}{fits}", below=width + 4)
        if name == "tables":
            tell(
                "  cost: cxrbench init --table NAME, then cxrbench run FILE --dry-run, and --on h100 for another device"
            )
        tell()


def _providers() -> list[dict[str, Any]]:
    from ..registry import PROVIDERS, TASKS, plugins
    from .details import provider_offer, task_offer

    needs = {name: set(_offer(plugin, task_offer).annotations) for name, plugin in plugins(TASKS).items()}
    rows = []
    for name, plugin in plugins(PROVIDERS).items():
        offer = _offer(plugin, provider_offer)
        fits = [task for task, needed in needs.items() if needed and needed <= set(offer.annotations)]
        rows.append({"name": name, "about": offer.summary, "produces": list(offer.annotations), "fits": fits})
    return rows


def _tasks() -> list[dict[str, Any]]:
    from ..registry import TASKS, plugins
    from .details import task_offer

    offers = {name: _offer(plugin, task_offer) for name, plugin in plugins(TASKS).items()}
    return [{"name": name, "about": offer.summary, "needs": list(offer.annotations)} for name, offer in offers.items()]


def _offer(plugin: Plugin, ask: Callable[[Plugin], Offer]) -> Offer:
    """What a plugin offers. One that cannot be imported is listed with the reason: the others are usable without it."""
    from ..registry import Offer

    try:
        return ask(plugin)
    except CxrbenchError as error:
        return Offer(f"cannot be used: {error}", ())


def _presets() -> list[dict[str, Any]]:
    return [{"name": name, "about": about} for name, about in PRESETS.items()]


def _tables() -> list[dict[str, Any]]:
    from ..papers import paper_tables

    rows = []
    for paper, one in paper_tables():
        short = paper.title.partition(":")[0]
        fits, cells = one.trainings()
        rows.append(
            {
                "name": one.name,
                "about": f"{short}, {one.shows}: {one.about}; {one.how()}",
                "fits_of_generators": fits,
                "trainings": cells,
                "command": one.command or f"cxrbench init --table {one.name}",
            }
        )
    return rows


def _datasets() -> list[dict[str, Any]]:
    from ..data.catalogue import list_datasets

    return [{"name": entry.name, "about": entry.about} for entry in list_datasets()]
