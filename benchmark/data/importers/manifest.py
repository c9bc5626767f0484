"""Any set of films described by a csv: films, masks, findings and boxes to one Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError, unknown
from ...progress import Progress
from ..dataset import MAX_ORGANS, Dataset, DatasetInfo
from ..parts import films_in_words
from ..reading.films import Film, Square, enlarged_films, read_film, read_mask
from ..remarks import Remark, gathered
from ..same_pixels import same_pixels
from .manifest_boxes import box_findings, fitted_boxes, read_boxes
from .manifest_options import ManifestOptions
from .manifest_table import Row, read_manifest
from .sources import decode_all


@dataclass(frozen=True)
class _Decoded:
    """A film fitted into the square, its masks, how it was fitted, and what its file says of spacing and view."""

    image: np.ndarray
    masks: np.ndarray | None
    square: Square
    spacing_mm: float | None
    remarks: tuple[Remark, ...]
    frontal: bool | None


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
    reader = _MaskReader(manifest.organs, options)
    ids = [row.id for row in manifest.rows]
    boxes = None
    if options.boxes is not None:
        boxes = read_boxes(options.boxes, ids, options.box_columns, manifest.left_out)

    def decode(row: Row) -> _Decoded:
        film = read_film(row.film, options.white)
        height, width = film.pixels.shape
        square = Square(height, width, resolution)
        masks = square.masks(reader.read(row, film), len(manifest.organs)) if manifest.organs else None
        return _Decoded(square.film(film.pixels), masks, square, film.spacing_mm, film.remarks, film.frontal)

    count = len(manifest.rows)
    images = np.empty((count, resolution, resolution), dtype=np.uint8)
    masks = np.empty_like(images) if manifest.organs else None
    squares: list[Square] = []
    spacings: list[float | None] = []
    remarks: list[Remark] = []
    rows: list[Row] = []
    for row, decoded in zip(
        manifest.rows, decode_all(manifest.rows, decode, progress or Progress(), "films"), strict=True
    ):
        if not _wanted(row, decoded.frontal, manifest.views):
            continue
        images[len(rows)] = decoded.image
        if masks is not None and decoded.masks is not None:
            masks[len(rows)] = decoded.masks
        rows.append(row)
        remarks += decoded.remarks
        squares.append(decoded.square)
        spacings.append(decoded.spacing_mm or options.pixel_mm)
    left_out = _left_out(manifest.rows, rows)
    images, masks = images[: len(rows)], None if masks is None else masks[: len(rows)]
    cases = pd.DataFrame([dict(row.values) for row in rows])
    findings = manifest.findings
    if boxes is not None:
        findings = box_findings(boxes, findings, cases)
    info = DatasetInfo(
        name=name or csv.resolve().parent.name,
        resolution=resolution,
        organs=manifest.organs,
        findings=findings,
        pixel_mm=common_pixel_mm(squares, spacings),
        provenance=f"imported from {csv.name}",
        remarks=(
            *manifest.remarks,
            *left_out,
            *(() if boxes is None else boxes.remarks),
            *gathered(remarks),
            *enlarged_films(zip([row.film for row in rows], squares, strict=True)),
            *same_pixels(images, cases),
        ),
    )
    table = None if boxes is None else fitted_boxes(boxes, dict(zip(cases["id"], squares, strict=True)))
    return Dataset(info=info, images=images, masks=masks, cases=cases, boxes=table)


def _wanted(row: Row, frontal: bool | None, views: str | None) -> bool:
    """Whether a film is kept whose own header says that it is not frontal; InputError where nobody said."""
    if frontal is None or frontal or views == "any":
        return True
    if views is None:
        raise InputError(
            f"manifest: {row.film} is not frontal by its DICOM header; --only view=frontal leaves such films out, --only "
            "view=any keeps them"
        )
    return False


def _left_out(every: Sequence[Row], kept: Sequence[Row]) -> list[str]:
    """What to say of films that were left out by their headers; InputError where none is left."""
    if not kept:
        raise InputError("manifest: no film is frontal by its DICOM header; --only view=any keeps the others")
    there = {row.id for row in kept}
    gone = [row.film for row in every if row.id not in there]
    return (
        [f"{films_in_words(len(gone))} not frontal by the DICOM header left out (the first: {gone[0]})"] if gone else []
    )


class _MaskReader:
    """Reads the mask files of a row to bit flags; bit i is organ i."""

    def __init__(self, organs: Sequence[str], options: ManifestOptions) -> None:
        self.organs, self.options = organs, options
        if len(organs) > MAX_ORGANS:
            raise InputError(f"manifest: at most {MAX_ORGANS} organs, found {len(organs)}")
        if options.mask_values not in ("labels", "bits"):
            raise unknown("kind of mask values", options.mask_values, ("labels", "bits"))
        values = list(options.organs.values())
        for organ, value in options.organs.items():
            if value < 1 or values.count(value) > 1 or value in options.ignored:
                raise InputError(f"manifest: organ {organ}={value}: expected a value of its own, 1 or more")
            if options.mask_values == "bits" and value & (value - 1):
                raise InputError(f"manifest: organ {organ}={value}: a bit flag must be 1, 2, 4, 8, ...")

    def read(self, row: Row, film: Film) -> np.ndarray:
        bits = np.zeros(film.pixels.shape, dtype=np.uint8)
        for organ, file in row.masks.items():
            values = read_mask(file)
            if values.shape != film.pixels.shape:
                found, expected = (f"{shape[1]} x {shape[0]}" for shape in (values.shape, film.pixels.shape))
                raise InputError(f"manifest: mask {file} is {found}, its film {row.film.name} is {expected} pixels")
            if organ:  # a binary file: grey levels between, as jpeg makes them, belong to the nearer end
                inside = values >= max((int(values.max()) + 1) // 2, 1)
                bits |= inside.astype(np.uint8) << np.uint8(self.organs.index(organ))
            else:
                self._check(values, file)
                bits |= self._shared(values)
        return bits

    def _shared(self, values: np.ndarray) -> np.ndarray:
        as_bits = self.options.mask_values == "bits"
        bits = np.zeros(values.shape, dtype=np.uint8)
        for bit, organ in enumerate(self.organs):
            value = self.options.organs[organ]
            there = (values & value) != 0 if as_bits else values == value
            bits |= there.astype(np.uint8) << np.uint8(bit)
        return bits

    def _check(self, values: np.ndarray, file: Path) -> None:
        """Refuse a value that no organ has: it may be an organ that was forgotten."""
        known = [*self.options.organs.values(), *self.options.ignored]
        if self.options.mask_values == "bits":
            rest = int(np.bitwise_or.reduce(values, axis=None)) & ~sum(known)
            unexpected = [1 << bit for bit in range(rest.bit_length()) if rest >> bit & 1]
        else:
            unexpected = [int(value) for value in np.setdiff1d(np.unique(values), [0, *known])]
        if unexpected:
            kind = "bit flag" if self.options.mask_values == "bits" else "value"
            raise InputError(
                f"manifest: mask {file} has {kind} {unexpected[0]}, which no organ has "
                f"({_listed(self.options.organs)}); name it in --organs, or in --ignore {unexpected[0]}"
            )


def common_pixel_mm(squares: Sequence[Square], spacings: Sequence[float | None]) -> float | None:
    """Side of a pixel of the dataset in mm, where it is known and the same (to 0.1 %) for every film."""
    sides = [
        spacing * square.side / square.resolution
        for square, spacing in zip(squares, spacings, strict=True)
        if spacing is not None
    ]
    if len(sides) < len(squares) or max(sides) - min(sides) > 1e-3 * max(sides):
        return None
    return float(np.median(sides))


def _listed(organs: Mapping[str, int]) -> str:
    return ", ".join(f"{organ}={value}" for organ, value in organs.items())
