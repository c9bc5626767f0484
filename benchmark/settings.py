"""Settings: frozen dataclasses, changed by `--set key=value`, sent between processes as JSON, digested for keys.

A setting that came later (`added`) is in no key while it has its default, so that what was made before keeps its key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from . import digest
from .errors import InputError, unknown


def added(default: Any) -> Any:
    """A field of settings that came later: at this default, which does what was done before, it is left out of keys."""
    return field(default=default, metadata={"added": True}, kw_only=True)


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON values; a path becomes its text."""
    return json.loads(json.dumps(asdict(settings), default=str))


def keyed(settings: Any) -> dict[str, Any]:
    """Settings as JSON values for a key: a path becomes the sha256 of its file, and what was `added` is there only where it
    is not at its default. InputError when there is no file."""

    def text(value: object) -> str:
        path = Path(str(value)).expanduser()
        if not path.is_file():
            raise InputError(f"no file {value}: expected a local file of weights")
        return f"sha256:{digest.of_file(path)}"

    values: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=text))
    _leave_out(settings, values)
    return values


def _leave_out(settings: Any, values: dict[str, Any]) -> None:
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.metadata.get("added") and value == one.default:
            del values[one.name]
        elif is_dataclass(value) and not isinstance(value, type):
            _leave_out(value, values[one.name])


def within(part: Any, whole: Any) -> bool:
    """Whether JSON values have nothing but what others have too: of objects every value, of all else the same."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and within(value, whole[name]) for name, value in part.items())
    return bool(part == whole)


def restore(default: Any, values: Mapping[str, Any]) -> Any:
    """Settings of the class of `default` from JSON values; InputError names the key that does not fit."""
    try:
        return TypeAdapter(type(default)).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"setting '{where}': {first['msg']}, found {first.get('input')!r}") from None


def names(settings: Any, prefix: str = "") -> list[str]:
    """All dotted keys that `--set` knows."""
    found = []
    for name, value in vars(settings).items():
        nested = is_dataclass(value) and not isinstance(value, type)
        found += names(value, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return found


def override(settings: Any, pairs: Sequence[tuple[str, str]], kind: str) -> Any:
    """Settings with some dotted keys changed. Values are JSON or plain text. InputError names the nearest keys."""
    values = asdict(settings)
    for key, text in pairs:
        known = names(settings)
        if key not in known:
            raise unknown(f"setting of {kind}", key, known or ["(it has no settings)"])
        *path, last = key.split(".")
        target = values
        for part in path:
            target = target[part]
        target[last] = _parsed(settings, values, target, last, text)
    return restore(settings, values)


def _parsed(settings: Any, values: dict[str, Any], target: dict[str, Any], last: str, text: str) -> Any:
    """The text as JSON where that fits the setting, a number also as a list of one, else as plain text (a name may look like
    a number). `null` is no text where a setting may be empty."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    number = isinstance(value, int | float) and not isinstance(value, bool)
    tries = [value, text] if value is None else [text, value, *([[value]] if number else [])]
    for found in tries:
        target[last] = found
        if _fits(settings, values):
            return found
    return tries[1]


def _fits(settings: Any, values: dict[str, Any]) -> bool:
    try:
        restore(settings, values)
    except InputError:
        return False
    return True


def parse_pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    """`key=value` texts as pairs; InputError when there is no `=`."""
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text}: expected key=value")
        pairs.append((key.strip(), value.strip()))
    return pairs
