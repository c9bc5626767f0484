"""The Dataset: films with their annotations. Real, phantom and synthetic ones have the same form (design section 2).

On disk it is a folder: `dataset.json`, `images.npy`, `masks.npy`, `cases.parquet`, `boxes.parquet`. In memory the arrays are
memory maps of those files, a large selection of films rows of these (`film_rows`): a set may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import digest
from ..errors import InputError
from ..files import new_folder
from .film_rows import FilmRows, Films, blocks_of, bytes_of, joined, taken
from .originals import FILE as ORIGINALS
from .originals import Originals, all_originals, opened

SCHEMA = 1
MAX_ORGANS = 8  # one bit of a uint8 per organ
PLAIN = 1 << 30
"""Bytes of films, and of masks, that code which is not ours gets as an array of their own."""


class Annotation(StrEnum):
    """What a film can be annotated with."""

    MASKS = "masks"
    LABELS = "labels"
    BOXES = "boxes"


class DatasetInfo(BaseModel):
    """What `dataset.json` says. `files` holds the sha256 of every other file of the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    name: str
    version: str = "1"
    resolution: int
    organs: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    pixel_mm: float | None = None
    """Side of a pixel in mm at this resolution; None where it is not known."""
    provenance: str = ""
    remarks: tuple[str, ...] = ()
    """What was noticed when it was imported, a line each (`remarks.gathered`); no part of the digest."""
    digest: str = ""
    truth: str = ""
    files: dict[str, str] = {}

    @property
    def phantom(self) -> bool:
        """Whether the films are procedural: nothing on them may stand beside published numbers."""
        return is_phantom(self.name, self.provenance)

    def changed(self, **values: object) -> DatasetInfo:
        """The same with other values, for other content: without the digests of this one."""
        return self.model_copy(update={"digest": "", "truth": "", "files": {}, **values})


def is_phantom(name: str, provenance: str) -> bool:
    """Whether films of this name and provenance are procedural."""
    return "phantom" in f"{name} {provenance}".lower()


