"""The catalogue: imported datasets by name, under `home()/datasets`, and those that come with the package.

Listing reads a few hundred bytes a dataset and imports neither numpy nor pandas.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import digest
from ..errors import InputError, unknown
from ..home import home
from ..plain_files import FOLDER, NOTHING, kind_of, open_plain, read_plain
from ..progress import Progress
from .findings import FINDINGS

if TYPE_CHECKING:
    from .dataset import Dataset


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue. `resolution` is None for an embedded set, drawn at any size."""

    name: str
    films: int | None
    resolution: int | None
    organs: tuple[str, ...]
    findings: tuple[str, ...]
    about: str
    folder: Path | None = None


EMBEDDED = {
    "phantom": (
        "phantom.dataset:phantom_dataset",
        Entry(
            name="phantom",
            films=247,
            resolution=None,
            organs=("left_lung", "right_lung", "heart", "left_clavicle", "right_clavicle"),
            findings=(),
            about="embedded: procedural, with JSRT's counts; not comparable with published numbers",
        ),
    ),
    "phantom_hard": (
        "phantom.hard:phantom_hard",
        Entry(
            name="phantom_hard",
            films=247,
            resolution=None,
            organs=("left_lung", "right_lung", "heart", "left_clavicle", "right_clavicle"),
            findings=(),
            about="embedded: procedural, phantom's cases again, as varied, ill and badly taken as in an emergency "
            "department, outlines by a reader who strays; not comparable with published numbers",
        ),
    ),
    "phantom_nih": (
        "phantom.nih_like:phantom_nih",
        Entry(
            name="phantom_nih",
            films=4000,
            resolution=None,
            organs=("left_lung", "right_lung", "heart"),
            findings=FINDINGS,
            about="embedded: procedural, with NIH ChestX-ray14's findings, patients and rates; phantom_nih-<films> "
            "for another size (500 to 120000); not comparable with published numbers",
        ),
    ),
    "phantom_boxes": (
        "phantom.boxes_like:phantom_boxes",
        Entry(
            name="phantom_boxes",
            films=2880,
            resolution=None,
            organs=("left_lung", "right_lung", "heart"),
            findings=FINDINGS,
            about="embedded: procedural, with the structure of NIH's box list (984 boxes on 880 films) and 2,000 "
            "healthy films; not comparable with published numbers",
        ),
    ),
}
"""Datasets that come with the package: name to maker (resolution, progress) and its line of the catalogue."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SIZED = re.compile(r"(phantom_nih)-(\d{1,9})")  # an embedded dataset with another number of films
# Folders that hold an embedded dataset, drawn at some resolution.
_DRAWN = re.compile(rf"({'|'.join(EMBEDDED)})(-\d+)?-\d+-[0-9a-f]{{12}}")


def datasets_folder() -> Path:
    """Where imported datasets lie, each in a folder of its name."""
    return home() / "datasets"


def list_datasets() -> list[Entry]:
    """Embedded datasets, then the imported ones by name. A folder that cannot be read is listed and says
    so.
    """
    listed = [entry for _, entry in EMBEDDED.values()]
    if (kind := kind_of(datasets_folder())) not in (FOLDER, NOTHING):
        raise InputError(f"{datasets_folder()}: expected a folder, found {kind}; move it away")
    if datasets_folder().is_dir():
        folders = [path for path in sorted(datasets_folder().iterdir()) if path.is_dir()]
        listed += [
            _entry(folder)
            for folder in folders
            if not folder.name.startswith(".") and not _DRAWN.fullmatch(folder.name)
        ]
    return listed


def is_drawn(name: str) -> bool:
    """Whether it is the name of an embedded set, which everyone can draw: `phantom`, `phantom_nih-20000`, ..."""
    return name in EMBEDDED or _SIZED.fullmatch(name) is not None


def find_dataset(
    name_or_path: str | Path, resolution: int | None = None, progress: Progress | None = None, *, verify: bool = False
) -> Dataset:
    """A dataset of the catalogue, an embedded one, or a dataset folder, at `resolution` pixels (None: as it
    is kept). Its files are what they were when it was imported (`unchanged.hold`; `verify`: all are read).

    A smaller resolution is made once and kept. InputError for an unknown name (with the nearest ones), a
    folder that is no dataset or was changed, or a resolution above the kept one, which would invent detail.
    """
    name = str(name_or_path)
    progress = progress or Progress()
    if name in EMBEDDED:
        return _embedded(name)(resolution or 256, progress)
    if sized := _SIZED.fullmatch(name):
        return _embedded(sized[1])(resolution or 256, progress, int(sized[2]))
    dataset = _opened(dataset_folder(name_or_path), verify=verify, progress=progress)
    if resolution is None or resolution == dataset.resolution:
        return dataset
    if resolution > dataset.resolution:
        raise InputError(
            f"dataset {dataset.info.name} is kept at {dataset.resolution} pixels, {resolution} were "
            f"asked for; "
            f"import it again with --resolution {resolution} --force"
        )
    return _shrunk(dataset, resolution, verify=verify)


def dataset_folder(name_or_path: str | Path) -> Path:
    """Where an imported dataset lies, or the dataset folder of a path; InputError for an unknown name."""
    name = str(name_or_path).removeprefix("folder:")  # as a provider's folder is written
    folder = datasets_folder() / name
    if _NAME.fullmatch(name) and folder.is_dir():
        return folder
    folder = Path(name).expanduser()
    if not folder.is_dir():
        known = [entry.name for entry in list_datasets()]
        raise unknown(
            "dataset",
            name,
            known,
            "or the path of a dataset folder; see cxrbench data list, and cxrbench data import --help",
        )
    return folder


def _opened(folder: Path, *, verify: bool, progress: Progress | None = None) -> Dataset:
    """A dataset folder that is what it was; InputError where it is not."""
    from .dataset import load_dataset
    from .unchanged import hold

    if not (folder / "dataset.json").is_file() and (said := to_import(folder)):
        raise InputError(said)
    hold(folder, always=verify, progress=progress)
    return load_dataset(folder)


def to_import(folder: Path) -> str:
    """What is to be done with a folder of films that is no dataset: the command that makes one of it. Empty where there are
    no films that it would read."""
    from .importers.manifest_folder import import_command

    if not (command := import_command(folder)):
        return ""
    people = (
        "; each film is then of another person: where names say who is on it, --path 'scans/{patient}_{take}.png' in place "
        "of --patient-from id"
        if "--patient-from" in command
        else ""
    )
    return (
        f"{folder} is a folder of films, not a dataset: `{command} --name NAME` makes one of it, then it is NAME "
        f"here{people} (docs/manifest.md)"
    )


def check_free(name: str, *, force: bool = False) -> Path:
    """The folder for a new dataset. InputError where the name is not allowed, or taken and not `force`."""
    if not _NAME.fullmatch(name) or is_drawn(name) or _DRAWN.fullmatch(name):
        raise InputError(
            f"'{name}' cannot be a dataset's name: letters, digits, '_', '-' and '.', and not {', '.join(EMBEDDED)}"
        )
    folder = datasets_folder() / name
    if folder.exists() and not force:
        raise InputError(f"dataset {name} is there already ({folder}); use --force to replace it, or another --name")
    return folder


def keep(dataset: Dataset, *, force: bool = False) -> Dataset:
    """Put a dataset into the catalogue under its name. `force`: replace an older one once the new one is
    whole.
    """
    from .dataset import load_dataset

    folder = check_free(dataset.info.name, force=force)
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    aside = draft.with_name(draft.name + ".old")
    dataset.save(draft)
    try:
        if folder.exists():
            folder.rename(aside)
        draft.rename(folder)
    except OSError as error:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        shutil.rmtree(draft, ignore_errors=True)
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    shutil.rmtree(aside, ignore_errors=True)
    return load_dataset(folder)


def _embedded(name: str) -> Any:
    module, _, function = EMBEDDED[name][0].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), function)


def _shrunk(dataset: Dataset, resolution: int, *, verify: bool) -> Dataset:
    """The dataset at a smaller resolution, kept by the digest of its content and of the code that resizes."""
    key = digest.of_json(
        [
            dataset.digest,
            dataset.info.name,
            resolution,
            digest.of_code(Path(__file__).with_name("resize.py")),
        ]
    )
    folder = home() / "resized" / f"{resolution}-{key[:24]}"
    if folder.is_dir():
        try:
            return _opened(folder, verify=verify)
        except InputError:  # damaged: made again from the kept one
            shutil.rmtree(folder, ignore_errors=True)
    return dataset.resized(resolution).save(folder)


def _entry(folder: Path) -> Entry:
    try:
        info = json.loads(read_plain(folder / "dataset.json"))
        return Entry(
            name=folder.name,
            films=_count(folder / "images.npy"),
            resolution=info["resolution"],
            organs=tuple(info["organs"]),
            findings=tuple(info["findings"]),
            about=info["provenance"],
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
        return Entry(folder.name, None, None, (), (), f"cannot be read: {type(error).__name__}: {error}", folder)


def _count(path: Path) -> int:
    """The number of films, from the header of a .npy file (format 1.0)."""
    with open_plain(path) as handle:
        start = handle.read(10)
        if start[:6] != b"\x93NUMPY":
            raise ValueError(f"{path.name} is not a .npy file")
        (length,) = struct.unpack("<H", start[8:10])
        return int(ast.literal_eval(handle.read(length).decode("latin1"))["shape"][0])
