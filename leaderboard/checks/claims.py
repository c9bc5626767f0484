"""What `submission.toml` claims: its division, to be a control, and that the example's words were replaced."""

from __future__ import annotations

from collections.abc import Iterator

from ...benchmark.registry import PROVIDERS, plugins
from ..entry import SUBMISSION
from ..example import placeholders
from .finding import Finding, Level
from .subject import Subject

NAME = "claims"
RECOMPUTES = False


def check(subject: Subject) -> Iterator[Finding]:
    """`reproduced` is for systems that this repository can run; whose code it was is said."""
    entry = subject.entry
    if not entry.runs:
        yield Finding(Level.NOTE, NAME, "", "a draft: no run is packed yet (`cxrbench submission pack`)")
    if left := placeholders(entry.submission, entry.readme):
        level = Level.ERROR if entry.runs else Level.NOTE
        yield Finding(level, NAME, "submission.toml", f"{', '.join(left)}: still the example's words")
    if entry.submission.control and entry.submission.division != "reproduced":
        words = "'control' is for systems whose worth is known beforehand, which the maintainers run"
        yield Finding(Level.ERROR, NAME, "submission.toml", words)
    if entry.submission.reproduces is not None:
        if entry.submission.division != "reproduced":
            words = "'reproduces' is for entries that the maintainers run from another's code"
            yield Finding(Level.ERROR, NAME, "submission.toml", words)
        if not (entry.folder.resolve().parent / entry.submission.reproduces / SUBMISSION).is_file():
            words = f"it reproduces {entry.submission.reproduces}, which is no entry beside it"
            yield Finding(Level.ERROR, NAME, "submission.toml", words)
    for run in entry.runs if entry.submission.division == "reproduced" else ():
        said = run.results.provider
        plugin = plugins(PROVIDERS).get(said.spec)
        if plugin is None:
            words = f"'reproduced' is for systems of this repository; {ascii(said.spec)[1:-1][:60]} is none of them"
            yield Finding(Level.REVIEW, NAME, run.path.name, words)
        elif plugin.code_digest() != said.code:
            words = f"run with another version of the code of {plugin.name} than this one"
            yield Finding(Level.NOTE, NAME, run.path.name, words)
