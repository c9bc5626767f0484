"""How much of a file is parsed: what is looked at before a parser sees it, so that time and memory follow its bytes alone.

A parser can need far more than the file has bytes: for a text that never ends, a key of ten thousand parts, or a list whose
every item is wrong in fifteen ways. The scans here are linear: that of JSON looks at its bytes together, a chunk at a time,
and the patterns of TOML take a token and never give up one.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from .errors import InputError

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DEPTH, TOKENS, LISTS, LETTERS = 24, 2_000_000, 200_000, 65_536
"""Of a file: how deep brackets are nested, how many texts, brackets, commas and colons it has, how many of them open a list
or an object (an empty one takes a parser 2 kB), and how long a text is."""
KEY_PARTS = 8
"""The dots of one key of TOML: `a.b.c` has two."""
FILE_BYTES = 64 << 20
MEMBERS = 8_192
"""The bytes of a file of JSON; the files of a zip archive."""

CHUNK = 1 << 18
"""Bytes of JSON that are looked at together."""

_QUOTE, _ESCAPE, _OPEN, _CLOSE, _BETWEEN = range(1, 6)
_KINDS_OF = np.zeros(256, np.uint8)
for _kind, _letters in ((_QUOTE, b'"'), (_ESCAPE, b"\\"), (_OPEN, b"[{"), (_CLOSE, b"]}"), (_BETWEEN, b",:")):
    _KINDS_OF[list(_letters)] = _kind
_KINDS = _KINDS_OF.tobytes()
_TOML = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5})?"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<dot>\.)|(?P<end>[\n=,])"
)


class TooMuch(InputError):
    """A file that is not parsed; what it holds too much of, in words that follow its name."""


def check_json(text: str, most: int = TOKENS) -> None:
    """TooMuch for a JSON text (or lines of them) with texts that do not end or are too long, brackets that are too deep, or
    too much of either. What a parser does not get to, behind the first mistake, counts as it may."""
    raw = text.encode("utf-8", "surrogatepass")
    scan = _Scan(raw, most)
    for start in range(0, len(raw), CHUNK):
        scan.take(start, np.frombuffer(raw, np.uint8, min(CHUNK, len(raw) - start), start))
    if scan.begun is not None:
        raise TooMuch("is cut off: a text in it has no end")


class _Scan:
    """How far a JSON text has been looked at: counts so far, where the text began that has not ended (None outside of one),
    and whether the next byte is escaped."""

    def __init__(self, raw: bytes, most: int) -> None:
        self.raw, self.most = raw, most
        self.tokens = self.lists = self.depth = 0
        self.begun: int | None = None
        self.escaped = False

    def take(self, start: int, part: Bytes) -> None:
        """The next bytes, those from `start` on. TooMuch for what there is too much of, whatever comes first."""
        kinds = np.frombuffer(part.tobytes().translate(_KINDS), np.uint8)
        at = np.flatnonzero(kinds != 0)
        kind = kinds[at]
        quotes = kind == _QUOTE
        if self.escaped or (kind == _ESCAPE).any():
            quotes &= ~self._escaped(at[kind == _ESCAPE], len(part))[at]
        inside = (np.cumsum(quotes) + (self.begun is not None)) % 2 == 1  # a quote: whether it begins a text
        opens, closes = (~inside & (kind == one) for one in (_OPEN, _CLOSE))
        counted = opens | closes | (~inside & (kind == _BETWEEN)) | (inside & quotes)
        ends = at[quotes & ~inside] + start
        begins = at[quotes & inside] + start
        if self.begun is not None:
            begins = np.concatenate(([self.begun], begins))
        found = list[tuple[int, str]]()
        depth = self.depth + np.cumsum(opens.astype(np.int64) - closes)
        for values, limit, words in (
            (depth, DEPTH, f"is nested deeper than {DEPTH} levels"),
            (self.lists + np.cumsum(opens), LISTS, f"holds more than {LISTS:,} lists and objects"),
            (
                self.tokens + np.cumsum(counted),
                self.most,
                f"holds more than {self.most:,} texts, brackets, commas and colons",
            ),
        ):
            if (beyond := values > limit).any():
                found.append((int(at[np.argmax(beyond)]) + start, words))
        found += self._long(begins, ends)
        if found:
            raise TooMuch(min(found, key=lambda one: one[0])[1])
        self.tokens, self.lists = self.tokens + int(counted.sum()), self.lists + int(opens.sum())
        self.depth = int(depth[-1]) if len(depth) else self.depth
        self.begun = int(begins[-1]) if len(begins) > len(ends) else None

    def _escaped(self, at: Places, length: int) -> Flags:
        """Which bytes are escaped, of the backslashes at those places: every second of those that follow each other."""
        escaped = np.zeros(length + 1, np.bool_)
        number = np.arange(len(at))
        first = np.maximum.accumulate(np.where(np.diff(at, prepend=-2) != 1, number, 0))
        turn = number - first
        if self.escaped and len(at) and at[0] == 0:
            turn[first == 0] += 1
        else:
            escaped[0] = self.escaped
        escaped[at[turn % 2 == 0] + 1] = True
        self.escaped = bool(escaped[-1])
        return escaped

    def _long(self, begins: Places, ends: Places) -> Iterator[tuple[int, str]]:
        """Where the first text begins that has too many letters."""
        begins = begins[: len(ends)]
        for which in np.flatnonzero(ends + 1 - begins > LETTERS):
            begin, end = int(begins[which]), int(ends[which]) + 1
            if len(self.raw[begin:end].decode("utf-8", "surrogatepass")) > LETTERS:
                yield begin, f"holds a text of more than {LETTERS:,} letters"
                return


def check_json_file(path: Path, model: type[BaseModel], most: int = TOKENS) -> None:
    """TooMuch for a file of JSON that is too large, or has too much as `check_json` says, or is no such model: what passes
    is read by any parser in the time and memory that its bytes take."""
    if (size := path.stat().st_size) > FILE_BYTES:
        raise TooMuch(f"has {size:,} bytes; at most {FILE_BYTES:,} are read")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise TooMuch("is not UTF-8") from None
    check_json(text, most)
    try:
        validator(model).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200] or "the file"
        raise TooMuch(f"is not a valid {model.__name__} ({where}: {first['msg'][:200]})") from None


def check_toml(text: str) -> None:
    """TooMuch for a TOML text whose brackets are too deep or whose keys have too many parts."""
    depth = dots = 0
    for found in _TOML.finditer(text):
        match found.lastgroup:
            case "open":
                depth, dots = depth + 1, 0
            case "close":
                depth, dots = depth - 1, 0
            case "dot":
                dots += 1
            case "end":
                dots = 0
        if depth > DEPTH:
            raise TooMuch(f"is nested deeper than {DEPTH} levels")
        if dots > KEY_PARTS:
            raise TooMuch(f"has a key of more than {KEY_PARTS} dots; expected keys like provider.name")


def check_zip(path: Path) -> None:
    """TooMuch for a zip archive of more than `MEMBERS` files, or one whose last 22 bytes do not say how many it has."""
    with path.open("rb") as handle:
        size = handle.seek(0, io.SEEK_END)
        handle.seek(max(0, size - 42))
        end = handle.read().rjust(42, b"\0")
    if end[20:24] != b"PK\5\6" or end[-2:] != b"\0\0" or end[:4] == b"PK\6\7":
        raise TooMuch("does not end as a zip archive without a comment and of less than 4 GB does")
    count, length = struct.unpack("<HI", end[30:36])
    if count > MEMBERS or length > MEMBERS * 256:
        raise TooMuch(f"holds more than {MEMBERS:,} files")


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Within the block this process may take at most so many bytes more than it has: what asks for more fails there, with a
    MemoryError in Python and in Arrow. Nothing is limited where the system does not say how many it has (not Linux)."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + most
    within = [limit for limit in (soft, hard, wanted) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(within), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@cache
def validator(model: type[BaseModel]) -> SchemaValidator:
    """The model's validator that stops a list at its first wrong item: one of a million wrong ones would hold millions of
    errors otherwise."""
    schema = _failing_fast(TypeAdapter(model).core_schema)
    try:
        return SchemaValidator(schema, _use_prebuilt=False)
    except TypeError:  # pydantic before 2.12
        return SchemaValidator(schema)


def _failing_fast(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_failing_fast(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _failing_fast(part) for key, part in schema.items()}
    return found | {"fail_fast": True} if schema.get("type") in ("list", "tuple", "set", "frozenset") else found
