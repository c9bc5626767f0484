"""What the readers said, as the paper's Table 1 and as numbers with intervals.

Table 1 of Xing et al. counts the films that each reader called real, by class and source. Beside it: accuracy; sensitivity
(synthetic films called synthetic) and specificity (real films called real) with exact intervals (Clopper and Pearson 1934);
agreement of readers (Cohen 1960 for two, Fleiss 1971 for more).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..console_tables import cell, side_by_side, table
from ..schema import Strict
from .answers import Reader, read_answers
from .rates import Agreement, Rate, agreement, counted, interval, rate
from .study import NONE_OF_THESE, REAL, SYNTHETIC, Item, Study, read_key

TOTAL = "Total"


class Line(Strict):
    """A row of the table: films called real, by source and reader in their order."""

    shown_class: str
    called_real: dict[str, list[Rate]]


class ReaderScore(Strict):
    """One reader. `called_real` by source. `finding`: films of a source whose class was named; empty where not asked."""

    reader: str
    answered: int
    accuracy: Rate
    sensitivity: Rate
    specificity: Rate
    called_real: dict[str, Rate]
    finding: dict[str, Rate]


class StudyScore(Strict):
    """Everything that `reader-study score --json` prints."""

    study: str
    films: int
    sources: list[str]
    readers: list[ReaderScore]
    table: list[Line]
    agreement: list[Agreement]


def score_study(folder: Path, files: Sequence[Path]) -> StudyScore:
    """The score of a study's folder and the readers' files. InputError in one line for what does not fit."""
    study, key = read_key(folder)
    readers = read_answers(files, study, key)
    sources = [source.name for source in study.sources]
    return StudyScore(
        study=study.id,
        films=study.films,
        sources=sources,
        readers=[_reader_score(reader, key, sources, study) for reader in readers],
        table=[
            Line(
                shown_class=one,
                called_real={source: [_called_real(r, key, _of(source, one)) for r in readers] for source in sources},
            )
            for one in [*study.classes, TOTAL]
        ],
        agreement=_agreements(study, readers),
    )


def _of(source: str, shown_class: str = TOTAL) -> Callable[[Item], bool]:
    return lambda item: item.source == source and shown_class in (TOTAL, item.shown_class)


def _share(answers: Mapping[str, str], key: Mapping[str, Item], which: Callable[[Item], bool], right: str) -> Rate:
    """Of the answered films of a kind, those whose answer is `right`."""
    said = [answer for item, answer in answers.items() if which(key[item])]
    return rate(said.count(right), len(said))


def _called_real(reader: Reader, key: Mapping[str, Item], which: Callable[[Item], bool]) -> Rate:
    return _share(reader.answers, key, which, REAL)


def _reader_score(reader: Reader, key: Mapping[str, Item], sources: Sequence[str], study: Study) -> ReaderScore:
    sensitivity = _share(reader.answers, key, lambda item: item.kind == SYNTHETIC, SYNTHETIC)
    specificity = _share(reader.answers, key, lambda item: item.kind == REAL, REAL)
    named = {}
    for source in sources if study.asks_finding else ():
        hits = [key[item].shown_class == said for item, said in reader.findings.items() if key[item].source == source]
        named[source] = rate(sum(hits), len(hits))
    return ReaderScore(
        reader=reader.name,
        answered=len(reader.answers),
        accuracy=rate(sensitivity.k + specificity.k, sensitivity.n + specificity.n),
        sensitivity=sensitivity,
        specificity=specificity,
        called_real={source: _called_real(reader, key, _of(source)) for source in sources},
        finding=named,
    )


def _agreements(study: Study, readers: Sequence[Reader]) -> list[Agreement]:
    if len(readers) < 2:
        return []
    found = [agreement("real or synthetic", [reader.answers for reader in readers], (REAL, SYNTHETIC))]
    if study.asks_finding:
        findings = [reader.findings for reader in readers]
        found.append(agreement("finding", findings, (*study.classes, NONE_OF_THESE)))
    return found


# ------------------------------------------------------------------------------------------------------- in words


def in_words(score: StudyScore) -> str:
    """The table and the numbers below it, as plain text."""
    lines = [f"study {score.study}: {score.films} films, {counted(len(score.readers), 'reader')}", ""]
    lines += [f"Films called real{_of_how_many(score)}", *_table(score), ""]
    for reader in score.readers:
        lines += _reader_lines(reader, score)
    for one in score.agreement:
        value = "not defined" if one.value is None else f"{one.value:.3f}"
        lines.append(f"agreement on {one.question}: {one.kappa}'s kappa {value} over {counted(one.films, 'film')}")
    return "\n".join(lines).rstrip() + "\n"


def _sizes(score: StudyScore) -> set[int]:
    """How many films a class and source have answers for."""
    return {cell.n for line in score.table[:-1] for cells in line.called_real.values() for cell in cells}


def _of_how_many(score: StudyScore) -> str:
    sizes = _sizes(score)
    return f" (of {sizes.pop()} a class and source)" if len(sizes) == 1 else " (of the answered ones)"


def _table(score: StudyScore) -> list[str]:
    """Rows of classes; under every source a column a reader."""
    whole = len(_sizes(score)) == 1
    classes = table([""], title=" ")
    sources = {name: table([one.reader for one in score.readers], left=0, title=name) for name in score.sources}
    for line in score.table:
        classes.add_row(cell(line.shown_class))
        for name, made in sources.items():
            made.add_row(*(cell(_cell(one, whole)) for one in line.called_real[name]))
    return [line for block in side_by_side(classes, list(sources.values())) for line in block.plain.splitlines()]


def _cell(rate: Rate, whole: bool) -> str:
    return str(rate.k) if whole or not rate.n else f"{rate.k}/{rate.n}"


def _reader_lines(reader: ReaderScore, score: StudyScore) -> list[str]:
    left = score.films - reader.answered
    partial = f"; {counted(left, 'film')} without an answer left out" if left else ""
    lines = [f"{reader.reader}: {reader.answered} of {score.films} films answered{partial}"]
    rows = [
        ("accuracy", reader.accuracy),
        ("sensitivity (synthetic films called synthetic)", reader.sensitivity),
        ("specificity (real films called real)", reader.specificity),
        *((f"called real: {source}", reader.called_real[source]) for source in score.sources),
        *((f"finding named: {source}", found) for source, found in reader.finding.items()),
    ]
    width = max(len(name) for name, _ in rows)
    return [*lines, *(f"  {name:<{width}}  {interval(value)}" for name, value in rows), ""]


def table_csv(score: StudyScore) -> str:
    """The table as csv in the form of the published one: `pathology,real_r1,real_r2,…`, a column a source and reader."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    numbers = range(1, len(score.readers) + 1)
    writer.writerow(["pathology", *(f"{source}_r{number}" for source in score.sources for number in numbers)])
    for line in score.table:
        writer.writerow([line.shown_class, *(cell.k for source in score.sources for cell in line.called_real[source])])
    return text.getvalue()
