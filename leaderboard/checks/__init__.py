"""The checker: what decides whether an entry stands on the leaderboard. It does not trust it.

Reading comes first (`untrusted`, `arrays`: format, names, sizes), then what can be told without films, then what is computed
again. A check is a module of this package with

    NAME         what its findings are called
    RECOMPUTES   whether it computes numbers again from predictions: then it runs when the others found no error
    check        a function of a `Subject` that yields findings

and is found by being there. Checks run in the order of their names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from ..entry import REVIEWED, Entry, load_entry
from ..pictures import check_png
from ..untrusted import Refused, read_toml
from .finding import Finding, Level
from .subject import Sources, Subject

__all__ = ["Check", "Finding", "Level", "Sources", "Verdict", "check_entry", "checks"]


class Check(Protocol):
    """What the module of a check has."""

    NAME: str
    RECOMPUTES: bool

    def check(self, subject: Subject) -> Iterable[Finding]:
        """What it says of an entry."""


@cache
def checks() -> tuple[Check, ...]:
    """Every check of this package, by name."""
    modules = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return tuple(sorted((cast(Check, one) for one in modules if hasattr(one, "check")), key=lambda one: one.NAME))


@dataclass(frozen=True)
class Verdict:
    """What the checker says of an entry. `entry` is None where it could not be read."""

    name: str
    entry: Entry | None
    findings: tuple[Finding, ...]
    whole: bool
    """Whether everything was checked: errors that come first leave numbers unchecked."""

    @property
    def passed(self) -> bool:
        """Whether it may stand on the leaderboard: no error, nothing that waits for a review."""
        return self.whole and all(finding.level is Level.NOTE for finding in self.findings)

    @property
    def status(self) -> str:
        """`passed`, `needs review` or `refused`."""
        if self.passed:
            return "passed"
        errors = not self.whole or any(finding.level is Level.ERROR for finding in self.findings)
        return "refused" if errors else "needs review"

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "name": self.name,
            "status": self.status,
            "passed": self.passed,
            "digest": None if self.entry is None else self.entry.digest,
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_entry(
    folder: Path,
    *,
    sources: Sources | None = None,
    reviewed: Path | None = None,
    begun: Callable[[Entry], None] | None = None,
) -> Verdict:
    """Check an entry. `sources`: where tasks and films come from. `reviewed`: the maintainers' list, by default
    `reviewed.toml` beside the entry. `begun` is called with the entry when it could be read."""
    folder = Path(folder)
    name = ascii(folder.name)[1:-1]
    try:
        entry = load_entry(folder)
        for sample in entry.samples:
            check_png(sample)
    except Refused as error:
        return Verdict(name, None, (Finding(Level.ERROR, "format", "", str(error)),), whole=False)
    if begun is not None:
        begun(entry)
    subject = Subject(entry, sources or Sources())
    findings = [finding for one in checks() if not one.RECOMPUTES for finding in one.check(subject)]
    whole = all(finding.level is not Level.ERROR for finding in findings)
    if whole:
        findings += [finding for one in checks() if one.RECOMPUTES for finding in one.check(subject)]
    else:
        words = "numbers were not computed again; mend the errors above first"
        findings.append(Finding(Level.NOTE, "scores", "", words))
    return Verdict(name, entry, tuple(_reviewed(findings, entry, reviewed or folder.parent / REVIEWED)), whole)


def _reviewed(findings: Iterable[Finding], entry: Entry, path: Path) -> list[Finding]:
    """The findings, those for review as notes where a maintainer has looked at exactly this entry."""
    try:
        reason = _reason(path, entry) if path.is_file() else None
    except Refused as error:  # the list is not the entry's
        return [
            *findings,
            Finding(Level.NOTE, "reviews", "", f"{path.name} cannot be read, so no review counts: {error}"),
        ]
    return [
        Finding(Level.NOTE, one.check, one.where, f"{one.message} (reviewed: {reason})")
        if one.level is Level.REVIEW and reason
        else one
        for one in findings
    ]


def _reason(path: Path, entry: Entry) -> str | None:
    said = read_toml(path).get(entry.name)
    if isinstance(said, dict) and said.get("digest") == entry.digest:
        return str(said.get("reason", "without a reason"))
    return None