@dataclass(frozen=True, eq=False)
class Dataset:
    """N annotated films.

    images: uint8 (N, H, W), an array, or `FilmRows` where there are many. masks: uint8 (N, H, W) in the same forms, bit i
    is organ i of `organs` (organs may overlap), or None. cases: one row a film with at least `id` and `patient`; split
    columns; a 0/1 column per finding; `source_ids` (a list: the real cases whose pixels a synthetic film shows). boxes:
    `id, finding, x, y, w, h` in pixels, or None.
    """

    info: DatasetInfo
    images: Films
    cases: pd.DataFrame
    masks: Films | None = None
    boxes: pd.DataFrame | None = None
    folder: Path | None = field(default=None)
    originals: Originals | None = None
    """The films as they were kept at import, larger than `images` (`data.originals`); None where they were not."""

    def __post_init__(self) -> None:
        n, side = len(self.images), self.info.resolution
        if self.images.dtype != np.uint8 or self.images.shape != (n, side, side):
            raise InputError(
                f"dataset {self.info.name}: images must be uint8 (N, {side}, {side}), "
                f"found {self.images.dtype} {self.images.shape}"
            )
        if self.masks is not None and (self.masks.dtype != np.uint8 or self.masks.shape != self.images.shape):
            raise InputError(
                f"dataset {self.info.name}: masks must be uint8 {self.images.shape}, "
                f"found {self.masks.dtype} {self.masks.shape}"
            )
        if len(self.cases) != n:
            raise InputError(f"dataset {self.info.name}: {n} images but {len(self.cases)} rows of cases")
        if len(self.info.organs) > MAX_ORGANS:
            raise InputError(f"dataset {self.info.name}: at most {MAX_ORGANS} organs, found {len(self.info.organs)}")
        if self.originals is not None and (len(self.originals.rows) != n or self.originals.side < side):
            found = f"{len(self.originals.rows)} of {self.originals.side} pixels"
            raise InputError(
                f"dataset {self.info.name}: {n} originals of at least {side} pixels expected, found {found}"
            )
        duplicated = self.cases["id"][self.cases["id"].duplicated()]
        if len(duplicated):
            raise InputError(f"dataset {self.info.name}: duplicate id {duplicated.iloc[0]!r}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def ids(self) -> list[str]:
        """The ids of the cases, in order."""
        return [str(value) for value in self.cases["id"]]

    @property
    def organs(self) -> tuple[str, ...]:
        """The organs that `masks` has a bit for, in bit order."""
        return self.info.organs

    @property
    def resolution(self) -> int:
        """Height and width of a film in pixels."""
        return self.info.resolution

    @property
    def annotations(self) -> frozenset[Annotation]:
        """What the films are annotated with."""
        found = set()
        if self.masks is not None:
            found.add(Annotation.MASKS)
        if self.info.findings:
            found.add(Annotation.LABELS)
        if self.boxes is not None:
            found.add(Annotation.BOXES)
        return frozenset(found)

    @cached_property
    def digest(self) -> str:
        """sha256 of everything that can change a number: films, masks, cases, boxes, organs, findings,
        pixel size.
        """
        if self.info.digest:
            return self.info.digest
        larger = {} if self.originals is None else {"originals": self.originals.digest}
        return digest.of_json(self._annotated | larger | {"images": digest.of_array(self.images)})

    @cached_property
    def truth(self) -> str:
        """sha256 of what predictions are scored against: everything but the pixels of the films."""
        return self.info.truth or digest.of_json(self._annotated)

    @cached_property
    def _annotated(self) -> dict[str, object]:
        return {
            "masks": None if self.masks is None else digest.of_array(self.masks),
            "cases": _table_digest(self.cases),
            "boxes": None if self.boxes is None else _table_digest(self.boxes),
            "organs": self.info.organs,
            "findings": self.info.findings,
            "pixel_mm": self.info.pixel_mm,
        }

    def organ_masks(self, organs: Sequence[str] | None = None, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Masks as bool (N, O, H, W), one channel per asked organ (all by default)."""
        if self.masks is None:
            raise InputError(f"dataset {self.info.name} has no masks")
        names = self.organs if organs is None else organs
        bits = np.array([1 << self.organs.index(name) for name in names], dtype=np.uint8)
        return (self.masks[rows][:, None] & bits[None, :, None, None]) != 0

    def labels(self) -> np.ndarray:
        """Findings as uint8 (N, F) in the order of `info.findings`."""
        return self.cases[list(self.info.findings)].to_numpy(dtype=np.uint8)

    def select(self, rows: np.ndarray | Sequence[int], name: str | None = None) -> Dataset:
        """The films of the given row numbers or of a boolean mask, in the given order, with their boxes. Few films are
        copied; of many (`film_rows.HELD`) it is a view."""
        index = np.asarray(rows)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        cases = self.cases.iloc[index].reset_index(drop=True)
        boxes = None
        if self.boxes is not None:
            boxes = self.boxes[self.boxes["id"].isin(set(cases["id"]))].reset_index(drop=True)
        return Dataset(
            info=self.info.changed(name=name or self.info.name),
            images=taken(self.images, index),
            cases=cases,
            masks=None if self.masks is None else taken(self.masks, index),
            boxes=boxes,
            originals=None if self.originals is None else self.originals.select(index),
        )

    def read_only(self) -> Dataset:
        """The same films for code that is not ours: arrays that cannot be written, tables of their own. Films of over 1 GB
        that lie apart are `FilmRows`, which give arrays when they are indexed."""

        def closed(array: Films) -> Films:
            if isinstance(array, FilmRows):
                if bytes_of(array) > PLAIN:
                    return array
                array = np.asarray(array)
            view = array.view()
            view.flags.writeable = False
            return view

        cases = self.cases.copy()
        for column in cases:
            if len(cases) and isinstance(cases[column].iloc[0], (list, np.ndarray)):
                cases[column] = [list(value) for value in cases[column]]
        return replace(
            self,
            images=closed(self.images),
            cases=cases,
            masks=None if self.masks is None else closed(self.masks),
            boxes=None if self.boxes is None else self.boxes.copy(),
        )

    def resized(self, resolution: int) -> Dataset:
        """The same films at another resolution: area averaging of films; a mask pixel is set where the organ
        covers at least half of it. Many films go to disk as they are made (`gathered`)."""
        if resolution == self.resolution:
            return self
        from .gathered import changed
        from .resize import resize_films, resize_masks

        shape, masks = (resolution,) * 2, self.masks
        images = changed(self.images, lambda films: resize_films(films, resolution), shape)
        if masks is not None:
            masks = changed(masks, lambda bits: resize_masks(bits, resolution, len(self.organs)), shape)
        info, boxes = scaled(self.info, self.boxes, resolution)
        return Dataset(info=info, images=images, cases=self.cases, masks=masks, boxes=boxes, originals=self.originals)

    def kept_larger(self, resolution: int) -> Dataset:
        """The same films at a smaller resolution, with themselves as originals. InputError for a larger one."""
        if resolution > self.resolution:
            raise InputError(
                f"films to keep: {self.resolution} pixels, expected the --resolution of {resolution} or more"
            )
        if resolution == self.resolution:
            return self
        return replace(self.resized(resolution), originals=Originals(self.images, np.arange(len(self))))

    def save(self, folder: Path) -> Dataset:
        """Write the dataset to a new folder (all of it or nothing) and return it as it lies there."""
        with new_folder(folder) as draft:
            _save_films(draft / "images.npy", self.images)
            if self.masks is not None:
                _save_films(draft / "masks.npy", self.masks)
            self.cases.to_parquet(draft / "cases.parquet", index=False)
            if self.boxes is not None:
                self.boxes.to_parquet(draft / "boxes.parquet", index=False)
            files = {path.name: digest.of_file(path) for path in sorted(draft.iterdir())}
            whole = self
            if self.originals is not None:
                files[ORIGINALS] = self.originals.save(draft / ORIGINALS)
                whole = replace(self, originals=opened(draft / ORIGINALS, files[ORIGINALS]))
            info = self.info.model_copy(update={"digest": whole.digest, "truth": self.truth, "files": files})
            (draft / "dataset.json").write_text(info.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
        return load_dataset(folder)


def scaled(info: DatasetInfo, boxes: pd.DataFrame | None, resolution: int) -> tuple[DatasetInfo, pd.DataFrame | None]:
    """What is said of films, and their boxes, where these films are brought to another resolution."""
    scale = resolution / info.resolution
    if boxes is not None:
        boxes = boxes.copy()
        boxes[["x", "y", "w", "h"]] *= scale
    pixel = None if info.pixel_mm is None else info.pixel_mm / scale
    return info.changed(resolution=resolution, pixel_mm=pixel), boxes


def _save_films(path: Path, films: Films) -> None:
    """Write a .npy file as `np.save` does, rows of memory maps block by block."""
    if isinstance(films, np.ndarray):
        np.save(path, films, allow_pickle=False)
        return
    said = {"descr": films.dtype.str, "fortran_order": False, "shape": films.shape}
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, said)
        for block in blocks_of(films):
            handle.write(block.data)


def _table_digest(table: pd.DataFrame) -> str:
    """sha256 of a table's columns and values, whatever the order of the columns."""
    columns = sorted(str(column) for column in table.columns)
    values = {column: [_plain(value) for value in table[column]] for column in columns}
    return digest.of_json(values)


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return value


def pack_masks(masks: np.ndarray) -> np.ndarray:
    """Bool (N, O, H, W), O <= 8, to bit flags uint8 (N, H, W): bit i is channel i."""
    packed = np.zeros((len(masks), *masks.shape[2:]), dtype=np.uint8)
    for bit in range(masks.shape[1]):
        packed |= masks[:, bit].astype(np.uint8) << np.uint8(bit)
    return packed


def read_info(folder: Path) -> DatasetInfo:
    """`dataset.json` of a folder; InputError when it is absent, not valid, or of another schema number."""
    path = folder / "dataset.json"
    if not path.is_file():
        raise InputError(f"{folder}: no dataset.json here; expected a dataset folder (see `cxrbench data import`)")
    try:
        info = DatasetInfo.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from None
    if info.schema_version > SCHEMA:
        raise InputError(
            f"{path}: schema {info.schema_version} is newer than {SCHEMA}, the newest this version reads; "
            "update cxrbench"
        )
    if info.schema_version < SCHEMA:
        raise InputError(f"{path}: schema {info.schema_version} is too old (expected {SCHEMA}); import it again")
    return info


def load_dataset(folder: Path, *, verify: bool = False) -> Dataset:
    """Open a dataset folder, its arrays memory-mapped. With `verify`, every file is held against its
    sha256.
    """
    info = read_info(folder)
    for name, expected in info.files.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{folder}: {name} is missing")
        if verify and digest.of_file(path) != expected:
            raise InputError(f"{folder}: {name} is not the file that dataset.json describes (sha256 differs)")
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        masks = None
        if "masks.npy" in info.files:
            masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)
        cases = pd.read_parquet(folder / "cases.parquet")
        boxes = pd.read_parquet(folder / "boxes.parquet") if "boxes.parquet" in info.files else None
        larger = opened(folder / ORIGINALS, info.files[ORIGINALS]) if ORIGINALS in info.files else None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a readable dataset: {error}".splitlines()[0]) from None
    return Dataset(info=info, images=images, cases=cases, masks=masks, boxes=boxes, folder=folder, originals=larger)


def verify_dataset(folder: Path) -> Dataset:
    """Open a dataset folder and hold every file against its sha256, and the content against the dataset's
    digest.
    """
    dataset = load_dataset(folder, verify=True)
    found = replace(dataset, info=dataset.info.changed(), folder=None).digest
    if found != dataset.info.digest:
        raise InputError(f"{folder}: the content has digest {found[:12]}, dataset.json says {dataset.info.digest[:12]}")
    return dataset


def concatenate(parts: Sequence[Dataset], name: str) -> Dataset:
    """One dataset of several with the same resolution, organs and findings."""
    first = parts[0]
    for part in parts[1:]:
        for what in ("resolution", "organs", "findings"):
            if getattr(part.info, what) != getattr(first.info, what):
                raise InputError(
                    f"datasets {first.info.name} and {part.info.name} differ in {what}: "
                    f"{getattr(first.info, what)} and {getattr(part.info, what)}"
                )
    with_masks = all(part.masks is not None for part in parts)
    with_boxes = all(part.boxes is not None for part in parts)
    return Dataset(
        info=first.info.changed(name=name),
        images=joined([part.images for part in parts]),
        cases=pd.concat([part.cases for part in parts], ignore_index=True),
        masks=joined([part.masks for part in parts if part.masks is not None]) if with_masks else None,
        boxes=pd.concat([part.boxes for part in parts if part.boxes is not None], ignore_index=True)
        if with_boxes
        else None,
        originals=all_originals([(len(part), part.originals) for part in parts]),
    )
