"""`digests.json` names every file of the runs with the sha256 that it has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ...benchmark import digest
from ..entry import DIGESTS, RUNS
from ..untrusted import WINDOWS_LINE_ENDS
from .finding import Finding, Level
from .subject import Subject

NAME = "digests"
RECOMPUTES = False


def check(subject: Subject) -> Iterator[Finding]:
    """One error for every file that is missing, added or changed since it was packed."""
    entry = subject.entry
    sealed = {name: path for name, path in entry.files.items() if name.startswith(f"{RUNS}/")}
    named = {} if entry.digests is None else entry.digests.files
    if sealed and entry.digests is None:
        yield Finding(Level.ERROR, NAME, DIGESTS, "is missing; pack the run again")
        return
    for name in sorted(sealed.keys() - named.keys()):
        yield Finding(Level.ERROR, NAME, name, f"is not named by {DIGESTS}")
    for name in sorted(named.keys() - sealed.keys()):
        yield Finding(Level.ERROR, NAME, DIGESTS, f"names {ascii(name)[1:-1][:120]}, which is not there")
    for name in sorted(named.keys() & sealed.keys()):
        if digest.of_file(sealed[name]) != named[name]:
            data = sealed[name].read_bytes()
            as_packed = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest() == named[name]
            changed = f"was changed after it was packed (sha256 is not that of {DIGESTS})"
            yield Finding(Level.ERROR, NAME, name, WINDOWS_LINE_ENDS if as_packed else changed)
