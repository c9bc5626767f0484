"""What was worked out before and need not be again: bytes below the home, by kind, each under the digest of all that they
follow from, the code among them. What is damaged, or was not used for `DAYS`, is not taken. The home may be deleted at any
time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..benchmark import digest
from ..benchmark.errors import InputError
from ..benchmark.files import write_bytes
from ..benchmark.home import home

DAYS = 30.0
DAY = 86400.0
MOST_BYTES = 1 << 30
"""Of a kind, after a build."""
MADE_OF = ("benchmark", "leaderboard")
LIBRARIES = ("pydantic", "jinja2", "markupsafe", "numpy", "scipy", "pillow")


def folder(kind: str) -> Path:
    """Where the bytes of a kind are kept."""
    return home() / "leaderboard" / kind


@cache
def code() -> str:
    """The digest of the code, templates and tables of the engine and the leaderboard, and of the libraries that they use."""
    found = hashlib.sha256()
    for part in MADE_OF:
        for path in sorted((digest.PACKAGE / part).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                found.update(path.relative_to(digest.PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.of_json([found.hexdigest(), sys.version, [metadata.version(name) for name in LIBRARIES]])


def key_of(*parts: Any) -> str:
    """The digest of JSON values (those that JSON does not have, NaN among them, in words) with that of the code."""
    said = json.dumps([code(), *parts], sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(said.encode()).hexdigest()


def find(kind: str, key: str) -> bytes | None:
    """The bytes under a key; None where there are none, or they are not what was written."""
    path = folder(kind) / key[:2] / key
    try:
        seal, _, content = path.read_bytes().partition(b"\n")
        if seal.decode("ascii", "replace") != _seal(key, content):
            return None
        if path.stat().st_mtime < time.time() - DAY:
            os.utime(path)
    except OSError:
        return None
    return content


def keep(kind: str, key: str, content: bytes) -> None:
    """Keep bytes; where the disk does not take them, they are made again the next time."""
    with suppress(InputError):
        write_bytes(folder(kind) / key[:2] / key, _seal(key, content).encode() + b"\n" + content)


def _seal(key: str, content: bytes) -> str:
    return hashlib.sha256(key.encode() + b"\0" + content).hexdigest()


def forget_old(kind: str) -> None:
    """Take away what was not used for `DAYS`, and beyond `MOST_BYTES` what was not used for longest."""
    found = list[tuple[float, int, Path]]()
    for path in folder(kind).glob("??/*"):
        with suppress(OSError):
            said = path.stat()
            found.append((said.st_mtime, said.st_size, path))
    until, left = time.time() - DAYS * DAY, MOST_BYTES
    for used, size, path in sorted(found, reverse=True):
        left -= size
        if used < until or left < 0:
            with suppress(OSError):
                path.unlink()
