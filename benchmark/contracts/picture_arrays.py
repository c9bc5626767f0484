"""Films in arrays: .npz as guided-diffusion writes it, and .npy; masks and labels in arrays beside them.

What an array holds is told by its name and its shape. What both leave open is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.reading.quiet import one_line
from ..errors import ProviderError
from .picture_folders import is_masks
from .ranges import cure_of, cut_words, is_inside

_FILMS, _LABELS = ("arr_0", "images", "samples", "films", "x"), ("arr_1", "labels", "label", "y")
_HAIR = 0.01  # floats this far outside of 0 to 1 are cut there: rounding and resampling leave such
_BLOCK = 256


@dataclass(frozen=True)
class Arrays:
    """films: (N, H, W), (N, H, W, C) or, with `channels_first`, (N, C, H, W). white: the whole number that is white.
    names: of the films, where each is a file. masks: name of an array of masks to its file and the array (N, H, W).
    taken: the files that were read.
    """

    films: np.ndarray
    channels_first: bool
    white: float
    classes: list[Any] | None
    remarks: tuple[str, ...]
    names: list[str] | None
    masks: Mapping[str, tuple[Path, np.ndarray]]
    taken: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class _Array:
    """An array, its name, and the file that it is in."""

    name: str
    path: Path
    values: np.ndarray

    @property
    def words(self) -> str:
        shape = " x ".join(map(str, self.values.shape))
        return f"{self.path.name if self.path.suffix == '.npy' else f'{self.path.name} {self.name}'} ({shape})"


def read_arrays(folder: Path) -> Arrays:
    """The arrays of a folder's .npz and .npy files as one. ProviderError for damage, other shapes and other ranges, and
    where it cannot be told which of them are films."""
    arrays = [one for path in sorted(folder.glob("*.np[yz]")) for one in _arrays(path)]
    masks = [one for one in arrays if _is_masks(one)]
    labels = [one for one in arrays if one not in masks and _is_called(one, _LABELS)]
    films = [one for one in arrays if one not in masks and one not in labels]
    where = f"{folder}/{arrays[0].path.name if arrays else 'its arrays'}"
    films, others = _films_of(films, where)
    names = _one_a_file(films, where)
    values = [one.values for one in films]
    if names:
        values = [one[None] for one in values]
    if any(one.ndim == 0 for one in values):
        raise ProviderError(f"{where}: expected films, found a single value")
    first = _shaped(values, where)
    white, remarks = _range(values, where)
    whole = values[0] if len(values) == 1 else np.concatenate(values)
    files = ", ".join(dict.fromkeys(one.path.name for one in films))
    of_masks = _masks_of(masks, len(whole), where)
    remarks = (*remarks, *_seen_through(whole, first, white))
    remarks = (f"films of {files}: {_words(whole)}", *remarks, *(f"not read: {one.words}" for one in others))
    taken = tuple(dict.fromkeys(one.path for one in arrays))
    return Arrays(whole, first, white, _classes(labels, len(whole), where), remarks, names, of_masks, taken)


def _arrays(path: Path) -> list[_Array]:
    try:
        if path.suffix == ".npy":
            return [_Array(path.stem, path, np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)))]
        with np.load(path, allow_pickle=False) as file:
            return [_Array(name, path, _numbers(file, name)) for name in file.files]
    except Exception as error:  # a damaged file may raise anything that zip and numpy know
        kind = "an array" if path.suffix == ".npy" else "arrays"
        raise ProviderError(f"{path} cannot be read as {kind} ({one_line(error)})") from None


def _numbers(file: Any, name: str) -> np.ndarray:
    """An array of a .npz; one of Python's objects, which are never loaded, without values."""
    try:
        return np.asarray(file[name])
    except ValueError as error:
        if name in (*_FILMS, *_LABELS) or "pickle" not in str(error):
            raise
        return np.zeros((), dtype=np.uint8)


