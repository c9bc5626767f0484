"""`cxrbench submission`: write an entry for the leaderboard, fill it from a run, check it as the leaderboard will, and bring
it up to a new metric or form."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from ...benchmark.cli.options import Json
from ...benchmark.console_tables import tell

app = typer.Typer(
    no_args_is_help=True,
    help="Entries for the leaderboard: new, pack, unpack, check, reproduce, rescore, fidelity, convert.",
)

Dir = Annotated[Path, typer.Option("--dir", help="The folder of entries.")]
ROOT = Path("submissions")
TIME_LIMIT = 120.0
MANY = 16
"""Entries that are worth an index of what each can share with another."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Small letters, digits, '_' and '-'.")], directory: Dir = ROOT
) -> None:
    """Write a filled example, DIR/NAME, that passes the check; then change its words."""
    from ..pack import new_entry

    folder = new_entry(name, directory)
    tell(f"{folder / 'submission.toml'} and README.md beside it: put your own words in place of the example's, then")
    tell(f"cxrbench run --provider FILE.py:CLASS --seeds 5 --entry {name} --out RUN_FOLDER")
    tell(f"cxrbench submission pack RUN_FOLDER --name {name}{_option(directory)}")


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    name: Annotated[str, typer.Option(help="The entry; it is made when it is not there.")],
    directory: Dir = ROOT,
    share: Annotated[
        bool, typer.Option("--share", help="Put cells of REAL and of placebos into DIR/shared (for maintainers).")
    ] = False,
    samples: Annotated[
        int,
        typer.Option(help="How many synthetic films of each size to add as pictures, where their licence allows it."),
    ] = 0,
) -> None:
    """Put a finished run into an entry, DIR/NAME/runs/TASK-DATA-PRESET: results, records and predictions, no weights."""
    from ...benchmark.results.folder import load_run
    from ...benchmark.runs.own_store import home_store
    from ..checks.cells import not_the_protocol
    from ..checks.subject import Sources
    from ..entry import README, SUBMISSION, read_submission
    from ..example import placeholders
    from ..pack import pack as pack_run

    for words in not_the_protocol(load_run(run), Sources()):
        tell(f"note   the check will refuse this run: {words}")
    folder = pack_run(run, name, directory, home_store(), share=share, samples=samples)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    tell(f"{folder}: {len(files)} files, {size / 1e6:.2f} MB")
    if not (data := load_run(run).data).phantom:
        tell(
            f"note   it holds the id of every test film of {data.name} and what the models said of it: hand it on only "
            "where that may be shown"
        )
    readme = folder / README
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else None
    if left := placeholders(read_submission(folder / SUBMISSION), text):
        words = f"{folder / SUBMISSION} and {README} have the example's words still ({', '.join(left)})"
        tell(f"note   {words}: the check refuses them beside results, so change them first")
    tell(f"cxrbench submission check {folder}")


@app.command()
def unpack(
    entry: Annotated[Path, typer.Argument(help="An entry, submissions/NAME, or one of its runs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the folders of its runs are written.")] = Path("runs"),
) -> None:
    """Write the runs of an entry as folders of runs, with tables, figures and report; then compare and report take them."""
    from ..unpacked import unpack as unpacked

    for page in unpacked(entry, out):
        tell(f"report {page}")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="An entry, or a folder of entries.")],
    as_json: Json = False,
    reviewed: Annotated[
        Path | None, typer.Option(help="The maintainers' list; default: reviewed.toml beside the entry.")
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(help="Seconds of the processor for an entry, beside drawing films; large films need more."),
    ] = TIME_LIMIT,
    changed_from: Annotated[
        str, typer.Option(help="Check what a pull request into this commit changes; PATH is the folder of entries.")
    ] = "",
    sender: Annotated[str, typer.Option("--by", help="With --changed-from: the GitHub account that sends it.")] = "",
    maintainer: Annotated[
        bool, typer.Option("--maintainer", help="With --changed-from: it is a maintainer's, who may change everything.")
    ] = False,
) -> None:
    """Check an entry without trusting it; nothing of it is executed. Exit status 0 only when everything passes."""
    from ...benchmark.errors import InputError

    if not path.exists() and not path.is_symlink():
        raise InputError(f"{path}: no such folder; expected an entry (submissions/NAME) or the folder of entries")
    from .. import guard
    from ..changes import Sender, changes
    from ..entry import entry_folders

    one = not changed_from and (path.is_symlink() or not path.is_dir() or not _holds_entries(path))
    found: list[dict[str, Any]] = []

    def add(verdict: dict[str, Any]) -> None:
        found.append(verdict)
        if not as_json:
            _print(verdict)

    folders = [path] if one or changed_from else entry_folders(path)
    if changed_from:
        changed = changes(path, changed_from, Sender(sender, maintainer))
        folders = changed.to_check(path)
        add(guard.verdict_on(path.name, "changes", changed.refused))
    with guard.marked(folders, time_limit) if len(folders) >= MANY and not changed_from else nullcontext() as beside:
        for folder in folders:
            add(guard.check_guarded(folder, reviewed, time_limit, beside))
    if not one and not (rest := guard.check_rest(path))["passed"]:
        add(rest)
    if as_json:
        print(json.dumps(found[0] if one else found, indent=1))
    bad = [verdict["name"] for verdict in found if not verdict["passed"]]
    if bad:
        tell(f"error: {len(bad)} of {len(found)} did not pass: {', '.join(bad[:5])}", sys.stderr)
        raise SystemExit(1)


