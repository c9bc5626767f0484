"""What a dataset holds, as commands of `cxrbench data` print it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from ..console_tables import tell

if TYPE_CHECKING:
    from ..data.dataset import Dataset

_LISTED = 20  # so many left out files are printed


def summary_of(dataset: Dataset) -> dict[str, Any]:
    """What an import found; official splits are held against their rules on the way (InputError)."""
    from ..data import splits

    cases, ids = dataset.cases, dataset.ids
    columns = {column: _counts(cases[column]) for column in ("split", "fold") if column in cases}
    official = {}
    if splits.is_jsrt_like(ids):
        for column, split in splits.SCR_COLUMNS.items():
            official[split.name] = split.check(ids, list(cases[column]))
    if "split" in cases and splits.is_official_nih(ids, list(cases["split"])):
        official["nih_official"] = splits.split_digest(ids, list(cases["split"]))
    return {
        "name": dataset.info.name,
        "films": len(dataset),
        "resolution": dataset.resolution,
        "patients": int(cases["patient"].nunique()),
        "organs": list(dataset.organs),
        "findings": {finding: int(cases[finding].sum()) for finding in dataset.info.findings},
        "boxes": None if dataset.boxes is None else len(dataset.boxes),
        "pixel_mm": dataset.info.pixel_mm,
        "provenance": dataset.info.provenance,
        "remarks": list(dataset.info.remarks),
        **columns,
        "official_splits": official,
        "digest": dataset.digest,
        "folder": str(dataset.folder),
    }


def _counts(column: Any) -> dict[str, int]:
    return {str(part): int(count) for part, count in column.value_counts().sort_index().items()}


def print_summary(summary: dict[str, Any]) -> None:
    """The same, a line each."""
    size = f"{summary['resolution']} x {summary['resolution']} pixels"
    spacing = "" if summary["pixel_mm"] is None else f" of {summary['pixel_mm']:.3g} mm"
    lines = [("found", f"{summary['films']} films of {summary['patients']} patients, {size}{spacing}")]
    if summary["organs"]:
        lines.append(("organs", ", ".join(summary["organs"])))
    if summary["findings"]:
        lines.append(("findings", ", ".join(f"{name} {count}" for name, count in summary["findings"].items())))
    if summary["boxes"] is not None:
        lines.append(("boxes", str(summary["boxes"])))
    lines += [
        (column, ", ".join(f"{part} {count}" for part, count in summary[column].items()))
        for column in ("split", "fold")
        if column in summary
    ]
    lines += [(rule, f"split digest ok ({sha[:12]})") for rule, sha in summary["official_splits"].items()]
    if summary.get("converted"):
        lines.append(("converted", f"{summary['converted']} films that were not stored as grey"))
    lines += [("left out", place) for place in list(summary.get("skipped", {}).values())[:_LISTED]]
    if len(summary.get("skipped", {})) > _LISTED:
        lines.append(("left out", f"{len(summary['skipped'])} files in all (--json names every one)"))
    lines += [("note", remark) for remark in summary["remarks"]]
    if summary["provenance"]:
        lines.append(("about", summary["provenance"]))
    of_films = f"of the films as kept, at {summary['resolution']} pixels; a run's is of them at its task's resolution"
    lines += [("digest", f"{summary['digest']} ({of_films})"), ("in", summary["folder"])]
    for word, text in lines:
        tell(f"{word:<13} {text}")


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    typer.echo(json.dumps(value, indent=1))


def larger_presets(dataset: Dataset) -> list[str]:
    """A line for each task that these films suit, of which a preset needs more pixels than they were kept with."""
    from ..presets import SETTINGS
    from ..registry import TASKS, plugins

    lines = []
    for plugin in plugins(TASKS).values():
        offer, table = plugin.said(), plugin.written(SETTINGS) or {}
        if offer is None or not set(offer.annotations) <= {one.value for one in dataset.annotations}:
            continue
        sides: dict[str, int] = {}
        for key in ("resolution", "fit_resolution"):
            for preset, value in table.get(key, {}).items():
                if isinstance(value, int):
                    sides[preset] = max(value, sides.get(preset, 0))
        larger = {preset: side for preset, side in sides.items() if side > dataset.resolution}
        if larger:
            needed = ", ".join(f"{preset} {side}" for preset, side in larger.items())
            again = f"import again with --resolution {max(larger.values())} --force"
            lines.append(f"kept at {dataset.resolution} pixels; {plugin.name} needs more at preset {needed}: {again}")
    return lines