def _is_called(one: _Array, names: Sequence[str]) -> bool:
    """Whether an array has one of these names; `label` may be a part of a .npy file's."""
    name = one.name.lower()
    return name in names or (names is _LABELS and one.path.suffix == ".npy" and "label" in name)


def _is_masks(one: _Array) -> bool:
    """Whether an array is of masks: called so, and of labels those that have the shape of pictures."""
    if _is_called(one, _LABELS):
        return one.values.ndim > 2 and one.name != "arr_1"
    return is_masks(one.name)


def _films_of(arrays: Sequence[_Array], where: str) -> tuple[list[_Array], list[_Array]]:
    """The films, and what is neither films nor masks nor labels. ProviderError where that may be films too."""
    in_files = [one for one in arrays if one.path.suffix == ".npy"]
    called = [one for one in in_files if re.match(rf"({'|'.join(_FILMS)})[\W_\d]*$", one.name.lower())]
    films = called or in_files
    others = [one for one in in_files if one not in films]
    for path in dict.fromkeys(one.path for one in arrays if one.path.suffix == ".npz"):
        inside = [one for one in arrays if one.path == path]
        film = next((one for name in _FILMS for one in inside if one.name == name), None)
        if film is None:
            found = ", ".join(one.name for one in inside) or "nothing"
            raise ProviderError(f"{path}: expected films in arr_0 (or images), found {found}")
        films = [*films, film]
        others += [one for one in inside if one is not film]
    second = next((one for one in others if one.values.ndim > 2), None)
    if second is not None:
        raise ProviderError(
            f"{where}: {second.words} has the shape of films or masks: call masks `masks` (or by their organ), and move "
            "what is neither away"
        )
    return films, others


def _one_a_file(films: Sequence[_Array], where: str) -> list[str] | None:
    """The names of films, where each file holds one: (H, W), or (H, W, C) with C 3 or 4; else None. ProviderError for
    several files (3, H, W), which may be three films or the colours of one."""
    shapes = [one.values.shape for one in films if one.path.suffix == ".npy"]
    if not shapes or len(shapes) < len(films):
        return None
    if all(len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4 for shape in shapes) or (
        len(shapes) > 1 and all(len(shape) == 2 for shape in shapes)
    ):
        return [one.path.stem for one in films]
    if len(shapes) > 1 and all(len(shape) == 3 and shape[0] in (3, 4) and min(shape[1:]) > 4 for shape in shapes):
        raise ProviderError(
            f"{where}: {len(shapes)} files of shape {shapes[0]}: is each {shapes[0][0]} films or one in colours? Save "
            "colours as (H, W, C), or all films in one file (N, H, W)"
        )
    return None


def _masks_of(masks: Sequence[_Array], count: int, where: str) -> dict[str, tuple[Path, np.ndarray]]:
    """Arrays of masks (N, H, W) by their names. ProviderError for other numbers and shapes."""
    found: dict[str, tuple[Path, np.ndarray]] = {}
    for one in masks:
        values = one.values
        if values.ndim == 4 and 1 in (values.shape[1], values.shape[-1]):
            values = values[..., 0] if values.shape[-1] == 1 else values[:, 0]
        if values.ndim != 3 or len(values) != count or one.name in found:
            raise ProviderError(
                f"{where}: {one.words}: expected masks of {count} films, one array of shape ({count}, H, W), or one an "
                "organ (left_lung, right_lung, ...)"
            )
        found[one.name] = (one.path, values)
    return found


def _classes(labels: Sequence[_Array], count: int, where: str) -> list[Any] | None:
    """What films were made for, of arrays of whole numbers."""
    if not labels:
        return None
    if any(one.values.ndim not in (1, 2) for one in labels):
        raise ProviderError(
            f"{where}: {labels[0].words} has the shape of films or masks, expected classes (N) or flags (N, F): "
            "call masks `masks`, or by their organ"
        )
    try:
        table = np.concatenate([one.values for one in labels])
    except ValueError:
        raise ProviderError(f"{where}: labels of several shapes: {', '.join(one.words for one in labels)}") from None
    if len(table) != count:
        raise ProviderError(f"{where}: {count} films but {len(table)} labels")
    if table.dtype.kind not in "biu" and not (table.dtype.kind == "f" and (table == np.rint(table)).all()):
        raise ProviderError(f"{where}: labels are {table.dtype}, expected whole numbers: classes, or 0 and 1 a finding")
    classes: list[Any] = table.astype(np.int64).tolist()
    return classes