@app.command()
def rescore(
    name: Annotated[str, typer.Argument(help="The entry, DIR/NAME.")],
    directory: Dir = ROOT,
) -> None:
    """Compute an entry's numbers again from its predictions after its task got a metric; nothing is trained.

    Needs the films at hand. Nothing is written where a number that is there would move.
    """
    from ..rescoring import rescore as rescored

    for line in rescored(directory / name):
        tell(line)
    tell(f"cxrbench submission check {directory / name}")


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="The entry, DIR/NAME.")],
    data: Annotated[str, typer.Option(help="The films; those that its authors do not have (cxrbench data hold-back).")],
    code: Annotated[
        Path | None, typer.Option(help="A clean checkout of the entry's commit; not for systems of this repository.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/NAME-reproduced.")] = None,
    task: Annotated[str, typer.Option(help="The task, where the entry has runs of several.")] = "",
    seeds: Annotated[int, typer.Option(help="Repetitions.")] = 5,
    python: Annotated[
        str, typer.Option(help="The Python of the environment that the code needs, with this cxrbench in it.")
    ] = sys.executable,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    directory: Dir = ROOT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the command, run nothing.")] = False,
) -> None:
    """Run an entry's code again, as a maintainer who has read it, and write its reproduced twin, DIR/NAME-reproduced.

    This runs code of strangers: do it in a container, or an environment and account of its own. The checker and the site
    never do.
    """
    import shlex

    from ...benchmark.runs.own_store import home_store
    from ..entry import load_entry
    from ..reproduction import Order, command_of, twin_name
    from ..reproduction import reproduce as run_again

    order = Order(
        directory / name, data, out or Path("runs") / twin_name(name), code, task, seeds, python, ("--device", device)
    )
    if dry_run:
        print(shlex.join(command_of(order, load_entry(order.entry))))  # whole: to be copied
        return
    twin = run_again(order, home_store())
    tell(f"{twin.folder}: the twin of {name}")
    tell(twin.comparison.sentence if twin.comparison else "no gain of both to compare")
    tell(f"cxrbench submission check {twin.folder}")


@app.command()
def fidelity(
    name: Annotated[str, typer.Argument(help="The entry, DIR/NAME.")],
    task: Annotated[str, typer.Option(help="Only runs of this task; default: all of them.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "cpu",
    directory: Dir = ROOT,
) -> None:
    """Fit an entry's provider again from its first seed, and write the numbers of its films into its runs that have none.

    No model of the task is trained, and no other number changes. Films that are others than those of the record are refused.
    Numbers that were written so before are computed again and compared. Exit status 1 where a run got none.
    """
    from ...benchmark.progress import Progress
    from ..made_again import make_again

    found = make_again(directory / name, task=task, device=device, progress=Progress())
    for one in found:
        tell(f"{one.run}: {one.words}")
    tell(f"cxrbench submission check {directory / name}")
    if bad := [one.run for one in found if one.failed]:
        tell(
            f"error: {len(bad)} of {len(found)} runs have no numbers of their films: {', '.join(bad)}", file=sys.stderr
        )
        raise SystemExit(1)


@app.command()
def convert(directory: Dir = ROOT) -> None:
    """Write entries of schema 1 (a folder a cell) anew in schema 2 (a folder a run); nothing is run or computed again.

    Exit status 1 where one cannot be converted.
    """
    from ...benchmark.errors import InputError
    from ..conversion import convert as converted

    if not directory.is_dir():
        raise InputError(f"{directory}: no such folder; expected the folder of entries")
    found = []
    for one in converted(directory):
        found.append(one)
        tell(str(one))
    if bad := [one.name for one in found if one.failed]:
        tell(f"error: {len(bad)} of {len(found)} cannot be converted: {', '.join(bad[:5])}", sys.stderr)
        raise SystemExit(1)


def _holds_entries(path: Path) -> bool:
    """Whether a folder is one of entries and not an entry."""
    inside = (child / "submission.toml" for child in path.iterdir() if child.is_dir())
    return not (path / "submission.toml").exists() and (path.name == ROOT.name or any(map(Path.is_file, inside)))


def _print(verdict: dict[str, Any]) -> None:
    tell(f"{verdict['name']}: {verdict['status']}")
    for finding in verdict["findings"]:
        where = f"{finding['where']}: " if finding["where"] else ""
        tell(f"  {finding['level']:<6} {finding['check']:<10} {where}{finding['message']}")


def _option(directory: Path) -> str:
    return "" if directory == ROOT else f" --dir {directory}"
