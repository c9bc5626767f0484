"""Reading files that nobody vouches for: an entry is data from strangers.

Nothing here executes, unpickles, unpacks or follows a link. Sizes are looked at before anything is read, JSON and TOML
before they are parsed (`benchmark.bounds`), and whatever a parser raises becomes one line that names the file.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..benchmark.bounds import TooMuch, check_json, check_toml, validator
from ..benchmark.errors import InputError

MAX_FILES, MAX_BYTES, MAX_DEPTH = 256, 24 << 20, 4
JSON_BYTES, TEXT_BYTES = 16 << 20, 64 << 10
JSON_INTEGER = 2**63
BYTE_ORDER_MARK = "\ufeff"
WINDOWS_LINE_ENDS = "has Windows line ends (CRLF); write it with LF, and clone with core.autocrlf=false or input"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows cannot write
_TAG = re.compile(r"<\s*[A-Za-z/!?]|&#|&[A-Za-z]{1,31};", re.ASCII)
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"')
_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl", ".egg", ".jar")
_CODE = (
    ".pkl",
    ".pickle",
    ".pt",
    ".pth",
    ".ckpt",
    ".joblib",
    ".npy",
    ".py",
    ".pyc",
    ".so",
    ".sh",
    ".exe",
    ".js",
    ".html",
)

Model = TypeVar("Model", bound=BaseModel)


class Refused(InputError):
    """Something of an entry that is not read any further; one line."""


def shown(name: object) -> str:
    """A name of the entry for a message: printable ASCII, short."""
    text = ascii(str(name))[1:-1]
    return text if len(text) <= 80 else f"{text[:77]}..."


# ---------------------------------------------------------------------------------------------------------- folders


def files_below(folder: Path, most: int = MAX_FILES) -> dict[str, Path]:
    """Every file below a folder by its path relative to it, in order. Refused: links, devices, odd names, too much."""
    if folder.is_symlink():
        raise Refused(f"{shown(folder.name)} is a symbolic link; an entry is a folder of plain files")
    if not folder.is_dir():
        raise Refused(f"{shown(folder)} is no folder")
    found: dict[str, Path] = {}
    total = 0
    for name, path, size in _walk(folder, 0):
        found[name] = path
        total += size
        if len(found) > most or total > MAX_BYTES:
            raise Refused(f"too much: at most {most:,} files and {MAX_BYTES >> 20} MiB are read")
    lower: dict[str, str] = {}
    for name in found:
        other = lower.setdefault(name.lower(), name)
        if other != name:
            raise Refused(f"{shown(name)} and {shown(other)} are one file where case does not count; rename one")
    return dict(sorted(found.items()))


def _walk(folder: Path, depth: int, before: str = "") -> Iterator[tuple[str, Path, int]]:
    """The files below a folder: name from the first folder on, path and size."""
    if depth >= MAX_DEPTH:
        raise Refused(f"{shown(folder.name)}: folders deeper than {MAX_DEPTH} levels are not read")
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda one: one.name)
    if depth and not entries:
        raise Refused(f"{shown(folder.name)} is an empty folder; remove it")
    for entry in entries:
        check_name(entry.name)
        found = entry.stat(follow_symlinks=False)
        mode = found.st_mode
        if stat.S_ISLNK(mode):
            raise Refused(f"{shown(entry.name)} is a symbolic link; put the file itself there")
        if stat.S_ISDIR(mode):
            yield from _walk(Path(entry.path), depth + 1, f"{before}{entry.name}/")
        elif not stat.S_ISREG(mode):
            raise Refused(f"{shown(entry.name)} is no plain file")
        elif found.st_nlink > 1:
            raise Refused(f"{shown(entry.name)} is a hard link to another file; copy it")
        else:
            yield f"{before}{entry.name}", Path(entry.path), found.st_size


def check_name(name: str) -> None:
    """Refuse a file or folder name that is not plain: hidden, not ASCII, a path, a device of Windows."""
    if not _PART.fullmatch(name) or name.endswith(".") or _DEVICE.fullmatch(name):
        raise Refused(f"the name {shown(name)} is not allowed: ASCII letters, digits, '_', '-', '.', no leading dot")


def unexpected(name: str) -> str:
    """Why a file that the format does not know is refused."""
    lower = name.lower()
    if lower.endswith(_ARCHIVES):
        return f"{shown(name)} is an archive; nothing is unpacked, put plain files there"
    if lower.endswith(_CODE) or lower.endswith(".safetensors"):
        return f"{shown(name)}: code, pickles and weights do not belong in an entry (link them from submission.toml)"
    return f"{shown(name)} is no file of the format; remove it (see submissions/README.md)"


# ------------------------------------------------------------------------------------------------------------- text


def plain_file(path: Path, limit: int) -> Path:
    """The path, where it is a plain file of at most `limit` bytes."""
    if path.is_symlink() or not path.is_file():
        raise Refused(f"{shown(path.name)} is missing or no plain file")
    size = path.stat().st_size
    if size > limit:
        raise Refused(f"{shown(path.name)} has {size:,} bytes, at most {limit:,} are read")
    return path


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes."""
    return plain_file(path, limit).read_bytes()


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """UTF-8 text of a file."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{shown(path.name)} is not UTF-8") from None


def line_problem(text: str) -> str | None:
    """What a program of Windows did to a text: a byte order mark before it, or its line ends."""
    if text.startswith(BYTE_ORDER_MARK):
        return "begins with a byte order mark (U+FEFF); save it as UTF-8 without one"
    if "\r\n" in text:
        return WINDOWS_LINE_ENDS
    return None


def text_problem(text: str, *, lines: bool = False) -> str | None:
    """Why a text may not be shown: control, invisible or direction-changing characters, markup, not normal form."""
    plain = text.isascii() and text.isprintable()
    if plain and "<" not in text and "&" not in text:
        return None
    if lines and (problem := line_problem(text)):
        return problem
    for character in "" if plain else text:
        hidden = unicodedata.category(character) in _HIDING or not character.isprintable()
        if hidden and not (lines and character in "\n\t"):
            return f"has the character U+{ord(character):04X}, which cannot be seen or changes the line"
    if _TAG.search(text):
        return "holds HTML (a tag or an entity); plain text is expected"
    if not unicodedata.is_normalized("NFC", text):
        return "is not in Unicode's normal form (NFC)"
    return None


# ------------------------------------------------------------------------------------------------------------- JSON


def read_json(path: Path, limit: int = JSON_BYTES) -> tuple[str, dict[str, Any]]:
    """A JSON file's text and, where it is one object, the plain values of it (None for lists and objects in it). Refused:
    deep nesting, keys given twice, numbers that are not finite, markup."""
    text, name = read_text(path, limit), shown(path.name)
    with _named(name):
        check_json(text)
    return text, _looked_at(text, name)


def _looked_at(text: str, name: str) -> dict[str, Any]:
    """What `read_json` says of a text that was scanned; what parses it keeps the parts apart, so that no value is made for
    them and every rule is one call for all of them."""
    objects, fractions = list[dict[str, Any]](), list[str]()
    try:
        whole = _parsed(text, fractions, object_hook=objects.append)
        if sum(map(len, objects)) != _keys(text):
            pairs = list[list[tuple[str, Any]]]()
            whole = _parsed(text, fractions, object_pairs_hook=pairs.append)
            objects = list(map(dict, pairs))
            if sum(map(len, objects)) != sum(map(len, pairs)):
                raise Refused(f"{name} is not valid JSON: a key is given twice")
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name} is not valid JSON: {shown(str(error).splitlines()[0])}") from None
    if not all(map(math.isfinite, map(float, fractions))):
        raise Refused(f"{name} holds a number that is not finite")
    for part in () if _plain_json(text) else dict.fromkeys(_texts(objects, whole)):
        if problem := text_problem(part):
            raise Refused(f"{name}: the text {shown(part)} {problem}")
    return objects[-1] if objects and whole is None else {}


def _parsed(text: str, fractions: list[str], **hook: Any) -> Any:
    return json.loads(text, parse_constant=_no_constant, parse_int=_integer, parse_float=fractions.append, **hook)


def _keys(text: str) -> int | None:
    """No fewer than the keys of a JSON text: what ends a text before a colon, or begins one with it. None where a space may
    stand between."""
    return None if any(f"{space}:" in text for space in " \n\r\t") else text.count('":')


def _plain_json(text: str) -> bool:
    """Whether none of its texts can have a problem, told from all of it at once: what stands there as it is is visible, in
    normal form (of which each part is in it, too) and without a tag, and so is what is written with escapes."""
    if not text.replace("\n", "").isprintable() or (("<" in text or "&" in text) and _TAG.search(text)):
        return False
    if not unicodedata.is_normalized("NFC", text):
        return False
    return not any(map(text_problem, _with_escapes(text)))


def _with_escapes(text: str) -> Iterator[str]:
    """The texts of a JSON text that hold an escape: each lies around a backslash, and begins at the quote before it."""
    place = text.find("\\")
    while place >= 0:
        found = _TEXT.match(text, text.rindex('"', 0, place))
        assert found is not None
        yield json.loads(found[0])
        place = text.find("\\", found.end())


def _texts(objects: Iterable[dict[str, Any]], whole: Any) -> Iterator[str]:
    """Every key and text of what was parsed."""
    waiting = [whole]
    for one in objects:
        for key, value in one.items():
            yield key
            waiting.append(value)
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            yield part


def read_model(path: Path, model: type[Model], schema: int | None = None) -> Model:
    """A model from a JSON file, without conversions ("5" is no number); a schema that is too new is told apart."""
    text, value = read_json(path)
    return _model(text, value, model, schema, shown(path.name))


def read_models(path: Path, model: type[Model], schema: int | None = None) -> list[Model]:
    """The models of a file with one of them a line, each as `read_model` reads it."""
    text, name = read_text(path, JSON_BYTES), shown(path.name)
    if not text.endswith("\n"):
        raise Refused(f"{name} is empty or cut off; expected one JSON object a line")
    with _named(name):
        check_json(text)
    lines = ((f"{name}, line {number}", line) for number, line in enumerate(text[:-1].split("\n"), start=1))
    return [_model(line, _looked_at(line, where), model, schema, where) for where, line in lines]


def _model(text: str, value: dict[str, Any], model: type[Model], schema: int | None, name: str) -> Model:
    found = value.get("schema")
    if schema is not None and found != schema:
        newer = isinstance(found, int) and found > schema
        advice = "newer than this version reads; update cxrbench" if newer else "not known; pack the run again"
        raise Refused(f"{name} has schema {shown(found)}, expected {schema}: {advice}")
    try:
        made: Model = validator(model).validate_json(text, strict=True)
        return made
    except ValidationError as error:
        raise Refused(f"{name}: {first_error(error)}") from None


def first_error(error: ValidationError) -> str:
    """The first problem of a model in a few words: where, what."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{shown(where)}: {shown(first['msg'])}"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; a byte order mark before it, as some editors write it, is no part of it."""
    text = read_text(path).removeprefix(BYTE_ORDER_MARK)
    with _named(shown(path.name)):
        check_toml(text)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{shown(path.name)} is not valid TOML: {shown(str(error).splitlines()[0])}") from None


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What a scan finds too much of becomes Refused with the file's name."""
    try:
        yield
    except TooMuch as error:
        raise Refused(f"{name} {error}") from None


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


@lru_cache(maxsize=4096)
def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= JSON_INTEGER:
        raise ValueError("an integer is too large")
    return int(digits)
