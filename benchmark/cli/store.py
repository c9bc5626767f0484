"""`cxrbench store`: see what the store holds, remove what it can do without, take cells to another machine."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console_tables import cell, table, tell
from ..console_tables import show as show_table
from ..errors import InputError, unknown
from .options import Json

if TYPE_CHECKING:
    from ..runs.kept import Kept, Kind
    from ..runs.store import Store

app = typer.Typer(no_args_is_help=True, help="Results by key: list, show, prune, export, import.")
RUNS, ENTRIES = Path("runs"), Path("submissions")
Runs = Annotated[
    list[Path] | None,
    typer.Option("--runs", help="Where runs and entries are looked for; default: runs and submissions here."),
]


@app.command("list")
def list_(
    entries: Annotated[bool, typer.Option("--entries", help="A line for every entry.")] = False,
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """What the store holds, how large and how old it is, and which runs and entries it belongs to."""
    store, found = _look(runs)
    now = time.time()
    if as_json:
        _print_json({"store": str(store.root), "bytes": _total(found), "entries": [one.to_json(now) for one in found]})
        return
    tell(f"{store.root}: {in_bytes(_total(found))}")
    if entries:
        _print_entries(found, now)
        return
    _print_groups(found, now)
    _print_kinds(found, now)


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="Folder of a run, or the first characters of a key.")],
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """The entries of a run or of a key: files, sizes, whether they are sound, what they need and what needs them."""
    from ..runs.kept import chosen

    found, now = _look(runs)[1], time.time()
    picked = chosen(found, what)
    rows = [{**one.to_json(now), "files": _files(one.path), "damaged": _damage(one)} for one in picked]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        tell(f"{row['kind']} {row['key']}  {in_bytes(row['bytes'])}, {in_age(row['age_seconds'])} old")
        state = "damaged: " + ", ".join(row["damaged"]) + " (the next run makes it again)" if row["damaged"] else ""
        lines = [("about", row["about"]), ("state", state), ("needs", ", ".join(row["needs"]))]
        lines += [("used by", ", ".join(row["used_by"])), ("runs", ", ".join(row["runs"]))]
        lines += [("file", f"{in_bytes(size):>8}  {name}") for name, size in row["files"].items()]
        for word, text in lines:
            if text:
                tell(f"  {word:<8} {text}")


@app.command()
def prune(
    older: Annotated[str | None, typer.Option(help="Only what is this old or older: 12h, 30d, 2w.")] = None,
    to: Annotated[str | None, typer.Option(help="Only until the store has this size: 20GB.")] = None,
    unreachable: Annotated[
        bool, typer.Option("--unreachable", help="Only what no record names (of records: what no run names).")
    ] = False,
    records: Annotated[bool, typer.Option("--records", help="Records too: results, which nothing else holds.")] = False,
    kinds: Annotated[str, typer.Option(help="Only these kinds: fits,synthetic,checkpoints,...")] = "",
    runs: Runs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what can be made again; what is removed meets every condition given. Refused while a run is working."""
    from ..runs.lock import alone
    from ..runs.prune import Wish, choose, parse_age, parse_size, remove

    wish = Wish(
        older=None if older is None else parse_age(older),
        to=None if to is None else parse_size(to),
        unreachable=unreachable,
        records=records,
        kinds=_kinds(kinds),
    )
    if records and unreachable and not runs:
        raise InputError("--records --unreachable: name with --runs where the runs lie whose records are to stay")
    for folder in runs or ():
        if not folder.exists():
            raise InputError(f"--runs {folder} does not exist")
    now = time.time()
    if dry_run or not _store().root.is_dir():
        store, found = _look(runs)
        going = choose(found, wish, now)
    else:
        with alone(_store().root):
            store, found = _look(runs)
            going = choose(found, wish, now)
            remove(store, going)
    if as_json:
        done = [one.to_json(now) for one in going]
        _print_json({"removed" if not dry_run else "would_remove": done, "bytes": _total(going)})
        return
    _print_kinds(going, now)
    verb = "would free" if dry_run else "freed"
    tell(f"{verb} {in_bytes(_total(going))} of {in_bytes(_total(found))}: {len(going)} of {len(found)} entries")
    named = sum(one.kind.value == "records" and bool(one.runs) for one in going)
    if named:
        tell(f"note: {named} of them are records that a run names")


@app.command("export")
def export_(
    what: Annotated[list[str], typer.Argument(help="Folders of runs, or the first characters of keys.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The archive to write (.zip).")],
    films: Annotated[bool, typer.Option("--films", help="The synthetic films of its cells too.")] = False,
    fits: Annotated[bool, typer.Option("--fits", help="Their fitted generators too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of this name.")] = False,
    as_json: Json = False,
) -> None:
    """Cells of runs as one archive, for `cxrbench store import` on another machine."""
    from ..runs.archive import exportable, pack
    from ..runs.kept import chosen
    from ..runs.lock import working

    if out.exists() and not force:
        raise InputError(f"{out} is there already; use --force to replace it")
    with working(_store().root):
        store, found = _look([])
        keys = {key for asked in what for one in chosen(found, asked) for key in (one.key, *one.needs)}
        picked = [one for one in found if one.key in keys]
        packed = pack(store, exportable(picked, films=films, fits=fits), out)
    if as_json:
        done = [f"{one.kind.value}/{one.key}" for one in packed.taken]
        _print_json({"file": str(out), "bytes": out.stat().st_size, "taken": done, "left_out": packed.left_out})
        return
    for line in packed.left_out:
        tell(f"left out: {line}", sys.stderr)
    tell(f"{out}: {_counted(packed.taken)}, {in_bytes(out.stat().st_size)}")


