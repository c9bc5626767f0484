"""What a build need not make again: pages and tables under the digest of all that stands in them.

A board is known by what is known of its attempts, in order, with their ranks; what an entry reached there by its attempt and
what the board asks. Where an attempt was not handed over (`Attempt.known`), nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

from .. import kept
from ..standings import Board
from .beside import printed_on, why_none

Files = Mapping[str, bytes]
KIND = "pages"


def board_frame(board: Board) -> str:
    """The digest of what a board is without its attempts: what it asks of each, how their numbers are shown, and what is
    printed beside them."""
    curve = None if board.curve is None else board.curve.model_dump(mode="json", by_alias=True)
    return kept.key_of(
        astuple(board.key),
        repr(board.protocol),
        board.phantom,
        board.sizes,
        board.arms,
        board.places,
        board.size,
        board.arm,
        board.with_placebos,
        board.structures,
        board.settings,
        curve,
        repr(printed_on(board)),
        why_none(board),
        board.films,
    )


def board_digest(board: Board) -> str | None:
    """The digest of a board with everyone on it; None where one of its attempts is not known."""
    parts: list[Any] = [board_frame(board)]
    for division, standings in board.standings.items():
        if not all(one.attempt.known for one in standings):
            return None
        said = [[one.attempt.known, None if one.rank is None else astuple(one.rank), one.reason] for one in standings]
        apart = board.apart[division]
        parts.append([division.value, said, apart.shape, hashlib.sha256(apart.tobytes()).hexdigest()])
    return kept.key_of(*parts)


def made(key: str | None, make: Callable[[], tuple[Any, Files]]) -> tuple[Any, Files]:
    """What `make` makes, a plain value and files by name: taken as it was made before under this key; None: made anew."""
    if key is None:
        return make()
    content = kept.find(KIND, key)
    if content is not None:
        return _read(content)
    said, files = make()
    kept.keep(KIND, key, _written(said, files))
    return said, files


def _written(said: Any, files: Files) -> bytes:
    head = json.dumps([said, [[name, len(content)] for name, content in files.items()]])
    return b"\n".join([head.encode(), b"".join(files.values())])


def _read(content: bytes) -> tuple[Any, Files]:
    head, _, rest = content.partition(b"\n")
    said, lengths = json.loads(head)
    files, at = {}, 0
    for name, length in lengths:
        files[name] = rest[at : at + length]
        at += length
    return said, files
