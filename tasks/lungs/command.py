"""`cxrbench lungs`: fit the lung region generator, and measure it in five folds, as the fusion paper does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ...benchmark.cli.options import Device, Preset

app = typer.Typer(no_args_is_help=True, help="The lung region generator: fit, evaluate, look.")

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


@app.command()
def look(
    data: Annotated[str, typer.Option(help="The films to look at: a name of the catalogue, or a folder.")],
    lung_data: Annotated[
        str,
        typer.Option(help="Films with lung masks that the generator learns from; default: real ones for real films."),
    ] = "",
    preset: Preset = "quick",
    set_: Set = None,
    films: Annotated[int, typer.Option(help="How many films, drawn at random; 0: all.")] = 0,
    shown: Annotated[int, typer.Option(help="Films on each of the two pages.")] = 12,
    out: Annotated[Path | None, typer.Option(help="Folder for the pages; default: lungs-<dataset>.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """How often are exactly two plausible lungs found? With pages of films, masks and boxes (the fusion paper's figures 6
    and 7; it counts 95.84 %)."""
    from ...benchmark.cli.progress_bar import shown_progress
    from ...benchmark.data.catalogue import find_dataset
    from .films import lung_data_for
    from .look import look_at, words_of, write_pages
    from .regions import lung_region_generator

    found = find_dataset(data)
    name = lung_data or lung_data_for(phantom=found.info.phantom)
    generator = _made(lung_region_generator, name, preset, set_, device)
    with shown_progress("looking at films") as progress:
        looked = look_at(generator.regions, found, count=films, progress=progress)
    folder = out or Path(f"lungs-{found.info.name}")
    write_pages(folder, looked, generator, found, shown=shown)
    if as_json:
        print(
            json.dumps(
                {**looked.counts(), "films": len(looked.ids), "lung_data": name, "folder": str(folder)}, indent=1
            )
        )
        return
    print("\n".join(words_of(looked, generator.record, found)))
    print(f"pages in {folder}: two_regions.png, other_regions.png, regions.csv")


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
