"""The masks beside a folder of films: which file is of which film and organ, and what was said of what they hold."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..bounds import TooMuch, check_toml
from ..data.dataset import Dataset
from ..data.organs import organ_called
from ..data.reading.mask_kinds import Declared, Ways, parse_declared
from ..data.reading.masks import SHARED, MaskReader
from ..errors import InputError, ProviderError
from .picture_sources import MASKS, Pictures, film_files

DECLARED, DECLARED_BYTES = "masks.toml", 65_536
_ENDINGS = ("_mask", "-mask", "_masks", "_seg")


def masks_of(folder: Path, pictures: Pictures, train: Dataset) -> tuple[MaskReader | None, tuple[str, ...]]:
    """The reader of a folder's masks, and what was noticed. None where it, or the training set, has none. ProviderError
    where a film has no mask, and where it cannot be told what masks hold; InputError for damaged files."""
    root = next((folder / name for name in (*MASKS, "Masks") if (folder / name).is_dir()), None)
    if train.masks is None or root is None:
        return None, ()
    declared = _declared(folder, train.organs)
    named = _folders_of_organs(root, train.organs)
    if not named:
        files = film_files(root)
        if not files:
            raise ProviderError(f"{root}: expected files of the films' names, or folders {', '.join(train.organs)}")
        organs = train.organs if declared is None else tuple(one for one in train.organs if one in declared.organs)
        per_film: list[Mapping[str, Path]] = [{SHARED: file} for file in _matched(pictures, root, files, "")]
        return MaskReader(per_film, organs, _ways(folder), declared, str(root)), ()
    loose = [path for path in film_files(root) if path.parent == root]
    if loose:
        raise ProviderError(
            f"{root}: {loose[0].name} lies beside folders of organs: expected a file an organ, or one for all"
        )
    organs = tuple(organ for organ in train.organs if organ in named)
    columns = {organ: _matched(pictures, named[organ], film_files(named[organ]), organ) for organ in organs}
    per_film = [{organ: columns[organ][row] for organ in organs} for row in range(len(pictures.ids))]
    others = sorted(path.name for path in root.iterdir() if path.is_dir() and path not in named.values())
    remarks = [f"{root.name}/{name} is of no organ of the training set ({', '.join(train.organs)})" for name in others]
    remarks += [f"{root.name}/{path.name} is {organ}" for organ, path in named.items() if path.name != organ]
    without = [organ for organ in train.organs if organ not in named]
    if without:
        remarks.append(f"no masks of {', '.join(without)}")
    return MaskReader(per_film, organs, _ways(folder), declared, str(root)), tuple(remarks)


def _folders_of_organs(root: Path, organs: Sequence[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        organ = organ_called(path.name, organs) if path.is_dir() else None
        if organ is not None:
            if organ in named:
                raise ProviderError(
                    f"{root}: {named[organ].name} and {path.name} are both {organ}; expected one folder"
                )
            named[organ] = path
    return {organ: named[organ] for organ in organs if organ in named}


def _matched(pictures: Pictures, root: Path, files: Sequence[Path], organ: str) -> list[Path]:
    """The file of each film, by its path or its name, which may end in `_mask` or the organ."""
    known: dict[str, Path] = {}
    for file in files:
        key = file.relative_to(root).with_suffix("").as_posix()
        ending = next((end for end in (*_ENDINGS, f"_{organ}") if organ + end and key.endswith(end)), "")
        for name in (key, key.removesuffix(ending)):
            known.setdefault(name, file)
    by_name = {name.rpartition("/")[2]: file for name, file in known.items()}
    found = [known.get(key, by_name.get(key.rpartition("/")[2])) for key in pictures.keys]
    without = [place for place, file in zip(pictures.places, found, strict=True) if file is None]
    if without:
        raise ProviderError(
            f"{root}: no mask of {len(without)} of {len(found)} films, the first is {Path(without[0]).name}"
        )
    files_found = [file for file in found if file is not None]
    if len(set(files_found)) < len(files_found):
        twice = next(file for file in files_found if files_found.count(file) > 1)
        raise ProviderError(f"{twice} would be the mask of several films; expected the films' folders in {root} too")
    return files_found


def _ways(folder: Path) -> Ways:
    def way(text: str) -> str:
        return (
            f'write masks = "{text}" into {folder / DECLARED}' if ":" in text else f"add {text} in {folder / DECLARED}"
        )

    return way


def _declared(folder: Path, organs: Sequence[str]) -> Declared | None:
    """What `masks.toml` beside the films says that masks hold; None where there is none."""
    file = folder / DECLARED
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > DECLARED_BYTES:
            raise TooMuch(f"has more than {DECLARED_BYTES:,} bytes")
        said = file.read_text(encoding="utf-8-sig")
        check_toml(said)
        declared = parse_declared(tomllib.loads(said)["masks"])
    except TooMuch as error:
        raise ProviderError(f"{file} {error}") from None
    except (OSError, ValueError, KeyError, AttributeError):
        raise ProviderError(f'{file}: expected a line masks = "labels:left_lung=1,right_lung=2"') from None
    except InputError as error:
        raise ProviderError(f"{file}: {error}") from None
    values = {organ_called(name, organs) or name: value for name, value in declared.organs.items()}
    if not set(values) & set(organs):
        raise ProviderError(f"{file}: names none of {', '.join(organs)}, the organs of the training set")
    return Declared(declared.kind, values, declared.ignored)
