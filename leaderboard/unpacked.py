"""`cxrbench submission unpack`: the runs of an entry as `cxrbench run` would have written their folders, to be reported
and compared. Case scores are computed from the entry's predictions where its films are at hand, else they are those that it
has; its results are its own word (`cxrbench submission check` says whether they follow).
"""

from __future__ import annotations

from pathlib import Path

from ..benchmark.errors import InputError
from ..benchmark.report.write import write_numbers, write_views
from .checks import digests
from .checks.aggregates import harvest_of
from .checks.subject import Sources, Subject
from .entry import RUNS, SUBMISSION, EntryRun, load_entry


def unpack(folder: Path, out: Path, sources: Sources | None = None) -> list[Path]:
    """Write a run's folder for each run of an entry, `out/ENTRY-TASK-DATA-PRESET`, and return their reports.

    `folder`: an entry, or one of its runs. InputError, and nothing is written, where the entry was changed after packing or
    a task is not installed as it was.
    """
    one = folder.resolve()
    home = one.parent.parent if one.parent.name == RUNS else one
    if not (home / SUBMISSION).is_file():
        raise InputError(
            f"{folder}: no entry (no {SUBMISSION}); expected submissions/NAME or submissions/NAME/{RUNS}/RUN"
        )
    subject = Subject(load_entry(home), sources or Sources())
    if found := list(digests.check(subject)):
        raise InputError(f"{home.name} is not as it was packed: {found[0]}")
    chosen = [run for run in subject.entry.runs if one in (home, run.path.resolve())]
    if not chosen:
        known = ", ".join(run.path.name for run in subject.entry.runs)
        raise InputError(f"{folder}: {home.name} has no such run; it has {known or 'none'}")
    for run in chosen:
        if not run.records:
            raise InputError(f"{run.path.name}: it has no cell, so that there is nothing to unpack")
        if subject.protocol(run) is None:
            raise InputError(f"{run.path.name}: its task is not installed with this version and these settings")
    return [_unpacked(subject, run, out / f"{home.name}-{run.path.name}") for run in chosen]


def _unpacked(subject: Subject, run: EntryRun, out: Path) -> Path:
    protocol = subject.protocol(run)
    assert protocol is not None
    write_numbers(out, harvest_of(subject, run, protocol))
    return write_views(out, run.results)
