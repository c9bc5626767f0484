"""The masks beside a folder of films: which file is of which film and organ, and what was said of what they hold."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..bounds import TooMuch, check_toml
from ..data.dataset import Dataset
from ..data.organs import KNOWN_ORGANS, organ_called, organs_in
from ..data.reading.mask_files import MaskArray
from ..data.reading.mask_kinds import Declared, Ways, parse_declared
from ..data.reading.masks import SHARED, MaskReader
from ..data.reading.names import one_spelling
from ..errors import InputError, ProviderError
from .picture_folders import body_part, film_files, mask_root, organ_of
from .picture_sources import Pictures, finding_of

DECLARED, DECLARED_BYTES = "masks.toml", 65_536
BOTH_LUNGS = (
    "part a mask of both lungs into left_lung/ and right_lung/, or measure on films that have both in one mask too "
    "(cxrbench data import manifest TABLE --mask lungs=masks/{stem}.png)"
)
"""What to do with masks of both lungs beside a training set of two."""
_ENDINGS = ("_mask", "-mask", "_masks", "_seg", "_segmentation", "_label")
_Files = Mapping[str, Path | MaskArray]


def masks_of(folder: Path, pictures: Pictures, train: Dataset) -> tuple[MaskReader | None, tuple[str, ...], list[Path]]:
    """The reader of a folder's masks, what was noticed, and the folders that were read. None where it, or the training set,
    has none. ProviderError where a film has no mask, and where it cannot be told what masks hold; InputError for damage."""
    root, said = mask_root(folder, train.organs, lambda name: finding_of(name, train.info.findings) is not None)
    if train.masks is None:
        names = ", ".join(pictures.masks)
        return None, (f"masks not read: {names} (the training set has none)",) if names else (), []
    if root is not None and pictures.masks:
        raise ProviderError(
            f"{folder}: masks in {root.name}/ and in arrays ({', '.join(pictures.masks)}): expected one of the two"
        )
    if root is None and not pictures.masks:
        return None, (), []
    declared = _declared(folder, root, train.organs)
    taken: list[Path] = []
    if root is None:
        per_film, noticed = _of_arrays(folder, pictures, train.organs)
        root = folder
    else:
        per_film, noticed, taken = _of_folder(folder, root, pictures, train.organs)
    organs = tuple(organ for organ in train.organs if organ in per_film[0])
    if SHARED in per_film[0]:
        organs = train.organs if declared is None else tuple(one for one in train.organs if one in declared.organs)
    elif len(organs) < len(train.organs):
        noticed.append(f"no masks of {', '.join(organ for organ in train.organs if organ not in organs)}")
    where = f"{root}/masks" if root == folder else str(root)
    return MaskReader(per_film, organs, _ways(folder), declared, where), (*said, *noticed), taken


def _of_arrays(folder: Path, pictures: Pictures, organs: Sequence[str]) -> tuple[list[_Files], list[str]]:
    """The masks of each film in arrays: one of all organs, or arrays that are called as organs are."""
    named: dict[str, str] = {}
    for name in pictures.masks:
        organ = organ_of(name, organs) or (SHARED if organ_of(name, KNOWN_ORGANS) is None else name)
        if organ in named:
            raise ProviderError(f"{folder}: {named[organ]} and {name} are both masks of {organ or 'all organs'}")
        named[organ] = name
    if SHARED in named and len(named) > 1:
        raise ProviderError(
            f"{folder}: {named[SHARED]} lies beside masks of organs: expected one an organ, or one for all"
        )
    ours = {organ: name for organ, name in named.items() if organ in (SHARED, *organs)}
    if not ours:
        raise ProviderError(f"{folder}: masks of {', '.join(named)}, expected of {', '.join(organs)}")
    others = [name for organ, name in named.items() if organ not in ours]
    said = [f"masks: the array {', '.join(ours.values())} beside the films"]
    said += [f"{name} is of no organ of the training set ({', '.join(organs)})" for name in others]
    rows = range(len(pictures.ids))
    return [{organ: pictures.masks[name][row] for organ, name in ours.items()} for row in rows], said


def _of_folder(
    folder: Path, root: Path, pictures: Pictures, organs: Sequence[str]
) -> tuple[list[_Files], list[str], list[Path]]:
    """The files of each film, what was noticed, and the folders read."""
    rows = range(len(pictures.ids))
    named = _folders_of_organs(root, organs)
    if not named:
        _check_others(root, pictures, organs)
        files = film_files(root)
        if not files:
            raise ProviderError(f"{root}: expected files of the films' names, or folders {', '.join(organs)}")
        of_names = _of_names(pictures, root, files, organs)
        if of_names is not None:
            return [{organ: found[row] for organ, found in of_names.items()} for row in rows], [], [root]
        return [{SHARED: file} for file in _matched(pictures, root, files, "")], [], [root]
    loose = [path for path in film_files(root) if path.parent == root and root != folder]
    if loose:
        raise ProviderError(
            f"{root}: {loose[0].name} lies beside folders of organs: expected a file an organ, or one for all"
        )
    columns = {organ: _matched(pictures, path, film_files(path), organ) for organ, path in named.items()}
    per_film: list[_Files] = [{organ: columns[organ][row] for organ in named} for row in rows]
    if root == folder:
        return per_film, [], list(named.values())
    others = sorted(path.name for path in root.iterdir() if path.is_dir() and path not in named.values())
    lacking = [organ for organ in organs if organ not in named]
    meant = [name for name in others if body_part(name) or difflib.get_close_matches(name.lower(), lacking)]
    if unread := [name for name in meant if film_files(root / name)] if lacking else []:
        both = any("lung" in name.lower() for name in unread) and {"left_lung", "right_lung"} <= set(lacking)
        raise ProviderError(
            f"{root}: {', '.join(f'{name}/' for name in unread)} is of no organ of the training set, which has "
            f"{', '.join(organs)}: name it after {' or '.join(lacking)}, or move it away"
            f"{f'; {BOTH_LUNGS}' if both else ''}"
        )
    remarks = [f"{root.name}/{name} is of no organ of the training set ({', '.join(organs)})" for name in others]
    remarks += [f"{root.name}/{path.name} is {organ}" for organ, path in named.items() if path.name != organ]
    return per_film, remarks, [root]


def _check_others(root: Path, pictures: Pictures, organs: Sequence[str]) -> None:
    """ProviderError where folders are called after a part of the body that is no organ of the training set: their files
    would be taken for masks of all organs."""
    parts = {key.partition("/")[0] for key in pictures.keys if "/" in key}
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name not in parts]
    called = [path.name for path in folders if body_part(path.name) and film_files(path)]
    if not called:
        return
    both = any("lung" in name.lower() for name in called) and {"left_lung", "right_lung"} <= set(organs)
    to_do = f"; {BOTH_LUNGS}" if both else ""
    raise ProviderError(
        f"{root}: found {', '.join(f'{name}/' for name in called)}, no organ of the training set; expected "
        f"{', '.join(f'{organ}/' for organ in organs)}, those that your films show{to_do}"
    )


def _of_names(
    pictures: Pictures, root: Path, files: Sequence[Path], organs: Sequence[str]
) -> dict[str, list[Path]] | None:
    """The files of each organ that files' names hold beside the film's (`0001_left_lung.png`); None where files have the
    films' names, or hold no organ."""
    stems = [key.rpartition("/")[2] for key in pictures.keys]
    known = {_bare_key(one_spelling(file.stem)) for file in files}
    films = set(stems)
    if films <= known:
        return None
    found: dict[str, dict[str, Path]] = {}
    for file in files:
        held = [
            (organ, _bare_key(rest)) for organ, rest in organs_in(one_spelling(file.stem), (*organs, *KNOWN_ORGANS))
        ]
        if not held:
            return None
        organ, stem = next((one for one in held if one[1] in films), held[0])
        first = found.setdefault(organ, {}).setdefault(stem, file)
        if first is not file:
            raise ProviderError(f"{root}: {first.name} and {file.name} are both {organ} of {stem}")
    columns = {}
    for organ in (one for one in organs if one in found):
        without = [stem for stem in stems if stem not in found[organ]]
        if without:
            raise ProviderError(
                f"{root}: no mask of {organ} of {len(without)} of {len(stems)} films, the first is {without[0]}"
            )
        columns[organ] = [found[organ][stem] for stem in stems]
    return columns or None


