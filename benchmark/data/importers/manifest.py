"""Any set of films described by a csv: films, masks, findings and boxes to one Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from ...progress import Progress
from ..dataset import Dataset, DatasetInfo
from ..organs import organ_name
from ..parts import films_in_words
from ..reading.films import Square, read_film
from ..reading.mask_kinds import Declared
from ..reading.masks import MaskReader
from ..reading.sets import Films, FittedFilm, fitted_film, read_films, refuse_dark_depths
from ..same_pixels import same_pixels
from .manifest_boxes import box_findings, boxes_said, fitted_boxes, read_boxes
from .manifest_options import ManifestOptions
from .manifest_table import Manifest, read_manifest


def import_manifest(
    csv: Path,
    resolution: int = 256,
    *,
    name: str | None = None,
    options: ManifestOptions | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The films of a csv, or of a folder (`manifest_folder`), padded with black to a square, at `resolution` pixels (area
    mean; masks where half covered).

    Boxes are moved and scaled with the films. `pixel_mm` is set where every file gives the same. InputError,
    and nothing imported, where anything is missing or not as described.
    """
    options = options or ManifestOptions()
    if not 16 <= resolution <= 4096:
        raise InputError(f"manifest: the resolution must be 16 to 4096 pixels, found {resolution}")
    manifest = read_manifest(csv, options)
    reader = _mask_reader(manifest, options)
    ids = [row.id for row in manifest.rows]
    boxes = None
    if options.boxes is not None:
        boxes = read_boxes(options.boxes, ids, options.box_columns, manifest.left_out)
    films = _read_films(manifest, reader, resolution, options.white, progress or Progress())
    while not reader.settled():
        films = _read_films(manifest, reader, resolution, options.white, progress or Progress())
    kept, left_out = _frontal(manifest, films)
    films = films if not left_out else films.select(kept)
    rows = [manifest.rows[number] for number in kept]
    if options.white is None:
        refuse_dark_depths(films, [row.film for row in rows], _say_white)
    cases = pd.DataFrame([dict(row.values) for row in rows])
    findings = manifest.findings
    if boxes is not None:
        findings = box_findings(boxes, findings, cases)
    table = None if boxes is None else fitted_boxes(boxes, dict(zip(cases["id"], films.squares, strict=True)))
    turned = [one for one, is_turned in zip(cases["id"], films.turned, strict=True) if is_turned]
    info = DatasetInfo(
        name=name or name_of(csv),
        resolution=resolution,
        organs=reader.organs,
        findings=findings,
        pixel_mm=common_pixel_mm(films.squares, [spacing or options.pixel_mm for spacing in films.spacings]),
        provenance=f"imported from {csv.name}",
        remarks=(
            *manifest.remarks,
            *left_out,
            *(() if boxes is None else boxes.remarks),
            *(() if table is None else boxes_said(table, cases, turned)),
            *films.said([row.film for row in rows]),
            *reader.said(),
            *same_pixels(films.images, cases),
            *manifest.unsplit,
        ),
    )
    return Dataset(info=info, images=films.images, masks=films.masks, cases=cases, boxes=table)


def name_of(csv: Path) -> str:
    """What a set is called where nobody says it: its folder's name."""
    place = csv.resolve()
    return place.name if place.is_dir() else place.parent.name


def _read_films(
    manifest: Manifest, masks: MaskReader, resolution: int, white: float | None, progress: Progress
) -> Films:
    """Every film of a manifest with its masks."""
    rows = manifest.rows

    def decode(number: int) -> FittedFilm:
        film = read_film(rows[number].film, white)
        if film.frontal is False and manifest.views != "any":
            if manifest.views is None:
                raise InputError(
                    f"manifest: {rows[number].film} is not frontal by its DICOM header; --only view=frontal leaves such "
                    "films out, --only view=any keeps them"
                )
            return fitted_film(replace(film, remarks=()), number, None, resolution)
        return fitted_film(film, number, masks if manifest.organs else None, resolution)

    return read_films(decode, len(rows), resolution, progress, with_masks=bool(manifest.organs))


def _frontal(manifest: Manifest, films: Films) -> tuple[list[int], list[str]]:
    """The numbers of the films to keep, and what to say of those that their own headers call lateral."""
    out = [] if manifest.views == "any" else [row for row, frontal in enumerate(films.frontal) if frontal is False]
    kept = sorted(set(range(len(manifest.rows))) - set(out))
    if not kept:
        raise InputError("manifest: no film is frontal by its DICOM header; --only view=any keeps the others")
    first = f" (the first: {manifest.rows[out[0]].film})" if out else ""
    return kept, [f"{films_in_words(len(out))} not frontal by the DICOM header left out{first}"] if out else []


def _mask_reader(manifest: Manifest, options: ManifestOptions) -> MaskReader:
    """The reader of the masks, in the order of the rows, for organs in their usual spelling; what the files hold may be
    said by the options."""
    named = {organ: organ_name(organ) for organ in (*manifest.organs, *options.organs)}
    organs = tuple(named[organ] for organ in manifest.organs)
    if len(set(organs)) < len(organs):
        raise InputError(f"manifest: masks of {', '.join(manifest.organs)}: two of them are one organ")
    declared = None
    if options.organs:
        values = {named[organ]: value for organ, value in options.organs.items()}
        declared = Declared(options.mask_values, values, options.ignored)
    files = [{named.get(organ, organ): file for organ, file in row.masks.items()} for row in manifest.rows]
    return MaskReader(files, organs, _ways, declared)


def _say_white(white: float) -> str:
    return (
        f"say --white {white:g}, which is that of files of more than 8 bits alone (65535: they are as they should be)"
    )


def _ways(text: str) -> str:
    """How a person says what masks hold."""
    if text.startswith("ignore="):
        return f"name it in --masks, or there as {text} (in --organs, or in --ignore {text.removeprefix('ignore=')})"
    return f"--masks {text}"


def common_pixel_mm(squares: Sequence[Square], spacings: Sequence[float | None]) -> float | None:
    """Side of a pixel of a dataset in mm, where it is known and the same (to 0.1 %) for every film."""
    sides = [
        spacing * square.side / square.resolution
        for square, spacing in zip(squares, spacings, strict=True)
        if spacing is not None
    ]
    if len(sides) < len(squares) or max(sides) - min(sides) > 1e-3 * max(sides):
        return None
    return float(np.median(sides))
