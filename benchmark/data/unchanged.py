"""Is a kept dataset what it was when its digest was taken? Asked before its films are used for a run.

`dataset.json` says the sha256 of every file, and of the content, which stands in every key. Reading all of it for every run
would be slow, so the state of the files (size, times of change, inode) is kept under `home()/verified` after a full look;
while it is the same, nothing is read again. What that cannot see: a change on the disk below the file system (a flipped bit,
a block device written directly), one made under a clock that was set back, and a page of a memory map that was written but
not yet brought to the disk. `--verify` and `cxrbench data verify` read everything, whatever was kept.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

from .. import digest
from ..errors import InputError
from ..files import write_text
from ..home import home
from ..plain_files import kind_of, read_plain
from ..progress import Progress
from .originals import FILE as ORIGINALS

if TYPE_CHECKING:
    from .dataset import Dataset, DatasetInfo

INFO = "dataset.json"
YOUNG = 2.0
"""A file that changed so many seconds before it was read may change again without another time: it is read again."""
BY_HAND = "; changed by hand: "
"""What stands in the provenance of films that were changed and accepted, before the names of the files."""

State = list[int]


def hold(folder: Path, *, always: bool = False, progress: Progress | None = None) -> None:
    """InputError, naming the file, where a dataset folder is not what its `dataset.json` says.

    Files that are as they were at the last full look are not read again, unless `always`.
    """
    from .dataset import read_info

    folder, info, began = folder.resolve(), read_info(folder), time.time()
    kept = {} if always else _kept(folder)
    now = {name: _state(folder, name) for name in sorted(info.files)}
    said = digest.of_file(folder / INFO)
    known = kept.get("info") == said
    old = kept.get("files", {})
    unread = [name for name in now if not known or now[name] != old.get(name)]
    if known and not unread:
        return
    for number, name in enumerate(unread):
        (progress or Progress()).update(number / len(unread), f"verifying {name}")
        _hold_file(folder, name, info.files[name])
    if not known:
        _hold_content(folder, info)
    _keep(folder, said, {name: state for name, state in now.items() if _old(folder, name, state, began)})


def accept(folder: Path) -> tuple[Dataset, list[str]]:
    """Take the files of a dataset folder as they are now for the dataset, under a new digest: (the dataset, the names of the
    files that had changed). Its provenance says so. InputError where they are no dataset any more.
    """
    from .dataset import load_dataset, read_info

    info = read_info(folder)
    loaded = load_dataset(folder)
    files = {name: digest.of_file(folder / name) for name in info.files}
    fresh = replace(loaded, info=info.changed(), folder=None)
    if fresh.originals is not None:
        fresh = replace(fresh, originals=replace(fresh.originals, known=files[ORIGINALS]))
    _check_values(fresh)
    changed = [name for name in files if files[name] != info.files[name]]
    if not changed and fresh.digest == info.digest and fresh.truth == (info.truth or fresh.truth):
        hold(folder)
        return loaded, []
    before, _, by_hand = info.provenance.partition(BY_HAND)
    names = sorted({*filter(None, by_hand.split(", ")), *(changed or [INFO])})
    values = {"digest": fresh.digest, "truth": fresh.truth, "files": files}
    said = info.model_copy(update={**values, "provenance": f"{before}{BY_HAND}{', '.join(names)}"})
    write_text(folder / INFO, said.model_dump_json(by_alias=True, indent=1))
    return load_dataset(folder), changed or [INFO]


def _state(folder: Path, name: str) -> State:
    """What changes when a file is written: size, times in ns, inode. The device is left out: another machine numbers it
    otherwise."""
    try:
        found = (folder / name).stat()
    except FileNotFoundError:
        raise InputError(f"{folder}: {name} is missing; put it back, or import again with --force") from None
    except OSError as error:
        raise InputError(f"{folder}: {name} cannot be read: {error.strerror or error}") from None
    if not (S_ISREG(found.st_mode) or S_ISDIR(found.st_mode)):  # a pipe would be waited for
        raise InputError(
            f"{folder}: {name}: expected a file, found {kind_of(folder / name)}; import again with --force"
        )
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _old(folder: Path, name: str, state: State, began: float) -> bool:
    """Whether a file's state, taken before it was read, says for later that nothing changed."""
    return max(state[1:3]) < (began - YOUNG) * 1e9 and _state(folder, name) == state


def _hold_file(folder: Path, name: str, expected: str) -> None:
    try:
        found = digest.of_file(folder / name)
    except OSError as error:
        raise InputError(f"{folder}: {name} cannot be read: {error.strerror or error}") from None
    if found != expected:
        raise InputError(_changed(folder, f"{name} (sha256 {found[:12]}, dataset.json says {expected[:12]})"))


def _hold_content(folder: Path, info: DatasetInfo) -> None:
    """The content has the digests that `dataset.json` says; one without any has no results under them either."""
    from .dataset import load_dataset

    if not info.digest:
        return
    fresh = replace(load_dataset(folder), info=info.changed(), folder=None)
    for what, found, expected in (("content", fresh.digest, info.digest), ("truth", fresh.truth, info.truth)):
        if expected and found != expected:
            told = f"{INFO} (it gives {expected[:12]} for the digest of the {what}, which is {found[:12]})"
            raise InputError(_changed(folder, told))


def _changed(folder: Path, what: str) -> str:
    name = folder.name if folder.parent == (home() / "datasets").resolve() else folder
    return (
        f"{folder}: {what} is not as it was imported; put the old file back, import again with --force, or, where the "
        f"change is meant, `cxrbench data accept {name}` (other films: results are made anew)"
    )


def _check_values(dataset: Dataset) -> None:
    """InputError where values cannot be: findings other than 0 and 1, mask bits of no organ."""
    cases, info = dataset.cases, dataset.info
    for finding in info.findings:
        if finding not in cases or not cases[finding].isin((0, 1)).all():
            raise InputError(f"dataset {info.name}: the column {finding} of cases.parquet must hold 0 and 1 alone")
    for start in range(0, len(dataset) if dataset.masks is not None else 0, 256):
        highest = int(dataset.masks[start : start + 256].max())  # type: ignore[index]  # there are masks
        if highest >= 1 << len(info.organs):
            raise InputError(
                f"dataset {info.name}: masks.npy holds {highest}, expected bit flags of {len(info.organs)} organs "
                f"(0 to {(1 << len(info.organs)) - 1})"
            )


def _place(folder: Path) -> Path:
    return home() / "verified" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}.json"


def _kept(folder: Path) -> dict[str, Any]:
    try:
        kept = json.loads(read_plain(_place(folder)))
        return kept if kept["folder"] == str(folder) and isinstance(kept["files"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep(folder: Path, info: str, files: dict[str, State]) -> None:
    with suppress(InputError):  # a home that cannot be written: read again next time
        write_text(_place(folder), json.dumps({"folder": str(folder), "info": info, "files": files}))
