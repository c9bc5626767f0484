"""A class of one's own as the words that a run knows it by, so that steps in other processes can import it.

A class is known by the source that makes its numbers. One at the top of a module's file is that file, `file.py:Class`, as on
the command line, with the same keys. One of a notebook's cell, of the script that runs, or of a package is written into
a file under `home()/python`: its source, and that of the functions, classes and plain values that it uses, with their
imports (`sources`). What stands in no file and no cell is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import digest
from ..errors import InputError
from ..files import write_bytes
from ..home import home
from ..registry import plugins
from ..settings import plain
from .sources import carried_source, file_of, is_main

FOLDER = "python"
KEPT_APART = frozenset({"settings", "device", "curves"})
"""Attributes of a new provider or task that say nothing of what it has learnt."""


def words_of(kind: str, given: Any, group: str, preset: str, prefix: str = "") -> tuple[str, list[str]]:
    """What a run is asked for, and the settings that an object adds, as `--set` takes them.

    `given`: a name, path or scheme (kept as it is), a class, or an object of one that has its settings and nothing else.
    `kind`: provider or task, for errors; `prefix` goes before every setting. InputError (one line) for what has no source.
    """
    if isinstance(given, str | Path):
        return str(given), []
    if isinstance(given, type):
        return spec_of(kind, given, group), []
    cls = type(given)
    if not hasattr(cls, "presets"):
        raise InputError(f"{kind}: expected a name, a class or an object of one, found a {cls.__name__}")
    _require_new(kind, given)
    return spec_of(kind, cls, group), [f"{prefix}{pair}" for pair in _own_settings(kind, given, preset)]


def spec_of(kind: str, cls: type, group: str) -> str:
    """The name of a class that a package offers; else `file.py:Class`, of its own file or of one that is written for it."""
    for name, plugin in plugins(group).items():
        if (plugin.module, plugin.attribute) == (cls.__module__, cls.__qualname__):
            return name
    if "<locals>" in cls.__qualname__ or "." in cls.__qualname__:
        raise InputError(
            f"{kind} {cls.__qualname__}: a class within a function or class has no source of its own: define it at the "
            "top of a file or cell"
        )
    module = sys.modules.get(cls.__module__)
    file = file_of(module)
    plain_module = "." not in cls.__module__ and file is not None and "site-packages" not in file.parts
    if plain_module and not is_main(module) and getattr(module, cls.__name__, None) is cls:
        return f"{file}:{cls.__name__}"
    text = carried_source(cls)
    target = home() / FOLDER / digest.of_json(text)[:12] / f"{cls.__name__}.py"
    if not target.is_file():
        write_bytes(target, text.encode())
    return f"{target}:{cls.__name__}"


def pairs_of(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Settings as `--set` takes them: `{"task": {"steps": 6}}` and `{"task.steps": 6}` are `task.steps=6`."""
    found: list[str] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += pairs_of(value, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}={_text(value)}")
    return found


def _text(value: Any) -> str:
    """A value as `--set` reads it back: a text as it is, all else as JSON."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, tuple | frozenset | set):
        value = sorted(value) if not isinstance(value, tuple) else list(value)
    try:
        return digest.canonical_json(value)
    except (TypeError, ValueError):
        raise InputError(
            f"setting {value!r}: expected a number, a text, True or False, None, or a list of these"
        ) from None


def _require_new(kind: str, given: Any) -> None:
    """InputError for an object that holds more than its settings: steps make a new one of its class, which would not."""
    cls = type(given)
    try:
        fresh = cls(given.settings)
    except Exception as error:
        raise InputError(
            f"{kind} {cls.__name__}: an object is made again from its settings in every step, and {cls.__name__}(settings) "
            f"fails ({type(error).__name__}: {error}): keep what it needs in its settings"
        ) from None
    more = sorted(name for name in set(vars(given)) ^ set(vars(fresh)) if name not in KEPT_APART)
    same = set(vars(given)) & set(vars(fresh)) - KEPT_APART
    more += sorted(name for name in same if not _equal(vars(given)[name], vars(fresh)[name]))
    if more:
        raise InputError(
            f"{kind} {cls.__name__}: this object has {', '.join(more)} of its own, which a run would not see: every "
            "step makes a new one from its settings. Give the class, and what it needs as settings"
        )


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # arrays and tensors have no one truth
        return False


def _own_settings(kind: str, given: Any, preset: str) -> list[str]:
    """The settings of an object that differ from its class's preset."""
    default = type(given).presets.get(preset)
    if type(default) is not type(given.settings):
        raise InputError(
            f"{kind} {type(given).__name__}: its settings are {type(given.settings).__name__}, those of preset {preset} "
            f"{type(default).__name__}"
        )
    return pairs_of(_changed(plain(given.settings), plain(default)))


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(defaults.get(name), Mapping):
            found |= {name: inner} if (inner := _changed(value, defaults[name])) else {}
        elif value != defaults.get(name):
            found[name] = value
    return found
