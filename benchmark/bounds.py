"""How much of a file is parsed: what is looked at before a parser sees it, so that time and memory follow its bytes alone.

A parser can need far more than the file has bytes: for a text that never ends, a key of ten thousand parts, or a list whose
every item is wrong in fifteen ways. The scans here are linear: each of their patterns takes a token and never gives up one.
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

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from .errors import InputError

DEPTH, TOKENS, LISTS, LETTERS = 24, 2_000_000, 200_000, 65_536
"""Of a file: how deep brackets are nested, how many texts, brackets, commas and colons it has, how many of them open a list
or an object (an empty one takes a parser 2 kB), and how long a text is."""
KEY_PARTS = 8
"""The dots of one key of TOML: `a.b.c` has two."""
FILE_BYTES = 64 << 20
MEMBERS = 8_192
"""The bytes of a file of JSON; the files of a zip archive."""

_JSON = re.compile(r'(?s)"(?:[^"\\]|\\.)*+(?P<end>"?)|(?P<open>[\[{])|(?P<close>[\]}])|[,:]')
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
    too much of either."""
    depth = lists = 0
    for tokens, found in enumerate(_JSON.finditer(text), start=1):
        kind = found.lastgroup
        if kind == "end":
            if not found["end"]:
                raise TooMuch("is cut off: a text in it has no end")
            if found.end() - found.start() > LETTERS:
                raise TooMuch(f"holds a text of more than {LETTERS:,} letters")
        elif kind == "open":
            depth, lists = depth + 1, lists + 1
            if depth > DEPTH:
                raise TooMuch(f"is nested deeper than {DEPTH} levels")
            if lists > LISTS:
                raise TooMuch(f"holds more than {LISTS:,} lists and objects")
        elif kind == "close":
            depth -= 1
        if tokens > most:
            raise TooMuch(f"holds more than {most:,} texts, brackets, commas and colons")


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
