"""A folder of films made by any program, read as a dataset: png files, and masks and tables beside them.

`external.FolderProvider` says how they are named. ProviderError, with the file and row, for what does not fit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from ..data.dataset import Dataset, DatasetInfo
from ..data.findings import NO_FINDING
from ..data.resize import resize_films
from ..errors import ProviderError

BOX_COLUMNS = ["id", "finding", "x", "y", "w", "h"]
BOX_SLACK = 1.0  # a box may reach this many pixels over the edge (rounding); it is cut there


def read_trained_on(folder: Path) -> list[str]:
    """The ids of `trained_on.txt`, one a line; none where there is no such file."""
    file = folder / "trained_on.txt"
    if not file.is_file():
        return []
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ProviderError(f"{file}: expected a text file in UTF-8") from None


def _read_png(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ProviderError(f"{path}: expected a readable png, found none")
    if picture.shape[0] != picture.shape[1]:
        raise ProviderError(f"{path}: expected a square film, found {picture.shape[1]} x {picture.shape[0]}")
    return picture


def read_pictures(folder: Path, train: Dataset) -> Dataset:
    """PNG films at the training set's resolution, with what lies beside them of masks, labels and boxes."""
    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise ProviderError(f"{folder}: expected dataset.json or images/*.png, found neither")
    side, ids = train.resolution, [path.stem for path in paths]
    organs = _mask_organs(folder, paths, train)
    films, masks, widths = [], [], {}
    for path in paths:
        film = _read_png(path)
        widths[path.stem] = film.shape[1]
        films.append(resize_films(film[None], side)[0])
        if organs is not None:
            masks.append(_read_mask(folder / "masks", path, film, organs, side))
    cases = pd.DataFrame({"id": ids, "patient": ids})
    findings: tuple[str, ...] = ()
    if train.info.findings and (folder / "labels.csv").is_file():
        findings = train.info.findings
        cases[list(findings)] = _read_labels(folder / "labels.csv", ids, findings)
    boxes = None
    if train.boxes is not None and (folder / "boxes.csv").is_file():
        boxes = pd.DataFrame(_read_boxes(folder / "boxes.csv", widths, side), columns=BOX_COLUMNS)
    return Dataset(
        info=DatasetInfo(
            name=folder.name, resolution=side, organs=organs or (), findings=findings, pixel_mm=train.info.pixel_mm
        ),
        images=np.stack(films),
        masks=np.stack(masks) if organs is not None else None,
        cases=cases,
        boxes=boxes,
    )


def _mask_organs(folder: Path, paths: Sequence[Path], train: Dataset) -> tuple[str, ...] | None:
    """The organs that the bits of the folder's masks are; None where it, or the training set, has no masks."""
    if train.masks is None or not (folder / "masks").is_dir():
        return None
    if any((folder / "masks" / path.name).is_file() for path in paths):
        return train.organs
    organs = tuple(organ for organ in train.organs if (folder / "masks" / organ).is_dir())
    if not organs:
        raise ProviderError(
            f"{folder}/masks: expected png files of the films' names, or folders {', '.join(train.organs)}"
        )
    return organs


def _read_mask(masks: Path, path: Path, film: np.ndarray, organs: tuple[str, ...], side: int) -> np.ndarray:
    """Bit flags of a film, from one file or from a file an organ."""
    if (masks / path.name).is_file():
        flags = _read_png(masks / path.name)
    else:
        parts = [(_read_png(masks / organ / path.name) > 127).astype(np.uint8) for organ in organs]
        if {part.shape for part in parts} != {parts[0].shape}:
            raise ProviderError(f"{path}: its masks of {', '.join(organs)} differ in size")
        flags = np.bitwise_or.reduce([part << np.uint8(bit) for bit, part in enumerate(parts)])
    if film.shape != flags.shape:
        raise ProviderError(f"{path}: the film is {film.shape[1]} pixels wide and its mask {flags.shape[1]}")
    return cv2.resize(flags, (side, side), interpolation=cv2.INTER_NEAREST)


