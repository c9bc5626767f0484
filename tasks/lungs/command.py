"""`cxrbench lungs`: fit the lung region generator, and measure it in five folds, as the fusion paper does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ...benchmark.cli.options import Device, Preset

app = typer.Typer(no_args_is_help=True, help="The lung region generator: fit, evaluate.")

Data = Annotated[str, typer.Option(help="A dataset with lung masks: a name of the catalogue, or a folder.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value of the generator's settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")]


@app.command()
def fit(
    data: Data = "phantom", preset: Preset = "quick", set_: Set = None, device: Device = "auto", as_json: Json = False
) -> None:
    """Fit the generator and keep it; one that is kept already is shown."""
    from .regions import lung_region_generator

    _print(_made(lung_region_generator, data, preset, set_, device), as_json=as_json)


@app.command()
def evaluate(
    data: Data = "phantom", preset: Preset = "quick", set_: Set = None, device: Device = "auto", as_json: Json = False
) -> None:
    """Measure Dice and IoU in five folds of patients, and keep them in the generator's record."""
    from .cross_validation import evaluated

    _print(_made(evaluated, data, preset, set_, device), as_json=as_json)


def _made(make: Callable[..., Any], data: str, preset: str, pairs: list[str] | None, device: str) -> Any:
    """What `make(settings, data, device, progress)` makes."""
    from ...benchmark.cli.progress_bar import shown_progress
    from ...benchmark.errors import unknown
    from ...benchmark.runs.request import resolve_device
    from ...benchmark.settings import override, parse_pairs
    from .regions import PRESETS

    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    settings = override(PRESETS[preset], parse_pairs(pairs or []), "the lung region generator")
    with shown_progress("lungs") as progress:
        return make(settings, data, resolve_device(device), progress)


def _print(made: Any, *, as_json: bool) -> None:
    record = made.record
    if as_json:
        print(json.dumps({**record.model_dump(mode="json", by_alias=True), "folder": str(made.folder)}, indent=1))
        return
    lines = [
        ("trained on", f"{record.films} films of {record.data.name}, {record.held_out_films} chose the best network"),
        ("network", f"{record.parameters:,} parameters, {record.settings['resolution']} pixels"),
        ("held-out loss", f"{record.held_out_loss:.4f} after {record.seconds:.0f} s on {record.device}"),
    ]
    measured = record.cross_validation
    if measured is not None:
        lines += [
            (f"{measured.folds} folds", f"{measured.films} films, each tested once, in {measured.seconds:.0f} s"),
            ("Dice", f"{measured.dice.mean:.4f} ± {measured.dice.stddev:.4f} (mean and stddev over films)"),
            ("IoU", f"{measured.iou.mean:.4f} ± {measured.iou.stddev:.4f}"),
        ]
    lines += [("weights", f"sha256 {record.weights_sha256[:12]}"), ("in", str(made.folder))]
    for word, text in lines:
        print(f"{word:<14} {text}")
