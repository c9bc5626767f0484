"""What lies in a folder of films by its name: films, masks, or neither. What is read as neither is named, never dropped."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ..data.organs import KNOWN_ORGANS, organ_called, organs_in
from ..data.reading.films import is_film
from ..errors import ProviderError

IMAGES, MASKS = ("images", "films"), ("masks", "mask")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MASK_WORDS = _words(
    "mask masks seg segs segmentation segmentations segmented segmap label labels labelmap annotation annotations annot "
    "anno contour contours gt groundtruth truth roi rois"
)
_NEUTRAL = _words("image images img imgs picture pictures png film films file files manual ground organ organs")
_PARTS = _words(
    "lung lungs heart hearts clavicle clavicles cardiomediastinum mediastinum thorax chest rib ribs spine diaphragm trachea"
)
_SIDES = _words("left right both l r")
_NO_FILM = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".toml", ".xlsx", ".parquet", ".npz", ".npy")
_OURS = ("dataset.json", "classes.txt", "trained_on.txt", "masks.toml")
_NAMED = 5


def is_masks(name: str, organs: Sequence[str] = ()) -> bool:
    """Whether a folder or an array of this name holds masks: `masks`, `Mask_images`, `segmentation`, `labels`, an organ."""
    return _of_masks(name) or organ_of(name, (*organs, *KNOWN_ORGANS)) is not None


def organ_of(name: str, organs: Sequence[str]) -> str | None:
    """The organ that a folder or an array is called by, alone or with a word for masks (`left_lung_masks`)."""
    organ = organ_called(name, organs)
    return organ or next((one for one, rest in organs_in(name, organs) if _of_masks(rest)), None)


def body_part(name: str) -> bool:
    """Whether a folder is called after a part of the body, alone or with sides and words for masks (`lungs`, `Lung masks`,
    `heart`, `clavicles_seg`)."""
    words = {word.lower() for word in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)) if word}
    return bool(words & _PARTS) and words <= _PARTS | _SIDES | _MASK_WORDS | _NEUTRAL


def _of_masks(name: str) -> bool:
    words = [word.lower() for word in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)) if word]
    return bool(_MASK_WORDS & set(words)) and set(words) <= _MASK_WORDS | _NEUTRAL


def film_files(root: Path, left_out: Callable[[str], bool] | None = None) -> list[Path]:
    """The pictures below a folder, sorted; not those in hidden folders, and in folders whose names are `left_out` (by
    default those called masks)."""
    out = left_out or (lambda name: name.lower() in MASKS)
    found = []
    for path in sorted(root.rglob("*")):
        folders = path.relative_to(root).parts[:-1]
        if path.suffix.lower() not in _NO_FILM and not any(name.startswith(".") or out(name) for name in folders):
            found += [path] if is_film(path) else []
    return found


def mask_root(folder: Path, organs: Sequence[str], is_class: Callable[[str], bool]) -> tuple[Path | None, list[str]]:
    """The folder of a folder's masks, and what is to be said of it: `masks`, else the one folder that its name says it of,
    else the folder itself where folders of organs lie right in it. ProviderError where there are several."""
    rooms = [folder, *(folder / name for name in IMAGES)]
    below = [path for room in rooms if room.is_dir() for path in sorted(room.iterdir()) if path.is_dir()]
    called = [path for path in below if path.name.lower() in MASKS]
    below = [path for path in below if path not in called and not is_class(path.name)]
    of_organs = [path for path in below if path.parent == folder and organ_of(path.name, organs) is not None]
    of_organs = [path for path in of_organs if film_files(path)]
    others = [path for path in below if _of_masks(path.name) and film_files(path)]
    found = called or [*([folder] if of_organs else []), *others]
    if len(found) > 1:
        names = ", ".join(path.name for path in (called or [*of_organs, *others]))
        raise ProviderError(f"{folder}: which of {names} has the masks? Call it masks, and move the others away")
    if not found or called:
        return (found[0], []) if found else (None, [])
    if found[0] == folder:
        return folder, [f"masks: the folders {', '.join(path.name for path in of_organs)} beside the films"]
    return found[0], [f"masks: {found[0].relative_to(folder).as_posix()}/ taken for them"]


def check_same_names(root: Path, files: Sequence[Path], is_class: Callable[[str], bool]) -> None:
    """ProviderError where folders of a folder hold files of the same names, as films and their masks do, and neither is
    a class; numbered ones (`0`, `run2`) are parts of a set."""
    first: dict[str, str] = {}
    for path in files:
        place = path.relative_to(root).parent
        if any(is_class(part) for part in place.parts):
            continue
        other = first.setdefault(path.stem, place.as_posix())
        if other != place.as_posix() and not _parts_of_one(other, place.as_posix()):
            names = " and ".join(
                "the folder itself" if name == "." else f"{name}/" for name in (other, place.as_posix())
            )
            raise ProviderError(
                f"{root}: {names} hold files of the same name ({path.stem}): films and their masks? Put films into images/ "
                "(there in folders of any name), masks into masks/<organ>/"
            )


def _parts_of_one(one: str, other: str) -> bool:
    """Whether two names differ by a number alone."""
    return one != "." != other and re.sub(r"\d+", "0", one) == re.sub(r"\d+", "0", other)


def not_read(folder: Path, taken: Collection[Path], organs: Sequence[str]) -> tuple[str, ...]:
    """The folders, tables and arrays of a folder that were not read, a line for folders and one for files. taken: files
    and folders that were."""
    read = set(taken)
    above = {parent for one in read for parent in one.parents}
    folders, files = [], []

    def look(place: Path) -> None:
        for path in sorted(place.iterdir()):
            name = path.relative_to(folder).as_posix()
            if path.name.startswith(".") or path in read or name in _OURS:
                continue
            if path in above:
                look(path)
            elif path.is_dir() and any(path.iterdir()):
                folders.append(f"{name}/")
            elif path.suffix.lower() in _NO_FILM and path.is_file():
                files.append(name)

    look(folder)
    lines = [f"not read: {_listed(names)}" for names in (folders, files) if names]
    if not organs and any(is_masks(Path(name).name) and film_files(folder / name) for name in folders):
        lines[0] += " (the training set has no masks)"
    return tuple(lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
