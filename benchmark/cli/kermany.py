"""`cxrbench data import kermany-lungs`: the real films of our boards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .options import Force, Json, Resolution


def add_kermany(app: typer.Typer, keep: Callable[..., None]) -> None:
    """The command; keep: keeps a dataset and prints what was found, (dataset, force=, as_json=)."""

    @app.command("kermany-lungs")
    def import_kermany(
        source: Annotated[Path, typer.Argument(help="Folder with metadata.csv, images/ and masks/.")],
        resolution: Resolution = 256,
        name: Annotated[str, typer.Option(help="Name of the dataset.")] = "kermany_lungs",
        force: Force = False,
        as_json: Json = False,
    ) -> None:
        """247 real paediatric films with lung masks (CC BY 4.0), split like JSRT."""
        from ..data.catalogue import check_free
        from ..data.importers.kermany import import_kermany as read
        from .progress_bar import shown_progress

        check_free(name, force=force)
        with shown_progress("import kermany-lungs") as progress:
            dataset = read(source, resolution, name=name, progress=progress)
        keep(dataset, force=force, as_json=as_json)
