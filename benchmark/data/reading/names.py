"""Names of files as people see them: an accent may be one letter or two (Unicode's NFC and NFD), as systems write it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path


def one_spelling(name: str) -> str:
    """A name in the one of its spellings (NFC) that names are compared in."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def existing(path: Path) -> Path:
    """The path, or the one that differs from it by the spelling of accents alone where that is there and it is not."""
    if str(path).isascii() or path.exists() or path == path.parent:
        return path
    parent = existing(path.parent)
    return parent / _entries(parent).get(one_spelling(path.name), path.name)


@lru_cache(maxsize=64)
def _entries(folder: Path) -> dict[str, str]:
    try:
        return {one_spelling(one.name): one.name for one in folder.iterdir() if not one.name.isascii()}
    except OSError:
        return {}
