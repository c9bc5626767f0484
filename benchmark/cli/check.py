"""`cxrbench check`: the conformance suite for a provider, in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ..console_tables import tell
from .options import Device, Json


def check(
    provider: Annotated[str, typer.Argument(help="A name, file.py:Class, folder:PATH or 'command:...'.")],
    preset: Annotated[str, typer.Option(help="Settings to check with.")] = "quick",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the provider.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check that a provider keeps the contract on 24 phantom films: shapes, ranges, annotations, seeds, save and load, time.

    The settings are those of the preset: shorten a long fit with --set.
    """
    from ..errors import InputError
    from ..runs.chains import run_job
    from ..runs.job import Check, Describe
    from ..runs.named_provider import named_provider
    from ..runs.request import resolve_device
    from ..runs.schedule import portable
    from ..settings import parse_pairs

    plugin = named_provider(provider)
    pairs = tuple(parse_pairs(set_ or []))
    asked = Describe(provider=portable(plugin), name=plugin.name, preset=preset, overrides=pairs)
    outcome = run_job(Check(asked=asked, device=resolve_device(device)), time_limit=3600)
    if outcome.error:
        raise InputError(outcome.error)
    if as_json:
        print(json.dumps(outcome.value, indent=1))
    else:
        for row in outcome.value:
            tell(f"{_state(row)}  {row['claim']}: {row['seen']}")
    if not all(row["holds"] for row in outcome.value):
        tell(f"error: {plugin.name} does not keep the provider contract", sys.stderr)
        raise SystemExit(1)


def _state(row: Mapping[str, Any]) -> str:
    return "FAILED" if not row["holds"] else "LOOK  " if row["odd"] else "ok    "