def _read_table(file: Path, ids: Collection[str]) -> list[tuple[str, str, dict[str, str]]]:
    """The lines of a csv: where it is (for errors), the film it is about, its values. ProviderError without a column of
    films, for a line about a film that is not there, and for a line of another length."""
    reader = csv.DictReader(io.StringIO(_text(file)), skipinitialspace=True)
    try:
        columns, rows = list(reader.fieldnames or []), list(reader)
    except csv.Error as error:
        raise ProviderError(f"{file}: not a readable csv: {error}") from None
    key = next((name for name in ("id", "file") if name in columns), None)
    if key is None:
        raise ProviderError(f"{file}: expected a column 'id' or 'file', found {', '.join(columns) or 'nothing'}")
    lines = []
    for number, row in enumerate(rows, start=1):
        where = f"{file} row {number}"
        if None in row or None in row.values():
            raise ProviderError(f"{where}: expected {len(columns)} values, as in its first line")
        name = Path(row[key].strip()).name.removesuffix(".png")
        if name not in ids:
            raise ProviderError(f"{where}: there is no film images/{name}.png")
        lines.append((where, name, row))
    return lines


def _read_labels(file: Path, ids: Sequence[str], findings: tuple[str, ...]) -> np.ndarray:
    """labels.csv as uint8 (N, F): exactly one line a film."""
    labels: dict[str, list[int]] = {}
    for where, name, row in _read_table(file, set(ids)):
        if name in labels:
            raise ProviderError(f"{where}: the second line of film '{name}'")
        if "findings" in row:
            named = {part.strip() for part in row["findings"].split("|")} - {"", NO_FINDING}
            unknown = sorted(named - set(findings))
            if unknown:
                raise ProviderError(
                    f"{where}: '{unknown[0]}' is no finding of the training set ({', '.join(findings)})"
                )
            labels[name] = [int(finding in named) for finding in findings]
            continue
        missing = [finding for finding in findings if finding not in row]
        if missing:
            raise ProviderError(
                f"{file}: no column {', '.join(missing)}: expected one for every finding, or 'findings'"
            )
        values = [row[finding].strip() for finding in findings]
        if set(values) - {"0", "1"}:
            raise ProviderError(f"{where}: expected 0 or 1, found '{next(iter(set(values) - {'0', '1'}))}'")
        labels[name] = [int(value) for value in values]
    without = [name for name in ids if name not in labels]
    if without:
        raise ProviderError(f"{file}: no line of {len(without)} of {len(ids)} films, the first is '{without[0]}'")
    return np.array([labels[name] for name in ids], dtype=np.uint8)


def _read_boxes(file: Path, widths: Mapping[str, int], side: int) -> list[tuple[str, str, float, float, float, float]]:
    """boxes.csv, in pixels of films of `side` pixels; a film without a line has no box."""
    boxes = []
    for where, name, row in _read_table(file, widths):
        missing = [column for column in BOX_COLUMNS[1:] if column not in row]
        if missing:
            raise ProviderError(f"{file}: expected the columns id,finding,x,y,w,h; {', '.join(missing)} not found")
        try:
            x, y, w, h = (float(row[column]) for column in ("x", "y", "w", "h"))
        except ValueError:
            raise ProviderError(f"{where}: x, y, w, h must be numbers") from None
        width, slack = widths[name], BOX_SLACK
        if not (w > 0 and h > 0 and min(x, y) >= -slack and max(x + w, y + h) <= width + slack):
            raise ProviderError(
                f"{where}: expected a box inside the film of {width} pixels, found {x:g},{y:g},{w:g},{h:g}"
            )
        left, top, right, bottom = (float(np.clip(edge, 0, width)) * side / width for edge in (x, y, x + w, y + h))
        boxes.append((name, row["finding"].strip(), left, top, right - left, bottom - top))
    return boxes
