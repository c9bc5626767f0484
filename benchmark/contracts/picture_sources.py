"""Films as generators write them: pictures (flat, nested, a folder a class), arrays, a dataset of 🤗 `datasets`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.findings import NO_FINDING, known_finding, word_key
from ..data.reading.films import Film, read_film
from ..data.reading.grey import COLOURED, coloured, luminance
from ..data.reading.mask_files import MaskArray
from ..data.reading.names import one_spelling
from ..data.remarks import Remark
from ..errors import ProviderError
from .picture_arrays import numbers_of, read_arrays
from .picture_folders import IMAGES, check_same_names, film_files, is_masks
from .picture_rows import is_arrow, pictures_of_tables

_MASK_ENDINGS = ("_mask", "-mask", "_masks", "_seg", "_segmentation", "_label")

Class = str | int | Sequence[str] | Sequence[int]
"""What a film was made for: the name of a finding, or several, or the number of a class, or 0 and 1 for every finding."""


@dataclass(frozen=True)
class Pictures:
    """Films that can be read one by one. ids: unique names. places: where each is, for messages. keys: paths without
    suffixes, by which masks and tables name them. classes: what each film was made for, where it says so. masks: beside
    the films in their own files, by the name of the array. taken: the files and folders that were read.
    """

    ids: Sequence[str]
    places: Sequence[str]
    keys: Sequence[str]
    read: Callable[[int], Film]
    classes: Sequence[Class] | None = None
    remarks: tuple[str, ...] = ()
    masks: Mapping[str, Sequence[MaskArray]] = field(default_factory=dict)
    taken: tuple[Path, ...] = ()


def find_pictures(folder: Path, findings: Sequence[str], organs: Sequence[str] = ()) -> Pictures:
    """The films of a folder. ProviderError where there are none, or it cannot be told what they are."""
    if not folder.is_dir():
        raise ProviderError(f"{folder}: {'is no folder' if folder.exists() else 'there is no such folder'}")
    if is_arrow(folder):
        return _of_tables(folder)

    def is_class(name: str) -> bool:
        return finding_of(name, findings) is not None

    root = next((folder / name for name in IMAGES if (folder / name).is_dir()), folder)
    files = film_files(root, lambda name: is_masks(name, organs) and not is_class(name))
    if files:
        if root == folder:
            check_same_names(root, files, is_class)
        return _of_files(folder, root, files, findings)
    if any(root.glob("*.np[yz]")):
        return _of_arrays(root)
    if any(folder.glob("*.parquet")):
        return _of_tables(folder)
    named = [path.name for path in sorted(root.iterdir()) if path.is_dir() and is_masks(path.name) and film_files(path)]
    found = f"only {', '.join(named)}, taken for masks by the name" if named else "neither"
    raise ProviderError(
        f"{folder}: expected dataset.json or images/*.png (also other pictures, nested or not, .npz, .npy or a dataset of "
        f"🤗 datasets), found {found}"
    )


def finding_of(name: str, findings: Sequence[str]) -> str | None:
    """Which of the findings, or `NO_FINDING`, a name is in other words or letters; None where it is none of them."""
    same = {word_key(finding): finding for finding in (*findings, NO_FINDING)}
    known = known_finding(name)
    return same.get(word_key(name)) or (known if known in same.values() else None)


def _of_files(folder: Path, root: Path, files: Sequence[Path], findings: Sequence[str]) -> Pictures:
    keys = [one_spelling(path.relative_to(root).with_suffix("").as_posix()) for path in files]
    stems = [one_spelling(path.stem) for path in files]
    ids = stems if len(set(stems)) == len(stems) else keys
    if len(set(ids)) < len(ids):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ProviderError(f"{root}: two films are called {twice}; expected one, of one format")
    known = set(stems)
    for path in files:
        ending = next((end for end in _MASK_ENDINGS if path.stem.endswith(end)), "")
        if ending and path.stem.removesuffix(ending) in known:
            raise ProviderError(f"{path} seems to be a mask among films: put masks into {folder}/masks/<organ>/")
    classes, remarks = _classes_of_folders(folder, root, files, findings)

    def read(row: int) -> Film:
        return read_film(files[row])

    return Pictures(ids, [str(path) for path in files], keys, read, classes, remarks, taken=tuple(files))


def _classes_of_folders(
    folder: Path, root: Path, files: Sequence[Path], findings: Sequence[str]
) -> tuple[list[Class] | None, tuple[str, ...]]:
    """The class that each film's folder names, where folders name findings, or numbers that classes.txt explains; and what
    is to be said. Folders of other names hold no classes."""
    inner = [path.relative_to(root).parts[:-1] for path in files]
    listed = _listed_classes(folder)
    if listed is not None:
        return listed(root, files), ("classes: as dataset.json says",)
    if not findings or not any(inner):
        return None, ()
    names = sorted({name for parts in inner for name in parts})
    if (folder / "classes.txt").is_file() and all(parts and parts[-1].isdecimal() for parts in inner):
        return [int(parts[-1]) for parts in inner], ()
    found = {name: finding_of(name, findings) for name in names}
    per_film = [next((name for name in parts if found[name]), None) for parts in inner]
    if not any(per_film):
        return None, (
            f"folders {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}: no findings, films without labels",
        )
    if None in per_film:
        path = files[per_film.index(None)]
        raise ProviderError(
            f"{path}: other films lie in folders of findings and this one does not (the training set has "
            f"{', '.join(findings)}, and {NO_FINDING})"
        )
    return [str(found[str(name)]) for name in per_film], ("classes: a folder for each finding",)


def _listed_classes(folder: Path) -> Callable[[Path, Sequence[Path]], list[Class]] | None:
    """The classes in a dataset.json as StyleGAN and EDM write it; None where there are none."""
    try:
        labels = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
        numbers: dict[str, Class] = {str(name).replace("\\", "/"): number for name, number in labels}
    except (OSError, ValueError, KeyError, TypeError):
        return None

    def of(root: Path, files: Sequence[Path]) -> list[Class]:
        names = [path.relative_to(root).as_posix() for path in files]
        without = next((name for name in names if name not in numbers), None)
        if without is not None:
            raise ProviderError(f"{folder}/dataset.json: 'labels' has no class of {without}")
        return [numbers[name] for name in names]

    return of


def _of_arrays(root: Path) -> Pictures:
    arrays = read_arrays(root)
    ids = arrays.names or [f"{number:06d}" for number in range(len(arrays.films))]

    def read(row: int) -> Film:
        film = np.asarray(arrays.films[row])
        remarks: tuple[Remark, ...] = ()
        if film.ndim == 3:
            film = np.moveaxis(film, 0, -1) if arrays.channels_first else film
            remarks = (Remark(COLOURED, places[row]),) if film.shape[-1] > 1 and _coloured(film, arrays.white) else ()
            film = film[..., 0] if film.shape[-1] == 1 else _grey(film)
        if film.dtype.kind == "f":
            return Film(np.clip(film, 0, 1).astype(np.float32), remarks=remarks)
        return Film(film.astype(np.float32) / np.float32(arrays.white), remarks=remarks)

    places = [f"{root} film {number}" for number in range(len(ids))]
    masks = {name: [MaskArray(path, one) for one in of_films] for name, (path, of_films) in arrays.masks.items()}
    return Pictures(ids, places, ids, read, arrays.classes, arrays.remarks, masks, arrays.taken)


def _coloured(film: np.ndarray, white: float) -> bool:
    """`coloured`, of floats by their part of 255."""
    if film.dtype.kind == "f":
        return coloured(np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8))
    return coloured(film, 16 if white > 255 else 8)


def _grey(colours: np.ndarray) -> np.ndarray:
    if colours.dtype.kind == "f":
        weights = np.array([0.299, 0.587, 0.114])
        return np.asarray((colours[..., :3].astype(np.float64) * weights).sum(axis=-1))
    deep = colours if colours.dtype.itemsize <= 2 and colours.dtype.kind == "u" else colours.astype(np.uint16)
    return luminance(deep)


def _of_tables(folder: Path) -> Pictures:
    found = pictures_of_tables(folder)

    def read(row: int) -> Film:
        path, data = found.film(row)
        return read_film(path, data=data)

    count = found.count
    ids = [f"{number:06d}" for number in range(count)]
    places = [f"{folder} row {number}" for number in range(count)]
    return Pictures(ids, places, ids, read, found.classes, found.remarks, taken=tuple(found.files))


def class_flags(classes: Sequence[Class], folder: Path, findings: Sequence[str]) -> tuple[np.ndarray | None, str]:
    """Labels uint8 (N, F) of what films were made for, and what is to be said. None where numbers are classes that nobody
    named. ProviderError for a class that is no finding of the training set."""
    classes = [_checked(one, folder) for one in classes]
    names = numbers_of(folder / "classes.txt")
    flags = np.zeros((len(classes), len(findings)), dtype=np.uint8)
    said = f"classes are 0 and 1 for {', '.join(findings)}, in this order" if _are_flags(classes, len(findings)) else ""
    for row, one in enumerate(classes):
        if said:
            flags[row] = np.asarray(one, dtype=np.uint8)
            continue
        for part in _parts(one, names, folder):
            if not isinstance(part, str) and names is None:
                return None, (
                    "classes are numbers and films are without labels: to have them, name class 0 in the first line of "
                    f"{folder}/classes.txt, class 1 in the second, and so on"
                )
            name = (
                part if isinstance(part, str) else names[part] if names and 0 <= part < len(names) else f"class {part}"
            )
            finding = finding_of(name, findings)
            if finding is None:
                raise ProviderError(
                    f"{folder}: '{name}' is no finding of the training set ({', '.join(findings)}), nor {NO_FINDING}"
                )
            if finding != NO_FINDING:
                flags[row, list(findings).index(finding)] = 1
    return flags, said


def _checked(one: Any, folder: Path) -> Class:
    """A film's class as it is, a whole number as one. ProviderError for what a file may hold in its place: nothing, a
    dictionary, a date."""
    many = one if isinstance(one, list | tuple) else [one]
    whole = [int(part) if isinstance(part, float) and part.is_integer() else part for part in many]
    wrong = [part for part in whole if not isinstance(part, str | int | float)]
    if wrong or not (many is one or isinstance(whole[0], str | int)):
        raise ProviderError(
            f"{folder}: the class of a film is {one!r:.60}: expected the name of a finding, the number of a class, or a "
            "list of them"
        )
    return whole if many is one else whole[0]


def _are_flags(classes: Sequence[Class], count: int) -> bool:
    """Whether classes are 0 and 1 for each of `count` findings."""
    return all(not isinstance(one, str | int) and len(one) == count and set(one) <= {0, 1} for one in classes)


def _parts(one: Class, names: Sequence[str] | None, folder: Path) -> Sequence[str | int]:
    """The classes of a film: a row of 0 and 1 is one for each name of classes.txt."""
    if isinstance(one, str | int):
        return [one]
    numbers = [part for part in one if not isinstance(part, str)]
    if names is None or len(numbers) < len(one):
        return list(one)
    if len(numbers) != len(names) or set(numbers) - {0, 1}:
        raise ProviderError(
            f"{folder}: labels have {len(numbers)} values a film, classes.txt names {len(names)}: expected 0 or 1 for each"
        )
    return [number for number, flag in enumerate(numbers) if flag]
