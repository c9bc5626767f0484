"""Entries that were read before: the line of an entry (`handed_over`) under the digest of all that it follows from.

That is every byte that reading looks at, the names and sizes of the other files, the cells that entries share, and the
code. An entry with another file, and any entry for another version of the code, has another digest: nothing can be stale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..benchmark import digest
from ..benchmark.registry import TASKS, plugins
from . import kept
from .cells import RECORDS
from .entry import DIGESTS, README, RESULTS, SHARED, SUBMISSION
from .handed_over import shown_metrics

KIND = "read"
LOOKED_AT = (SUBMISSION, DIGESTS, README, RESULTS, RECORDS)
"""The files of an entry that reading parses."""


def key_of(files: Mapping[str, Path], shared: str) -> str:
    """The digest of an entry by its files (`entry.entry_files`) and that of the shared cells (`shared_digest`)."""
    parts = [
        [name, _of_file(path) if name.rpartition("/")[2] in LOOKED_AT else str(os.stat(path).st_size)]
        for name, path in files.items()
    ]
    return digest.of_json([_code(), shared, parts])


def _of_file(path: Path) -> str:
    """As `digest.of_file`, for files that are small (`untrusted.MAX_BYTES`): many of them take a quarter of the time."""
    with open(path, "rb", buffering=0) as handle:
        return hashlib.sha256(handle.read()).hexdigest()


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
    """The digest of what reads: the code, the tasks by name, and the metrics that are handed over."""
    return digest.of_json([kept.code(), sorted(plugins(TASKS)), shown_metrics()])


def find(key: str) -> bytes | None:
    """The line under a key; None where there is none, or it is not what was written."""
    return kept.find(KIND, key)


def keep(key: str, line: bytes) -> None:
    """Keep a line; where the disk does not take it, it is read again the next time."""
    kept.keep(KIND, key, line)
