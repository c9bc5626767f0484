"""Entries that were read before: the line of an entry (`handed_over`) under the digest of all that it follows from.

That is every byte that reading looks at, the names and sizes of the other files, the cells that entries share, and the
code. An entry with another file, and any entry for another version of the code, has another digest: nothing can be stale.
What is damaged, or was not used for `DAYS`, is not taken. The home may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from ..benchmark import digest
from ..benchmark.errors import InputError
from ..benchmark.files import write_bytes
from ..benchmark.home import home
from ..benchmark.registry import TASKS, plugins
from .cells import RECORDS
from .entry import DIGESTS, README, RESULTS, SHARED, SUBMISSION
from .handed_over import shown_metrics

DAYS = 30.0
LOOKED_AT = (SUBMISSION, DIGESTS, README, RESULTS, RECORDS)
"""The files of an entry that reading parses."""


def folder() -> Path:
    """Where the lines are kept."""
    return home() / "leaderboard" / "read"


def key_of(files: Mapping[str, Path], shared: str) -> str:
    """The digest of an entry by its files (`entry.entry_files`) and that of the shared cells (`shared_digest`)."""
    parts = [
        [name, digest.of_file(path) if path.name in LOOKED_AT else str(path.stat().st_size)]
        for name, path in files.items()
    ]
    return digest.of_json([_code(), shared, parts])


def shared_digest(root: Path) -> str:
    """The digest of the cells that the entries of a folder share."""
    found = []
    for place, names, files in sorted(os.walk(root / SHARED)):
        for name in sorted((*names, *files)):
            path = Path(place, name)
            mark = str(os.lstat(path).st_mode)
            if path.is_file() and not path.is_symlink():
                mark = digest.of_file(path) if name == RECORDS else str(path.stat().st_size)
            found.append([str(path.relative_to(root)), mark])
    return digest.of_json(found)


@cache
def _code() -> str:
    """The digest of what reads: the code of the engine and the leaderboard, the library of the models, the tasks by name,
    and the metrics that are handed over."""
    found = hashlib.sha256()
    for part in ("benchmark", "leaderboard"):
        for path in sorted((digest.PACKAGE / part).rglob("*.py")):
            found.update(path.relative_to(digest.PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.of_json([found.hexdigest(), metadata.version("pydantic"), sorted(plugins(TASKS)), shown_metrics()])


def find(key: str) -> bytes | None:
    """The line under a key; None where there is none, or it is not what was written."""
    path = folder() / key[:2] / key
    try:
        seal, _, line = path.read_bytes().partition(b"\n")
        if seal.decode("ascii", "replace") != hashlib.sha256(line).hexdigest():
            return None
        os.utime(path)
    except OSError:
        return None
    return line


def keep(key: str, line: bytes) -> None:
    """Keep a line; where the disk does not take it, it is read again the next time."""
    with suppress(InputError):
        write_bytes(folder() / key[:2] / key, hashlib.sha256(line).hexdigest().encode() + b"\n" + line)


def forget_old() -> None:
    """Take away what was not used for `DAYS`."""
    until = time.time() - DAYS * 86400
    for path in folder().glob("??/*"):
        with suppress(OSError):
            if path.stat().st_mtime < until:
                path.unlink()
