"""`cxrbench.toml`: what `cxrbench run` is asked for, in a file that stays with a paper. `cxrbench init` writes one.

    provider = "classical"
    data = "phantom_hard"
    seeds = 5

    [settings]          # of the provider, as --set
    [settings.task]     # of the task

Keys are the options of `cxrbench run`; what is given on the command line counts more. Paths are meant from the folder
that the command is started in, as on the command line.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown

FILE = Path("cxrbench.toml")
SETTINGS = "settings"
TEXTS = ("provider", "task", "data", "preset", "label_by", "entry", "device", "engine", "address", "out", "latex")
LISTS = ("arms", "sizes", "ratios", "keep", "also_test", "groups")
COUNTS = ("seeds", "jobs")
KEYS = (*TEXTS, *LISTS, *COUNTS, "time_limit", SETTINGS)


@dataclass(frozen=True)
class RunFile:
    """The content of a file: values by option, and pairs as `--set` takes them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    pairs: tuple[str, ...] = ()


def read_run_file(path: Path) -> RunFile:
    """The content of a cxrbench.toml; InputError (one line) for what is no TOML, a key that no option has (with the nearest
    ones), and a value of another kind."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    for name in found:
        if name not in KEYS:
            raise unknown(f"key of {path.name}", name, KEYS)
    values = {name: _value(path, name, value) for name, value in found.items() if name != SETTINGS}
    return RunFile(values, tuple(_pairs(path, found.get(SETTINGS, {}))))


def _value(path: Path, name: str, value: Any) -> Any:
    """A value as the option has it."""
    if name in LISTS:
        listed = value.split(",") if isinstance(value, str) else value
        numbers: tuple[type, ...] = {"sizes": (int,), "ratios": (int, float)}.get(name, ())
        if not isinstance(listed, list) or not all(
            isinstance(one, (str, *numbers)) and not isinstance(one, bool) for one in listed
        ):
            raise InputError(f'{path}: {name}: expected a list of texts, like ["a", "b"], found {value!r}')
        texts = [one.strip() if isinstance(one, str) else f"{one}" for one in listed]
        return tuple(text for text in texts if text)
    kinds: tuple[type, ...] = (str,) if name in TEXTS else (int,) if name in COUNTS else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        expected = "a text" if name in TEXTS else "a whole number" if name in COUNTS else "seconds"
        raise InputError(f"{path}: {name}: expected {expected}, found {value!r}")
    return Path(str(value)) if name in ("out", "latex") else value


def _pairs(path: Path, table: Any, prefix: str = "") -> list[str]:
    if not isinstance(table, dict):
        raise InputError(f"{path}: {SETTINGS}: expected a table [{SETTINGS}], found {table!r}")
    found: list[str] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _pairs(path, value, f"{prefix}{name}.")
            continue
        try:
            text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError(
                f"{path}: setting {prefix}{name}: expected a number, text, true, false or a list"
            ) from None
        found.append(f"{prefix}{name}={text}")
    return found


def written(
    *,
    provider: str,
    data: str,
    task: str,
    preset: str,
    seeds: int,
    arms: tuple[str, ...] = (),
    sizes: tuple[str, ...] = (),
    pairs: tuple[str, ...] = (),
    label_by: str = "",
    out: str = "",
    about: str = "",
) -> str:
    """The text of a new file, with a line on each key. `task` may be empty: the provider's home task. `about`: what is said
    of it in a line at its head."""
    quoted = {
        name: json.dumps(text, ensure_ascii=False)
        for name, text in {"provider": provider, "data": data, "task": task, "preset": preset}.items()
    }
    lines = [
        "# What cxrbench measures: `cxrbench run cxrbench.toml`. Options on the command line count more.",
        *([f"# {about}"] if about else []),
        "",
        f"provider = {quoted['provider']}  # a name (cxrbench list), file.py:Class, folder:FILMS, command:PROGRAM",
        f"data = {quoted['data']}  # real films: a dataset (cxrbench list datasets) or its folder",
        f"task = {quoted['task']}" if task else '# task = "scr_official"  # default: the first that suits the provider',
        f"preset = {quoted['preset']}  # quick (two cores), standard (one GPU) or paper",
        f"seeds = {seeds}  # 5 or more allow a claim about the provider",
        f"arms = {json.dumps(list(arms))}" if arms else '# arms = ["real", "mixed"]  # default: all of the task',
        f"sizes = {json.dumps(list(sizes))}" if sizes else '# sizes = ["full", "tiny"]  # default: all of the task',
        *(
            [f"label_by = {json.dumps(label_by)}  # what labels films of a generator that makes none"]
            if label_by
            else []
        ),
        *([f"out = {json.dumps(out, ensure_ascii=False)}  # the folder of the results"] if out else []),
        '# latex = "table.tex"  # the row for a paper, with gain and worth',
        "",
        "[settings]  # of the provider: cxrbench list provider NAME",
    ]
    own = [pair.partition("=") for pair in pairs if not pair.startswith("task.")]
    of_task = [pair.removeprefix("task.").partition("=") for pair in pairs if pair.startswith("task.")]
    lines += [_line(name, text) for name, _, text in own]
    lines += ["", "[settings.task]  # of the task: cxrbench list task NAME"]
    return "\n".join([*lines, *(_line(name, text) for name, _, text in of_task)]) + "\n"


def _line(name: str, text: str) -> str:
    """A setting: numbers, lists and truths as they are, all else quoted."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    plain = isinstance(value, bool | int | float | str) or (isinstance(value, list) and None not in value)
    shown = json.dumps(value if plain else text, ensure_ascii=False)
    return f"{name} = {shown}"
