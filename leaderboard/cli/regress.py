"""`cxrbench regress`: are the reproduced numbers still what this code gives?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...benchmark.cli.options import Json
from ...benchmark.console_tables import tell
from ...benchmark.errors import InputError

NUMBERS, ENTRIES, CHANGELOG = Path("tests/regression"), Path("submissions"), Path("CHANGELOG.md")


Rescore = Annotated[
    bool, typer.Option("--rescore", help="Compute the kept numbers again from committed predictions (seconds).")
]
Fingerprints = Annotated[
    bool, typer.Option("--fingerprints", help="Take the first two batches of every training again (seconds).")
]
Rerun = Annotated[
    str, typer.Option(metavar="NAME", help="Run a system again, all sizes of one seed (minutes): a file's name.")
]
Rotating = Annotated[bool, typer.Option("--rerun-rotating", help="Run the next part in turn again (minutes).")]
Index = Annotated[int | None, typer.Option(min=0, help="Which part to run now; default: by the day.")]
Parts = Annotated[int, typer.Option(min=1, help="How many parts --rerun-rotating divides the reruns into.")]
Jobs = Annotated[int | None, typer.Option(help="Steps of a rerun at a time.")]
Update = Annotated[
    bool,
    typer.Option("--update", help="Write new numbers where they may move; with --rescore or --fingerprints: these."),
]
Reason = Annotated[str, typer.Option(help="Why numbers are written; kept with them.")]
Runs = Annotated[
    list[Path] | None, typer.Option("--from", help="The folder of a finished run to take numbers from, too.")
]
Subjects = Annotated[
    list[str] | None,
    typer.Option("--fingerprint", help="provider:NAME or task:NAME [key=value ...]; default: all kept ones."),
]
Numbers = Annotated[Path, typer.Option(help="The folder of kept numbers.")]
Entries = Annotated[Path, typer.Option(help="The folder of entries.")]
Log = Annotated[Path, typer.Option(help="The changelog that says which numbers changed.")]


def regress(
    rescore: Rescore = False,
    fingerprints: Fingerprints = False,
    rerun: Rerun = "",
    rerun_rotating: Rotating = False,
    index: Index = None,
    parts: Parts = 1,
    jobs: Jobs = None,
    as_json: Json = False,
    update: Update = False,
    reason: Reason = "",
    runs: Runs = None,
    subjects: Subjects = None,
    numbers: Numbers = NUMBERS,
    entries: Entries = ENTRIES,
    changelog: Log = CHANGELOG,
) -> None:
    """Are the reproduced numbers still what this code gives? Exit status 1 where one moved.

    Without options: --rescore and --fingerprints.
    """
    fingerprints = fingerprints or bool(subjects)
    if update:
        if rerun or rerun_rotating:
            raise InputError(
                "--update takes numbers from entries and --from runs; a rerun alone is no reason to move one"
            )
        both = not (rescore or fingerprints)
        _update(numbers, entries, runs or (), changelog, reason, subjects or (), rescore or both, fingerprints or both)
        return
    if runs or reason:
        raise InputError("--from and --reason belong to --update")
    if not (rescore or fingerprints or rerun or rerun_rotating):
        rescore = fingerprints = True
    verdicts = _compared(numbers, entries if rescore else None, subjects or () if fingerprints else None)
    if rerun or rerun_rotating:
        verdicts += _rerun(numbers, rerun, index, parts, jobs)
    _show(verdicts, as_json)


def _compared(numbers: Path, entries: Path | None, subjects: Sequence[str] | None) -> list[Any]:
    """Verdicts of re-scoring and of fingerprints; None leaves one out."""
    verdicts: list[Any] = []
    if entries is not None:
        from ..regression.rerun import rescore

        verdicts += rescore(numbers, entries)
    if subjects is not None:
        from ..regression.fingerprints import check_fingerprints

        verdicts += check_fingerprints(numbers, subjects)
    return verdicts


def _rerun(numbers: Path, name: str, index: int | None, count: int, jobs: int | None) -> list[Any]:
    from ...benchmark.errors import unknown
    from ...benchmark.runs.chains import stop_all
    from ..regression import rerun as guard
    from ..regression.numbers import read_kept

    kept = read_kept(numbers)
    turn = guard.today() if index is None else index
    if name and name not in kept:
        raise unknown("system", name, kept, f"the files of {numbers}")
    parts = guard.parts_of(kept[name], turn) if name else guard.rotating(kept, turn, count)
    verdicts = []
    for part in parts:
        tell(f"rerun of {part.name}, {part.size}, seed {part.seed}", sys.stderr)
        try:
            verdicts.append(guard.rerun(kept, part, jobs=jobs))
        except KeyboardInterrupt:
            stop_all()
            raise SystemExit(130) from None
    return verdicts


def _show(verdicts: Sequence[Any], as_json: bool) -> None:
    """Print what became of the comparisons; exit status 1 where something moved, an error where nothing was compared."""
    moved = [verdict for verdict in verdicts if not verdict.passed]
    compared = sum(verdict.compared for verdict in verdicts)
    if as_json:
        values = [verdict.to_json() for verdict in verdicts]
        print(json.dumps({"passed": bool(compared) and not moved, "compared": compared, "verdicts": values}, indent=1))
    else:
        for verdict in verdicts:
            tell("\n".join(verdict.lines()))
    if moved:
        tell(f"error: {len(moved)} of {len(verdicts)} comparisons found numbers that moved", sys.stderr)
        raise SystemExit(1)
    if not compared:
        raise InputError("nothing was compared: no numbers are kept; take them with `cxrbench regress --update`")
    if not as_json:
        tell(f"{compared} numbers in {len(verdicts)} comparisons, none moved")


def _update(
    numbers: Path,
    entries: Path,
    runs: Sequence[Path],
    changelog: Path,
    reason: str,
    subjects: Sequence[str],
    of_entries: bool,
    of_trainings: bool,
) -> None:
    if not reason.strip():
        raise InputError("--update needs --reason TEXT: why the numbers are written")
    from ..regression import renewal

    written = renewal.renew(numbers, entries, runs, changelog, reason) if of_entries or runs else []
    if of_trainings:
        path = renewal.renew_fingerprints(numbers, subjects, changelog, reason)
        written += [] if path is None else [path]
    for path in written:
        tell(str(path))
    tell(f"{len(written)} files written" if written else "nothing moved; nothing is written")
