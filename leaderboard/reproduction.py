"""Running an entry's code again: by a maintainer's hand, from a checkout of its commit, on films that its authors do not
have. The checker and the site never run anything of an entry.

What comes out is an entry of its own beside the claim, its twin (`reproduces`), in the division of reproduced ones.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..benchmark.errors import InputError
from ..benchmark.files import write_text
from ..benchmark.registry import PROVIDERS, plugins
from ..benchmark.results.folder import load_run
from ..benchmark.results.rows import Results
from ..benchmark.runs.store import Store
from .attempts import from_entry
from .entry import NAME, README, SUBMISSION, Entry, EntryRun, load_entry
from .pack import pack, seal
from .twins import Comparison, compared
from .untrusted import shown

SUFFIX = "-reproduced"
_PAIR = re.compile(r"[a-z][a-z0-9_.]*=[^\0-\x1f]*")
_FILE = re.compile(r"([A-Za-z0-9_./-]+\.py):([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Order:
    """What to run: `code`, a checkout of the entry's commit (None for a system of this repository); `data`, the films;
    `python`, of the environment that the code needs, with this version of cxrbench in it."""

    entry: Path
    data: str
    out: Path
    code: Path | None = None
    task: str = ""
    seeds: int = 5
    python: str = sys.executable
    options: tuple[str, ...] = ()
    """More words for `cxrbench run` (`--device cuda`)."""


@dataclass(frozen=True)
class Twin:
    """The reproduced entry, and how its gain differs from the claimed one."""

    folder: Path
    comparison: Comparison | None


def command_of(order: Order, entry: Entry) -> list[str]:
    """The command that runs an entry's provider again, as a list of words. InputError where its code is not at hand, is of
    another commit or was changed, or where the entry is of films alone."""
    run = _run_of(order, entry)
    said = run.results
    command = [order.python, "-P", "-c", "from cxrbench.benchmark.cli import main; main()", "run"]
    command += ["--provider", _provider(order, entry, said), "--task", said.task.name, "--data", order.data]
    command += ["--preset", said.preset, "--seeds", str(order.seeds), "--out", str(order.out.resolve())]
    if said.provider.label_by != "native":
        command += ["--label-by", said.provider.label_by]
    for pair in settings_of(said.command):
        command += ["--set", pair]
    return [*command, *order.options]


def reproduce(order: Order, store: Store) -> Twin:
    """Run an entry's code on other films, pack what it gave as its twin beside it, and compare. The run goes on where it was
    stopped. InputError as `command_of`, and where the run did not end well."""
    entry = load_entry(order.entry)
    command = command_of(order, entry)
    name = twin_name(entry.name)
    done = subprocess.run(command, cwd=order.code, check=False)
    if done.returncode:
        raise InputError(f"the run of {entry.name} ended with exit code {done.returncode}; its lines above say why")
    folder = pack(order.out, name, entry.folder.parent, store)
    write_text(folder / SUBMISSION, _submission(entry, name, load_run(order.out)))
    write_text(folder / README, f"# {name}\n\nThe code of {entry.name}, run by the maintainers.\n")
    seal(folder)
    return Twin(folder, compared(from_entry(entry), from_entry(load_entry(folder))))


def twin_name(name: str) -> str:
    """The name of an entry's twin."""
    twin = f"{name[: 48 - len(SUFFIX)]}{SUFFIX}"
    assert NAME.fullmatch(twin)
    return twin


def _run_of(order: Order, entry: Entry) -> EntryRun:
    mine = [run for run in entry.runs if order.task in ("", run.results.task.name)]
    tasks = sorted({run.results.task.name for run in mine})
    if not mine:
        raise InputError(f"{entry.name} has no run{f' of {order.task}' if order.task else ''} to reproduce")
    if len(tasks) > 1:
        raise InputError(f"{entry.name} has runs of {', '.join(tasks)}: say which by --task")
    return mine[0]


def _provider(order: Order, entry: Entry, said: Results) -> str:
    spec = said.provider.spec
    if spec in plugins(PROVIDERS):
        return spec
    found = _FILE.fullmatch(spec)
    if found is None:
        raise InputError(
            f"{entry.name} is of {shown(spec)}: only a class in a file, or a system of this repository, can be run again"
        )
    if order.code is None:
        where = entry.submission.code
        advice = f"clone {where.url}, check out {where.commit}" if where else "its entry names no code: ask its authors"
        raise InputError(f"{entry.name} needs --code, a checkout of its commit ({advice})")
    _check_commit(order.code, entry)
    file = Path(found[1])
    places = [path for path in order.code.rglob(file.name) if path.is_file() and ".git" not in path.parts]
    exact = [path for path in places if path == order.code / file] or places
    if len(exact) != 1:
        raise InputError(f"{order.code} has {len(exact)} files {shown(file.name)}, expected the one of {shown(spec)}")
    return f"{exact[0].resolve()}:{found[2]}"


def _check_commit(code: Path, entry: Entry) -> None:
    wanted = entry.submission.code
    if wanted is None:
        raise InputError(f"{entry.name} names no code; a commit is what is reproduced")
    head, changed = (_git(code, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain")))
    if head != wanted.commit:
        raise InputError(
            f"{code} is at {head[:12]}, the entry is of {wanted.commit[:12]}: git checkout {wanted.commit}"
        )
    if changed:
        raise InputError(f"{code} has changes: a clean checkout of {wanted.commit[:12]} is reproduced")


def _git(code: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(code), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise InputError(f"{code} is no checkout of a git repository") from None
    return done.stdout.strip()


def settings_of(command: Sequence[str]) -> list[str]:
    """The provider's settings in an entry's command; those of the task are the preset's own."""
    pairs = [after for before, after in pairwise(command) if before == "--set"]
    odd = [pair for pair in pairs if not _PAIR.fullmatch(pair) or pair.startswith("task.")]
    if odd:
        raise InputError(f"the entry's command has --set {shown(odd[0])}: expected settings of the provider alone")
    return pairs


def _submission(entry: Entry, name: str, results: Results) -> str:
    """The twin's `submission.toml`: the claim's own words, and whose hand it was."""
    said = entry.submission
    lines = {
        "schema": 2,
        "name": name,
        "version": said.version,
        "description": said.description,
        "authors": said.authors,
        "licence": said.licence,
        "contact": said.contact,
        "division": "reproduced",
        "reproduces": entry.name,
        "training_data": said.training_data,
        "command": f"cxrbench submission reproduce {entry.name} --data {results.data.name}",
        "hardware": results.device,
    }
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in lines.items())
    for part, value in (("code", said.code), ("paper", said.paper)):
        if value is not None:
            text += f"\n[{part}]\n" + "".join(
                f"{key} = {json.dumps(one, ensure_ascii=False)}\n" for key, one in value.model_dump().items()
            )
    return text
