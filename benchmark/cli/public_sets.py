"""`cxrbench data import NAME SOURCE` for every public set of `data.importers.public.sets`, with the same options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..data.importers.public.sets import SETS, PublicSet
from .options import AllowPartial, DrawnFold, DrawnSplit, DrawSeed, Force, Json, Resolution

if TYPE_CHECKING:
    from ..data.dataset import Dataset

Keep = Callable[..., None]
"""Keeps a dataset and prints what was found: (dataset, force=, as_json=)."""


def add_public_sets(app: typer.Typer, keep: Keep, pairs: Callable[[str, str], dict[str, str]]) -> None:
    """A command a set; pairs: reads "a=b,c=d" of an option."""
    for chosen in SETS:
        app.command(chosen.name, help=f"{chosen.title}, as downloaded from {chosen.where}.")(
            _command(chosen, keep, pairs)
        )


def _command(chosen: PublicSet, keep: Keep, pairs: Callable[[str, str], dict[str, str]]) -> Callable[..., None]:
    def command(
        source: Annotated[Path, typer.Argument(help="The folder as downloaded: tables and films.")],
        resolution: Resolution = 256,
        name: Annotated[str, typer.Option(help="Name of the dataset.")] = chosen.name.replace("-", "_"),
        views: Annotated[str, typer.Option(help="frontal (PA and AP alone) or all.")] = "frontal",
        findings: Annotated[str, typer.Option(help="Findings to keep: Edema,Pleural Effusion; default: all.")] = "",
        uncertain: Annotated[
            str | None,
            typer.Option(help="CheXpert, MIMIC: -1 counts as zeros, ones, or ignore (film left out); blank is 0."),
        ] = None,
        labels: Annotated[str | None, typer.Option(help="MIMIC: which labels, chexpert or negbio.")] = None,
        readers: Annotated[
            str, typer.Option(help="VinDr: how readers are joined, by majority, any or all.")
        ] = "majority",
        masks: Annotated[
            bool, typer.Option("--masks/--no-masks", help="Montgomery, Shenzhen: read the lung masks.")
        ] = True,
        split: DrawnSplit = None,
        fold: DrawnFold = None,
        split_values: Annotated[str, typer.Option(help="What words of the official split mean: val=test.")] = "",
        seed: DrawSeed = 0,
        allow_partial: AllowPartial = False,
        force: Force = False,
        as_json: Json = False,
    ) -> None:
        from ..data.importers.public.listing import PublicOptions

        options = PublicOptions(
            uncertain=uncertain,
            views=views,
            findings=[word.strip() for word in findings.split(",") if word.strip()],
            labels=labels,
            readers=readers,
            masks=masks,
            split=split,
            fold=fold,
            split_values=pairs(split_values, "--split-values"),
            seed=seed,
            allow_partial=allow_partial,
        )
        _import(
            chosen,
            source,
            resolution,
            name,
            options,
            lambda dataset: keep(dataset, force=force, as_json=as_json),
            force,
        )

    return command


def _import(
    chosen: PublicSet,
    source: Path,
    resolution: int,
    name: str,
    options: Any,
    keep: Callable[[Dataset], None],
    force: bool,
) -> None:
    from ..data.catalogue import check_free
    from ..data.importers.public.core import import_public
    from .progress_bar import shown_progress

    check_free(name, force=force)
    with (
        shown_progress(f"import {chosen.name}") as progress,
        import_public(chosen, source, resolution, name=name, options=options, progress=progress) as dataset,
    ):
        keep(dataset)