def _bare_key(name: str) -> str:
    return name.removesuffix(next((end for end in _ENDINGS if name.endswith(end)), ""))


def _folders_of_organs(root: Path, organs: Sequence[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        organ = organ_of(path.name, organs) if path.is_dir() else None
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
        key = one_spelling(file.relative_to(root).with_suffix("").as_posix())
        ending = next((end for end in (*_ENDINGS, f"_{organ}") if organ + end and key.endswith(end)), "")
        for name in (key, key.removesuffix(ending)):
            known.setdefault(name, file)
    by_name = {name.rpartition("/")[2]: file for name, file in known.items()}
    found = [known.get(key, by_name.get(key.rpartition("/")[2])) for key in pictures.keys]
    without = [place for place, file in zip(pictures.places, found, strict=True) if file is None]
    if without:
        raise ProviderError(
            f"{root}: no mask of {len(without)} of {len(found)} films, the first is {Path(without[0]).name}: expected files "
            "of the films' names, in a folder an organ, or with an organ in the name (0001_left_lung.png)"
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


def _declared(folder: Path, root: Path | None, organs: Sequence[str]) -> Declared | None:
    """What `masks.toml`, beside the films or the masks, says that masks hold; None where there is none."""
    files = [room / DECLARED for room in dict.fromkeys((folder, root or folder)) if (room / DECLARED).is_file()]
    if not files:
        return None
    if len(files) > 1:
        raise ProviderError(f"{files[0]} and {files[1]}: expected one of the two")
    file = files[0]
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
