"""From a listing of a public set to a Dataset: counts, views, labels, parts, then the films, at most a few at a time."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ....disk import reserve
from ....errors import InputError
from ....home import home
from ....progress import Progress
from ...dataset import Dataset, DatasetInfo
from ...parts import films_in_words
from ...reading.films import Square, read_film
from ...reading.masks import MaskReader
from ...reading.sets import size_lines
from ...remarks import Remark, gathered
from ...same_pixels import same_pixels
from ..manifest import common_pixel_mm
from ..manifest_boxes import boxes_said
from ..sources import decode_all
from . import lungs
from .labels import Labelled, known_labels
from .listing import Listing, PublicBox, PublicFilm, PublicOptions
from .parts import parts_of
from .sets import PublicSet

_SLACK = 2.0  # a box may reach this many pixels over the edge (rounding); it is cut there
_SHAPE = 0.01  # a mask has its film's shape to this share
_NAMED = 6  # so many views are named


@dataclass(frozen=True)
class _Decoded:
    image: np.ndarray
    masks: np.ndarray | None
    boxes: list[tuple[str, str, float, float, float, float]]
    square: Square
    spacing_mm: float | None
    frontal: bool | None
    remarks: tuple[Remark, ...]


@contextmanager
def import_public(
    chosen: PublicSet,
    source: Path,
    resolution: int = 256,
    *,
    name: str | None = None,
    options: PublicOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Dataset]:
    """The films of a public set in the folder `source`, padded with black to a square, at `resolution` pixels (area mean).

    The arrays are memory maps of a draft below `home()` that goes when the block ends: keep the dataset inside it.
    InputError, and nothing imported, where tables, counts or files are not as published; `allow_partial` takes those that
    are there, and the provenance then says so.
    """
    options = options or PublicOptions()
    if not 16 <= resolution <= 4096:
        raise InputError(f"{chosen.name}: the resolution must be 16 to 4096 pixels, found {resolution}")
    listing = chosen.read(source, options)
    remarks = list(listing.remarks)
    partial = _checked_counts(chosen, listing, options)
    films = _frontal(listing, options, remarks)
    films, gone = _there(chosen, films, options)
    labelled = known_labels(chosen.name, films, listing.labels, options)
    if not labelled.films:
        raise InputError(
            f"{chosen.name}: no film of {source} is left; complete the download, or see --views, --uncertain"
        )
    partial = f", partial: {partial}" if partial else f", partial: {gone:,} films are not there" if gone else ""
    info = DatasetInfo(
        name=name or chosen.name.replace("-", "_"),
        resolution=resolution,
        organs=listing.organs,
        findings=tuple(labelled.findings),
        provenance=f"{listing.provenance}{partial}",
        remarks=tuple([*remarks, *labelled.remarks]),
    )
    (home() / "imports").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{chosen.name}-", dir=home() / "imports") as draft:
        yield _dataset(chosen, listing, labelled, info, options, Path(draft), progress or Progress())


# ------------------------------------------------------------------------------------------------------- before decoding


def _checked_counts(chosen: PublicSet, listing: Listing, options: PublicOptions) -> str:
    """What is not of the official number, in words; InputError unless that was asked for."""
    wrong = [count for count in listing.counts if count.found not in count.official]
    if wrong and not options.allow_partial:
        first = wrong[0]
        raise InputError(
            f"{chosen.name}: expected {' or '.join(f'{one:,}' for one in first.official)} {first.what}, found "
            f"{first.found:,}; complete the download from {chosen.where}, or import what is there with --allow-partial"
        )
    return ", ".join(f"{count.found:,} of {max(count.official):,} {count.what}" for count in wrong)


def _frontal(listing: Listing, options: PublicOptions, remarks: list[str]) -> list[PublicFilm]:
    """The films of the views that were asked for; the others are counted by their view."""
    films = list(listing.films)
    if not listing.says_views:
        return films
    other = [film for film in films if film.frontal is False]
    unknown = [film for film in films if film.frontal is None]
    kept = options.views == "all"
    fate = "kept" if kept else "left out (--views all keeps them)"
    if other:
        views = Counter(film.view for film in other).most_common()
        named = ", ".join(f"{view} {count}" for view, count in views[:_NAMED]) + (", ..." if views[_NAMED:] else "")
        remarks.append(f"{films_in_words(len(other))} of views that are not frontal {fate}: {named}")
    if unknown:
        remarks.append(f"{films_in_words(len(unknown))} whose view the tables do not say {fate}")
    return films if kept else [film for film in films if film.frontal]


def _there(chosen: PublicSet, films: list[PublicFilm], options: PublicOptions) -> tuple[list[PublicFilm], int]:
    """The films whose files are there, and the number of the others; InputError for these unless `allow_partial`."""
    there, missing = [], []
    for film in films:
        lacking = next((path for path in (film.path, *film.mask_files.values()) if not path.is_file()), None)
        if lacking is None:
            there.append(film)
        else:
            missing.append(lacking)
    if missing and not options.allow_partial:
        count = "a file is" if len(missing) == 1 else f"files of {len(missing):,} films are"
        raise InputError(
            f"{chosen.name}: {count} missing, the first {missing[0]}; complete the download from {chosen.where}, or import "
            "the films that are there with --allow-partial"
        )
    return there, len(missing)


# -------------------------------------------------------------------------------------------------------------- decoding


class _Draft:
    """Memory maps that films are written to, one after another, and what was found beside their pixels."""

    def __init__(self, folder: Path, count: int, info: DatasetInfo) -> None:
        self._shape = (count, info.resolution, info.resolution)
        self._images = self._map(folder / "images.npy")
        self._masks = self._map(folder / "masks.npy") if info.organs else None
        self.rows: list[int] = []
        self.boxes: list[tuple[str, str, float, float, float, float]] = []
        self.squares: list[Square] = []
        self.spacings: list[float | None] = []
        self.remarks: list[Remark] = []

    def _map(self, path: Path) -> np.ndarray:
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=self._shape)
        reserve(path)
        return mapped

    def add(self, row: int, found: _Decoded) -> None:
        """The film of row `row` of the listing becomes the next one."""
        self._images[len(self.rows)] = found.image
        if self._masks is not None and found.masks is not None:
            self._masks[len(self.rows)] = found.masks
        self.rows.append(row)
        self.boxes += found.boxes
        self.squares.append(found.square)
        self.spacings.append(found.spacing_mm)
        self.remarks += found.remarks

    @property
    def images(self) -> np.ndarray:
        """uint8 (N, H, W) of the films that were added."""
        return self._images[: len(self.rows)]

    @property
    def masks(self) -> np.ndarray | None:
        """Their masks, of the same shape."""
        return None if self._masks is None else self._masks[: len(self.rows)]


def _decoded(
    chosen: PublicSet,
    labelled: Labelled,
    info: DatasetInfo,
    options: PublicOptions,
    folder: Path,
    reader: MaskReader | None,
    progress: Progress,
) -> tuple[_Draft, list[str]]:
    """The films read into a draft; those that a DICOM header calls lateral are left out, as asked, and said."""
    films, draft = labelled.films, _Draft(folder, len(labelled.films), info)
    lateral: list[Path] = []

    def decode(row: int) -> _Decoded:
        return _decode(chosen, films[row], row, info, labelled.names, reader)

    for row, found in enumerate(decode_all(range(len(films)), decode, progress, "films")):
        if found.frontal is False and options.views == "frontal":
            lateral.append(films[row].path)
        else:
            draft.add(row, found)
    if not draft.rows:
        raise InputError(f"{chosen.name}: no film is frontal by its DICOM header; --views all takes the others")
    first = f"the first: {lateral[0]}" if lateral else ""
    line = f"{films_in_words(len(lateral))} not frontal by the DICOM header left out (--views all keeps them; {first})"
    return draft, [line] if lateral else []


def _dataset(
    chosen: PublicSet,
    listing: Listing,
    labelled: Labelled,
    info: DatasetInfo,
    options: PublicOptions,
    folder: Path,
    progress: Progress,
) -> Dataset:
    files = [film.mask_files for film in labelled.films]
    reader = MaskReader(files, listing.organs, _no_way, where=f"{chosen.name}: masks") if any(files) else None
    draft, lateral = _decoded(chosen, labelled, info, options, folder, reader, progress)
    while reader and not reader.settled():
        draft, lateral = _decoded(chosen, labelled, info, options, folder, reader, progress)
    kept = [labelled.films[row] for row in draft.rows]
    cases, said = _cases(chosen, kept, labelled.findings, draft.rows, options)
    boxes = None
    if listing.with_boxes:
        of_kept = [box for box in draft.boxes if box[1] in info.findings]
        boxes = pd.DataFrame(of_kept, columns=["id", "finding", "x", "y", "w", "h"])
    lines = [
        *info.remarks,
        *said,
        *lateral,
        *(() if boxes is None else boxes_said(boxes, cases)),
        *gathered(draft.remarks),
        *(reader.said() if reader else ()),
        *size_lines(draft.squares, [film.path for film in kept]),
        *same_pixels(draft.images, cases),
    ]
    info = info.changed(pixel_mm=common_pixel_mm(draft.squares, draft.spacings), remarks=tuple(lines))
    return Dataset(info=info, images=draft.images, masks=draft.masks, cases=cases, boxes=boxes)


def _decode(
    chosen: PublicSet,
    film: PublicFilm,
    number: int,
    info: DatasetInfo,
    names: Mapping[str, str],
    reader: MaskReader | None,
) -> _Decoded:
    read = read_film(film.path)
    height, width = read.pixels.shape
    square = Square(height, width, info.resolution)
    masks, noticed = None, read.remarks
    if reader is not None:
        bits, said = reader.read(number, (height, width))
        masks, noticed = square.masks(_sided(chosen, film, bits, info), len(info.organs)), (*noticed, *said)
    elif film.masks is not None:
        bits = film.masks()
        rows, columns = bits.shape
        if abs(rows * width - columns * height) > _SHAPE * columns * height:
            raise InputError(
                f"{chosen.name}: the mask of {film.id} is {columns} x {rows}, its film {width} x {height} pixels: of "
                "another shape"
            )
        masks = Square(rows, columns, info.resolution).masks(bits, len(info.organs))
    boxes = [_fitted(chosen, film, box, square, names) for box in film.boxes]
    return _Decoded(square.film(read.pixels), masks, boxes, square, read.spacing_mm, read.frontal, noticed)


def _sided(chosen: PublicSet, film: PublicFilm, bits: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """The bits with the lungs by where they lie, where there are two."""
    if info.organs != lungs.ORGANS:
        return bits
    found = lungs.by_side(bits)
    if found is None:
        files = ", ".join(map(str, film.mask_files.values()))
        raise InputError(f"{chosen.name}: the mask of a lung of {film.id} is empty: {files}")
    return found


def _no_way(text: str) -> str:
    """Nobody says what the masks of an official set hold."""
    return "nothing: they are not the official ones"


def _fitted(
    chosen: PublicSet, film: PublicFilm, box: PublicBox, square: Square, names: Mapping[str, str]
) -> tuple[str, str, float, float, float, float]:
    """A box in pixels of the dataset; InputError where it leaves its film or its finding has no label."""
    height, width = box.size or (square.height, square.width)
    right, bottom = box.x + box.w, box.y + box.h
    if min(box.x, box.y) < -_SLACK or right > width + _SLACK or bottom > height + _SLACK or min(box.w, box.h) <= 0:
        raise InputError(
            f"{chosen.name}: box outside the film: {box.finding} of {film.id} at x {box.x:g} to {right:g}, y {box.y:g} to "
            f"{bottom:g}; the film is {width} x {height} pixels. Are the films the original ones?"
        )
    if box.finding not in names:
        raise InputError(f"{chosen.name}: a box of {film.id} is of '{box.finding}', which is no finding of the set")
    x, y = max(box.x, 0.0), max(box.y, 0.0)
    right, bottom = min(right, width), min(bottom, height)
    across, down = square.width / width, square.height / height
    fitted = square.box(x * across, y * down, (right - x) * across, (bottom - y) * down)
    return (film.id, names[box.finding], *fitted)


def _cases(
    chosen: PublicSet,
    kept: Sequence[PublicFilm],
    findings: Mapping[str, Sequence[int]],
    rows: Sequence[int],
    options: PublicOptions,
) -> tuple[pd.DataFrame, list[str]]:
    """One row a film that was kept, its findings those of `rows`, and what is to be said of the parts."""
    patients = [film.patient for film in kept]
    parts, remarks = parts_of(chosen.name, [film.split for film in kept], patients, options)
    columns: dict[str, list[object]] = {"id": [film.id for film in kept], "patient": list(patients), **parts}
    further = list(dict.fromkeys(name for film in kept for name in film.columns))
    for name, flags in findings.items():
        columns[name] = [flags[row] for row in rows]
    for name in further:
        columns[name] = [film.columns.get(name) for film in kept]
    return pd.DataFrame(columns), remarks