def _shaped(films: Sequence[np.ndarray], where: str) -> bool:
    """Whether channels come first. ProviderError for shapes that films do not have."""
    if not sum(map(len, films)):
        raise ProviderError(f"{where}: expected films, found {'none' if films else 'labels alone'}")
    if len({film.shape[1:] for film in films}) > 1:
        raise ProviderError(
            f"{where}: its files have films of several shapes: {', '.join(str(f.shape) for f in films)}"
        )
    shape = films[0].shape
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        return False
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return True
    if len(shape) == 3 and min(shape) > 0:
        return False
    raise ProviderError(
        f"{where}: films of shape {shape}, expected (N, H, W), (N, H, W, C) or (N, C, H, W), C 1, 3 or 4"
    )


def _range(films: Sequence[np.ndarray], where: str) -> tuple[float, tuple[str, ...]]:
    """What is white, and what is to be said of the values. ProviderError, with the cure, for another range."""
    kind = films[0].dtype
    if kind.kind not in "uif":
        raise ProviderError(f"{where}: values of type {kind}, expected uint8, uint16 or floats from 0 to 1")
    kinds = sorted({str(film.dtype.newbyteorder("=")) for film in films})
    if len(kinds) > 1:
        raise ProviderError(
            f"{where}: its files have values of the types {', '.join(kinds)}, expected one: they differ in what is white"
        )
    ends = [(block.min(), block.max(), np.isfinite(block).all()) for film in films for block in _blocks(film)]
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    if kind.kind == "f":
        if not all(end[2] for end in ends):
            raise ProviderError(f"{where}: holds NaN or infinite values")
        if is_inside(low, high, _HAIR):
            return 1.0, cut_words(low, high)
        cure = cure_of(low, high) or "scale them"
        raise ProviderError(f"{where}: values {low:.4g} to {high:.4g}, expected floats from 0 to 1: {cure}")
    if kind.kind not in "ui" or low < 0:
        raise ProviderError(
            f"{where}: values {low:g} to {high:g} of type {kind}, expected uint8, uint16 or floats from 0 to 1"
        )
    white = 65535.0 if kind == np.uint16 or high > 255 else 255.0
    if high > 65535:
        raise ProviderError(f"{where}: values up to {high:g}, expected at most 65,535")
    dark = (f"no value above {high:g} of {white:g}, as dark as stored",) if high < white / 2 else ()
    return white, dark


def _seen_through(films: np.ndarray, first: bool, white: float) -> tuple[str, ...]:
    """What is to be said of an alpha channel: it is dropped, as in files."""
    if films.ndim != 4 or films.shape[1 if first else -1] != 4:
        return ()
    alpha = films[:, 3] if first else films[..., 3]
    if min(float(block.min()) for block in _blocks(alpha)) >= white:
        return ()
    return ("with transparent parts: alpha dropped, the colours below it taken",)


def _blocks(film: np.ndarray) -> list[np.ndarray]:
    return [film[start : start + _BLOCK] for start in range(0, len(film), _BLOCK)]


def _words(films: np.ndarray) -> str:
    return f"{films.dtype} {' x '.join(map(str, films.shape))}"


def numbers_of(file: Path) -> list[str] | None:
    """The names of classes 0, 1, ... in classes.txt, a line each; None where there is no such file."""
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise ProviderError(f"{file}: expected a text file in UTF-8") from None
    if "" in names:
        raise ProviderError(
            f"{file}: line {names.index('') + 1} is empty; expected the name of class {names.index('')}"
        )
    return names
