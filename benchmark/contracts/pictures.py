"""A folder of films made by any program, read as a dataset: pictures or arrays, and masks and tables beside them.

`external.FolderProvider` says how they are named. ProviderError, in one line, for what does not fit. What was read is kept
for the next time within a process, for a folder that has not changed.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd

from ..data.dataset import Dataset, DatasetInfo
from ..data.importers.manifest_boxes import boxes_said
from ..data.reading.masks import MaskReader
from ..data.reading.sets import Films, FittedFilm, fitted_film, read_films, refuse_dark_depths
from ..errors import InputError, ProviderError
from ..progress import Progress
from .picture_folders import not_read
from .picture_masks import masks_of
from .picture_sources import Pictures, class_flags, find_pictures
from .picture_tables import find_boxes, find_table, read_films_boxes, read_labels

BOX_COLUMNS = ["id", "finding", "x", "y", "w", "h"]
MOST_KEPT = 2**30  # bytes of films and masks that are kept for the next time

_kept: OrderedDict[tuple[object, ...], Dataset] = OrderedDict()
_lock = Lock()


def read_trained_on(folder: Path, name: str = "trained_on.txt") -> list[str]:
    """The ids of a text file in a folder, one a line; none where there is no such file."""
    file = folder / name
    if not file.is_file():
        return []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ProviderError(f"{file}: expected a text file in UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_pictures(folder: Path, train: Dataset, progress: Progress | None = None) -> Dataset:
    """The films of a folder at the training set's resolution, padded with black to a square, with what lies beside them of
    masks, labels and boxes; `info.remarks` says what was noticed. ProviderError for what does not fit."""
    key = (*_state(folder), train.resolution, train.organs, train.info.findings, train.annotations, train.info.pixel_mm)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    try:
        made = _read(folder, train, progress or Progress())
    except InputError as error:
        raise ProviderError(str(error)) from None
    with _lock:
        _kept[key] = made
        while sum(map(_bytes, _kept.values())) > MOST_KEPT:
            _kept.popitem(last=False)
    return made


def _state(folder: Path) -> tuple[object, ...]:
    """A folder and the names, sizes and times of all files below it."""
    found = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return (str(folder), tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found))


def _bytes(films: Dataset) -> int:
    return int(films.images.nbytes) + (0 if films.masks is None else int(films.masks.nbytes))


def _read(folder: Path, train: Dataset, progress: Progress) -> Dataset:
    pictures = find_pictures(folder, train.info.findings, train.organs)
    masks, said, of_masks = masks_of(folder, pictures, train)
    table = find_table(folder) if train.info.findings else None
    labels, noticed = _labels(folder, table, pictures, train.info.findings)
    films = _films(pictures, masks, train.resolution, progress)
    while masks is not None and not masks.settled():
        films = _films(pictures, masks, train.resolution, progress)
    refuse_dark_depths(films, pictures.places, lambda white: "write all in 8 bits, or these with 65535 as white")
    boxes: pd.DataFrame | None = None
    of_boxes: tuple[str, ...] = ()
    of_films = find_boxes(folder) if train.boxes is not None else None
    if of_films is not None:
        boxes, of_boxes = read_films_boxes(of_films, pictures, films.squares)
    cases = pd.DataFrame({"id": list(pictures.ids), "patient": list(pictures.ids)})
    findings = () if labels is None else train.info.findings
    if labels is not None:
        cases[list(findings)] = labels
    if boxes is not None:
        turned = [one for one, is_turned in zip(pictures.ids, films.turned, strict=True) if is_turned]
        of_boxes = (*of_boxes, *boxes_said(boxes, cases, turned))
    taken = [*pictures.taken, *of_masks, *(one for one in (table, of_films) if one)]
    remarks = (
        *pictures.remarks,
        *films.said(pictures.places),
        *said,
        *(masks.said() if masks else ()),
        *noticed,
        *of_boxes,
        *not_read(folder, taken, train.organs),
    )
    info = DatasetInfo(
        name=folder.name,
        resolution=train.resolution,
        organs=() if masks is None else masks.organs,
        findings=findings,
        pixel_mm=train.info.pixel_mm,
        provenance=f"films of the folder {folder.name}",
        remarks=remarks,
    )
    return Dataset(info=info, images=films.images, masks=films.masks, cases=cases, boxes=boxes)


def _films(pictures: Pictures, masks: MaskReader | None, resolution: int, progress: Progress) -> Films:
    def decode(row: int) -> FittedFilm:
        return fitted_film(pictures.read(row), row, masks, resolution)

    return read_films(decode, len(pictures.ids), resolution, progress, with_masks=masks is not None)


def _labels(
    folder: Path, table: Path | None, pictures: Pictures, findings: tuple[str, ...]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels uint8 (N, F) of a table, else of what the films were made for, and what was noticed."""
    if not findings:
        return None, ()
    if table is not None:
        labels, remarks = read_labels(table, pictures, findings)
        if labels is not None:
            over = (f"labels of {table.name}, not of folders or classes",) if pictures.classes is not None else ()
            return labels, (*remarks, *over)
    else:
        remarks = ()
    if pictures.classes is None:
        return None, remarks
    labels, said = class_flags(pictures.classes, folder, findings)
    return labels, (*remarks, *([said] if said else []))
