"""What a paper says and what is done here, as data beside the modules of a package: `papers/<paper>.toml`.

A file has `title`, rows (`[[row]]`, one for each place where the code reads the paper otherwise, or leaves something out),
`[[printed]]`, what is as the paper prints it, and `[[table]]`, what is run for a table or figure (`paper_tables`). Rows and
`[[printed]]` say which providers or tasks of the package they are `about` (`gmvae_*`: all that begin so). A paper may have a
file in several packages: `docs/papers.md` is made from all of them, `cxrbench list provider NAME` shows what is about one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .errors import InputError, unknown
from .paper_tables import TableRun
from .registry import PROVIDERS, TASKS, plugins

FOLDER = "papers"
MARK = re.compile(r"([A-Z]+)(\d+)")


@dataclass(frozen=True)
class Row:
    """One place where a paper is read otherwise. `setting`: what to set for the other reading; empty: nothing does it."""

    key: str
    about: tuple[str, ...]
    paper: str
    here: str
    why: str
    setting: str = ""


@dataclass(frozen=True)
class Printed:
    """What is as the paper prints it."""

    about: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Paper:
    """The rows of one paper in one package, or in several."""

    key: str
    title: str
    rows: tuple[Row, ...]
    printed: tuple[Printed, ...]
    tables: tuple[TableRun, ...] = ()

    def of(self, name: str) -> Paper:
        """What is about one provider or task."""
        rows = tuple(row for row in self.rows if is_about(name, row.about))
        return Paper(self.key, self.title, rows, tuple(one for one in self.printed if is_about(name, one.about)))


def is_about(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of `lsgan`, `gmvae_*`."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def read_paper(file: Path) -> Paper:
    """A paper's file; InputError where it does not hold what one holds."""
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
        rows = [Row(**(row | {"about": tuple(row["about"])})) for row in said.get("row", ())]
        printed = [Printed(tuple(one["about"]), one["what"]) for one in said.get("printed", ())]
        tables = tuple(TableRun.read(one) for one in said.get("table", ()))
        return Paper(file.stem, said["title"], tuple(sorted(rows, key=_place)), tuple(printed), tables)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: no rows of a paper: {error}") from None


def _place(row: Row) -> tuple[str, int]:
    """Rows stand by letter and number: K2 before K10."""
    found = MARK.fullmatch(row.key)
    if found is None:
        raise ValueError(f"row '{row.key}': expected a letter and a number")
    return found[1], int(found[2])


def papers_in(folder: Path) -> list[Paper]:
    """The papers of a package whose modules lie in `folder`, by name; none where it has none."""
    return [read_paper(file) for file in sorted((folder / FOLDER).glob("*.toml"))]


def papers_about(folder: Path, name: str) -> list[Paper]:
    """The papers of a package that say something about one of its providers or tasks."""
    found = [paper.of(name) for paper in papers_in(folder)]
    return [paper for paper in found if paper.rows or paper.printed]


def joined(papers: Iterable[Paper]) -> list[Paper]:
    """Papers of several packages as one each, by name. InputError where two of them have a row of the same key."""
    found: dict[str, Paper] = {}
    for paper in papers:
        old = found.get(paper.key, Paper(paper.key, paper.title, (), ()))
        rows = tuple(sorted((*old.rows, *paper.rows), key=_place))
        keys = [row.key for row in rows]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise InputError(f"{FOLDER}/{paper.key}.toml: two rows {twice[0]}")
        found[paper.key] = Paper(
            paper.key, old.title, rows, (*old.printed, *paper.printed), (*old.tables, *paper.tables)
        )
    return [found[key] for key in sorted(found)]


HEAD = """# The five papers and what is done here

What a paper says, what is done here, why, and which setting gives the other reading: a row for each place where the code
does not do what the paper prints, or where the paper can be read in more than one way. What is as printed stands below each
table. `cxrbench list provider NAME` and `cxrbench list task NAME` show the rows of one provider or task, with its settings
at every preset. This page is made from the files `papers/*.toml` beside the code by `cxrbench plugins --write`.

`here` is the preset `paper`, where nothing else is said. Settings of a task begin with `task.` on the command line.
"""
COLUMNS = ("", "the paper", "here", "why", "the other reading")


def as_page(papers: Sequence[Paper]) -> str:
    """The page docs/papers.md."""
    return "\n".join([HEAD, *(line for paper in papers for line in _section(paper))])


def _section(paper: Paper) -> list[str]:
    lines = [f"## {paper.title}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
    for row in paper.rows:
        about = ", ".join(f"`{name}`" for name in row.about)
        lines.append(_line([row.key, row.paper, f"{about}: {row.here}", row.why, row.setting or "–"]))
    lines.append("")
    if paper.printed:
        lines += ["As printed:", "", *(f"- {_named(one)}" for one in paper.printed), ""]
    if paper.tables:
        lines += ["Tables that can be run (`cxrbench init --table NAME`):", ""]
        lines += [f"- `{one.name}`: {one.shows}: {one.about}; {one.how()}" for one in paper.tables]
        lines.append("")
    return lines


def _named(one: Printed) -> str:
    return f"{', '.join(f'`{name}`' for name in one.about)}: {one.what}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def paper_tables() -> list[tuple[Paper, TableRun]]:
    """The tables of all installed packages, by paper."""
    folders: dict[Path, None] = {}
    for group in (PROVIDERS, TASKS):
        for plugin in plugins(group).values():
            try:
                folders[plugin.source().parent] = None
            except InputError:  # a package that is half there: `cxrbench list` says so
                continue
    found = joined(paper for folder in folders for paper in papers_in(folder))
    return [(paper, one) for paper in found for one in paper.tables]


def find_table(name: str) -> TableRun:
    """A table by name; InputError with the nearest ones."""
    known = {one.name: one for _, one in paper_tables()}
    if name not in known:
        raise unknown("table", name, known)
    return known[name]
