"""Any set of films described by a csv: films, masks, findings and boxes to one Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError, unknown
from ...progress import Progress
from ..dataset import Dataset, DatasetInfo
from ..reading.films import Square, read_film
from ..reading.mask_kinds import Declared
from ..reading.masks import MaskReader
from ..reading.sets import Films, FittedFilm, fitted_film, read_films
from .manifest_table import Manifest, ManifestOptions, Row, read_manifest, read_table

_BOX_SLACK = 1.0  # a box may reach this many pixels over the edge (rounding); it is cut there


@dataclass(frozen=True)
class _Box:
    """A line of the csv of boxes, in pixels of the original film."""

    line: int
    finding: str
    x: float
    y: float
    w: float
    h: float


def import_manifest(
    csv: Path,
    resolution: int = 256,
    *,
    name: str | None = None,
    options: ManifestOptions | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The films of a csv, padded with black to a square, at `resolution` pixels (area mean; masks where half
    covered).

    Boxes are moved and scaled with the films. `pixel_mm` is set where every file gives the same. InputError,
    and nothing imported, where anything is missing or not as described.
    """
    options = options or ManifestOptions()
    if not 16 <= resolution <= 4096:
        raise InputError(f"manifest: the resolution must be 16 to 4096 pixels, found {resolution}")
    manifest = read_manifest(csv, options)
    reader = _mask_reader(manifest.rows, manifest.organs, options)
    boxes = None if options.boxes is None else _read_boxes(options.boxes, [row.id for row in manifest.rows])
    films = _read_films(manifest, reader, resolution, options.white, progress or Progress())
    while not reader.settled():
        films = _read_films(manifest, reader, resolution, options.white, progress or Progress())
    cases = pd.DataFrame([dict(row.values) for row in manifest.rows])
    findings = manifest.findings
    if boxes is not None:
        findings = _box_findings(boxes, findings, cases)
    info = DatasetInfo(
        name=name or csv.resolve().parent.name,
        resolution=resolution,
        organs=manifest.organs,
        findings=findings,
        pixel_mm=_pixel_mm(films.squares, [spacing or options.pixel_mm for spacing in films.spacings]),
        provenance=f"imported from {csv.name}",
        remarks=(*films.said([row.film for row in manifest.rows]), *reader.said()),
    )
    table = None if boxes is None else _fitted_boxes(boxes, dict(zip(cases["id"], films.squares, strict=True)))
    return Dataset(info=info, images=films.images, masks=films.masks, cases=cases, boxes=table)


def _read_films(
    manifest: Manifest, masks: MaskReader, resolution: int, white: float | None, progress: Progress
) -> Films:
    """Every film of a manifest with its masks."""
    rows = manifest.rows

    def decode(number: int) -> FittedFilm:
        film = read_film(rows[number].film, white)
        return fitted_film(film, number, masks if manifest.organs else None, resolution)

    return read_films(decode, len(rows), resolution, progress, with_masks=bool(manifest.organs))


def _mask_reader(rows: Sequence[Row], organs: Sequence[str], options: ManifestOptions) -> MaskReader:
    """The reader of the masks, in the order of the rows; what shared masks hold is said by the options."""
    declared = Declared(options.mask_values, options.organs, options.ignored) if options.organs else None
    return MaskReader([row.masks for row in rows], organs, _ways, declared)


def _ways(text: str) -> str:
    """How a person says what masks hold."""
    if text.startswith("ignore="):
        return f"name it in --masks, or there as {text} (in --organs, or in --ignore {text.removeprefix('ignore=')})"
    return f"--masks {text}"


def _read_boxes(path: Path, ids: Sequence[str]) -> dict[str, list[_Box]]:
    """Boxes by id, in pixels of the original films."""
    rows = read_table(path)
    known = set(ids)
    boxes: dict[str, list[_Box]] = {}
    for name in ("id", "finding", "x", "y", "w", "h"):
        if name not in rows[0]:
            raise InputError(f"manifest: {path} needs the columns id,finding,x,y,w,h; it has {', '.join(rows[0])}")
    for line, row in enumerate(rows, start=2):
        if row["id"] not in known:
            raise InputError(f"manifest: line {line} of {path}: id '{row['id']}' is no film of the manifest")
        try:
            x, y, w, h = (float(row[name]) for name in ("x", "y", "w", "h"))
        except ValueError:
            raise InputError(f"manifest: line {line} of {path}: x, y, w, h must be numbers") from None
        if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0 or not row["finding"]:
            raise InputError(f"manifest: line {line} of {path}: expected a finding and a box with w, h above 0")
        boxes.setdefault(row["id"], []).append(_Box(line, row["finding"], x, y, w, h))
    return boxes


def _box_findings(boxes: Mapping[str, list[_Box]], findings: tuple[str, ...], cases: pd.DataFrame) -> tuple[str, ...]:
    """The findings of the set; where the manifest names none, those of the boxes (a film without a box has
    none).
    """
    names = sorted({box.finding for some in boxes.values() for box in some})
    if findings:
        for name in names:
            if name not in findings:
                raise unknown("finding", name, findings, "in the csv of boxes")
        return findings
    for name in names:
        with_box = {one for one, some in boxes.items() if any(box.finding == name for box in some)}
        cases[name] = [int(one in with_box) for one in cases["id"]]
    return tuple(names)


def _fitted_boxes(boxes: Mapping[str, list[_Box]], squares: Mapping[str, Square]) -> pd.DataFrame:
    """The table of boxes in pixels of the dataset; a box that leaves its film is an error."""
    rows = []
    for name, square in squares.items():
        for box in boxes.get(name, ()):
            inside = square.clipped(box.x, box.y, box.w, box.h, _BOX_SLACK)
            if inside is None:
                raise InputError(
                    f"manifest: box outside the image: line {box.line}: {box.finding} of {name} at "
                    f"x {box.x:g} to {box.x + box.w:g}, y {box.y:g} to {box.y + box.h:g}; the film is "
                    f"{square.width} x {square.height} pixels"
                )
            fitted = square.box(*inside)
            rows.append((name, box.finding, *fitted))
    return pd.DataFrame(rows, columns=["id", "finding", "x", "y", "w", "h"])


def _pixel_mm(squares: Sequence[Square], spacings: Sequence[float | None]) -> float | None:
    """Side of a pixel of the dataset in mm, where it is known and the same (to 0.1 %) for every film."""
    sides = [
        spacing * square.side / square.resolution
        for square, spacing in zip(squares, spacings, strict=True)
        if spacing is not None
    ]
    if len(sides) < len(squares) or max(sides) - min(sides) > 1e-3 * max(sides):
        return None
    return float(np.median(sides))