@app.command("import")
def import_(
    archive: Annotated[Path, typer.Argument(help="A file of `cxrbench store export`.")],
    as_json: Json = False,
) -> None:
    """Take the entries of an archive into the store: each held against its digests, all of them or none."""
    from ..runs.archive import take
    from ..runs.lock import working

    store = _store()
    with working(store.root):
        taken = take(store, archive)
    if as_json:
        _print_json({"new": taken.new, "here": taken.here, "other": taken.other})
        return
    tell(f"{store.root}: {len(taken.new)} new entries, {len(taken.here)} were here")
    for name in taken.other:
        tell(f"note: {name} is here with other content, which stays", sys.stderr)


def in_bytes(count: float) -> str:
    """Bytes in words: 999 B, 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def in_age(seconds: float) -> str:
    """An age in its largest unit: 40 s, 5 min, 3 h, 12 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _store() -> Store:
    from ..runs.own_store import home_store

    return home_store()


def _look(runs: Sequence[Path] | None) -> tuple[Store, list[Kept]]:
    from ..runs.kept import contents

    store = _store()
    return store, contents(store, (RUNS, ENTRIES) if runs is None else runs)


def _kinds(text: str) -> tuple[Kind, ...]:
    from ..runs.kept import Kind

    known = {kind.value: kind for kind in Kind}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise unknown("kind", name, known)
    return tuple(known[name] for name in names)


def _files(path: Path) -> dict[str, int]:
    if path.is_file():
        return {path.name: path.stat().st_size}
    return {one.relative_to(path).as_posix(): one.stat().st_size for one in sorted(path.rglob("*")) if one.is_file()}


def _damage(entry: Kept) -> list[str]:
    """The files of an entry that are not what its `entry.json` says; nothing is removed."""
    from .. import digest
    from ..plain_files import read_plain

    if entry.kind.value not in ("records", "synthetic", "fits"):
        return []
    try:
        said = json.loads(read_plain(entry.path / "entry.json"))
        files = dict(said["files"])
        wrong = [name for name, sha in files.items() if digest.of_file(entry.path / name) != sha]
        return wrong or ([] if said["digest"] == digest.of_json(files) else ["entry.json"])
    except (OSError, ValueError, KeyError, TypeError):
        return ["a file is missing or not readable"]


def _total(entries: Iterable[Kept]) -> int:
    return sum(entry.size for entry in entries)


def _counted(entries: Iterable[Kept]) -> str:
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.kind.value] = counts.get(entry.kind.value, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _print_groups(found: Sequence[Kept], now: float) -> None:
    """What belongs together: a task, a generator, films and a preset."""
    from ..runs.kept import Kind

    groups: dict[tuple[str, ...], list[Kept]] = {}
    for entry in found:
        if entry.group:
            groups.setdefault(entry.group, []).append(entry)
    rows = []
    for name, members in groups.items():
        sizes = [in_bytes(_total(e for e in members if e.kind is kind)) for kind in list(Kind)[:3]]
        cells = sum(entry.kind is Kind.RECORDS for entry in members)
        runs = sorted({run for entry in members for run in entry.runs})
        shown = ", ".join(runs[:2]) + (f" and {len(runs) - 2} more" if len(runs) > 2 else "")
        ages = [in_age(now - pick(entry.made for entry in members)) for pick in (max, min)]
        rows.append((*name, str(cells), *sizes, ages[0] if ages[0] == ages[1] else f"{ages[0]} to {ages[1]}", shown))
    _print_table(("task", "generator", "data", "preset", "cells", "records", "films", "fits", "age", "runs"), rows)


def _print_kinds(found: Sequence[Kept], now: float) -> None:
    from ..runs.kept import Kind

    rows = []
    for kind in Kind:
        members = [entry for entry in found if entry.kind is kind]
        if members:
            loose = [entry for entry in members if not entry.reachable]
            rest = f"{len(loose)} ({in_bytes(_total(loose))})" if loose else "-"
            oldest = in_age(now - min(entry.made for entry in members))
            rows.append((kind.value, str(len(members)), in_bytes(_total(members)), oldest, rest))
    _print_table(("kind", "entries", "size", "oldest", "unreachable"), rows)


def _print_entries(found: Sequence[Kept], now: float) -> None:
    rows = [
        (
            e.kind.value,
            e.key[:12],
            in_bytes(e.size),
            in_age(now - e.made),
            e.about or ("" if e.reachable else "nothing names it"),
            ", ".join(e.runs[:2]),
        )
        for e in found
    ]
    _print_table(("kind", "key", "size", "age", "about", "runs"), rows)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    made = table(headings, left=len(headings))
    for row in rows:
        made.add_row(*(cell(text) for text in row))
    show_table(made)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1))
