"""What readers preferred, the target or the model's segmentation (Ciano et al. 2021, section 5.3): shares with exact
intervals (Clopper and Pearson 1934), agreement of the readers (Cohen 1960 for two, Fleiss 1971 for more), and comments.

A share is of the films for which a reader chose one of the two; 0.5 is what equally good segmentations would get, and p the
chance of a share at least as far from it (exact binomial test). "No preference" is counted beside it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from ..console_tables import as_text, cell, table
from ..errors import InputError
from ..schema import Strict
from .answers import named_apart, once, read_rows
from .preference import PREDICTION, TARGET, PreferenceItem, PreferenceStudy
from .rates import Agreement, Rate, agreement, counted, interval, rate
from .study import read_folder

COLUMNS = ("study", "item", "organ", "choice")
NUMBERS = ("1", "2", "none")
CHOICES = (PREDICTION, TARGET, "none")
MAJORITY = "majority"


@dataclass(frozen=True)
class Opinions:
    """What one reader chose and said, by film and question."""

    name: str
    choices: Mapping[tuple[str, str], str]
    comments: Mapping[tuple[str, str], str]


class Preferred(Strict):
    """How often a reader preferred the prediction. `none`: films without a preference; `p`: of a fair coin."""

    reader: str
    prediction: Rate
    none: int
    p: float | None


class OrganScore(Strict):
    """A question: each reader, and the film's majority where there are several; films on which all preferred the same."""

    organ: str
    readers: list[Preferred]
    agreement: Agreement | None
    all_prediction: list[str]
    all_target: list[str]


class Opinion(Strict):
    """One answer, unblinded, with its comment. `score`: the model's on the film."""

    case: str
    score: str
    organ: str
    reader: str
    choice: str
    comment: str


class PreferenceScore(Strict):
    """Everything that `reader-study score --json` prints of a study of preferences."""

    study: str
    task: str
    provider: str
    arm: str
    films: int
    readers: list[str]
    organs: list[OrganScore]
    opinions: list[Opinion]


def score_preference(folder: Path, files: Sequence[Path]) -> PreferenceScore:
    """The score of a study's folder and the readers' files. InputError in one line for what does not fit."""
    study, key = read_folder(folder, PreferenceStudy, PreferenceItem)
    once(files)
    readers = named_apart([_opinions(file, study, key) for file in files], files)
    return PreferenceScore(
        study=study.id,
        task=study.task,
        provider=study.provider,
        arm=study.arm,
        films=study.films,
        readers=[reader.name for reader in readers],
        organs=[_organ(organ, readers, key) for organ in study.organs],
        opinions=[
            Opinion(
                case=item.case,
                score=item.score,
                organ=organ,
                reader=reader.name,
                choice=reader.choices.get((name, organ), ""),
                comment=reader.comments.get((name, organ), ""),
            )
            for name, item in sorted(key.items(), key=lambda one: one[1].case)
            for organ in study.organs
            for reader in readers
            if (name, organ) in reader.choices or (name, organ) in reader.comments
        ],
    )


def _opinions(file: Path, study: PreferenceStudy, key: Mapping[str, PreferenceItem]) -> Opinions:
    choices: dict[tuple[str, str], str] = {}
    comments: dict[tuple[str, str], str] = {}
    lines: dict[tuple[str, str], int] = {}
    names: list[str] = []
    for line, row in read_rows(file, COLUMNS):
        where, item, organ, number = f"{file} line {line}", row["item"], row["organ"], row["choice"].lower()
        if row["study"] != study.id:
            raise InputError(f"{where}: an answer to study {row['study'] or '(none)'}, expected {study.id}")
        if item not in key:
            raise InputError(f"{where}: film '{item}' is not in study {study.id}; export the answers again")
        if organ not in study.organs:
            raise InputError(f"{where}: '{organ}' is not asked about; expected {', '.join(study.organs)}")
        if (item, organ) in lines:
            raise InputError(f"{where}: {organ} of film {item} was answered in line {lines[item, organ]} already")
        if number and number not in NUMBERS:
            raise InputError(f"{where}: '{number}' is not a choice; expected {', '.join(NUMBERS)}")
        lines[item, organ] = line
        if number:
            choices[item, organ] = key[item].chosen(number)
        if comment := row.get("comment", ""):
            comments[item, organ] = comment
        if (name := row.get("reader", "")) and name not in names:
            names.append(name)
    if len(names) > 1:
        raise InputError(f"{file}: answers of {len(names)} readers ({', '.join(names[:3])}); expected a file a reader")
    if not choices:
        raise InputError(f"{file}: no answers; export them from the page")
    return Opinions(names[0] if names else file.stem, choices, comments)


def _organ(organ: str, readers: Sequence[Opinions], key: Mapping[str, PreferenceItem]) -> OrganScore:
    said = [{item: choice for (item, one), choice in reader.choices.items() if one == organ} for reader in readers]
    rows = [_preferred(reader.name, list(one.values())) for reader, one in zip(readers, said, strict=True)]
    common = sorted(set.intersection(*map(set, said)))
    if len(readers) > 1:
        rows.append(_preferred(MAJORITY, [_majority([one[item] for one in said]) for item in common]))
    found = agreement(organ, said, CHOICES) if len(readers) > 1 else None
    alike = {choice: [key[i].case for i in common if all(one[i] == choice for one in said)] for choice in CHOICES}
    return OrganScore(
        organ=organ,
        readers=rows,
        agreement=found,
        all_prediction=sorted(alike[PREDICTION]),
        all_target=sorted(alike[TARGET]),
    )


def _majority(choices: Sequence[str]) -> str:
    """What more readers chose; none where as many chose either."""
    lead = choices.count(PREDICTION) - choices.count(TARGET)
    return PREDICTION if lead > 0 else TARGET if lead < 0 else "none"


def _preferred(reader: str, choices: Sequence[str]) -> Preferred:
    k, n = choices.count(PREDICTION), len(choices) - choices.count("none")
    p = float(stats.binomtest(k, n, 0.5).pvalue) if n else None
    return Preferred(reader=reader, prediction=rate(k, n), none=choices.count("none"), p=p)


# ------------------------------------------------------------------------------------------------------- in words


def in_words(score: PreferenceScore) -> str:
    """The tables, the agreement and the comments, as plain text."""
    of = " · ".join(part for part in (score.task, score.provider, score.arm.upper()) if part)
    lines = [f"study {score.study}: {counted(score.films, 'film')}, {counted(len(score.readers), 'reader')} ({of})", ""]
    for one in score.organs:
        made = table(["reader", "prediction preferred", "no preference", "p (half)"], title=one.organ.replace("_", " "))
        for row in one.readers:
            p = "" if row.p is None else f"{row.p:.3f}"
            made.add_row(cell(row.reader), cell(interval(row.prediction)), cell(str(row.none)), cell(p))
        lines += as_text(made).plain.splitlines()
        if one.agreement is not None:
            value = "not defined" if one.agreement.value is None else f"{one.agreement.value:.3f}"
            lines.append(
                f"agreement: {one.agreement.kappa}'s kappa {value} over {counted(one.agreement.films, 'film')}"
            )
            lines.append(f"all preferred the prediction: {', '.join(one.all_prediction) or 'of no film'}")
            lines.append(f"all preferred the target: {', '.join(one.all_target) or 'of no film'}")
        lines.append("")
    if said := [one for one in score.opinions if one.comment]:
        lines.append("What they said")
        lines += [
            f"  {one.case}, {one.organ}, {one.reader} ({one.choice or 'no choice'}): {one.comment}" for one in said
        ]
    return "\n".join(lines).rstrip() + "\n"


def opinions_csv(score: PreferenceScore) -> str:
    """Every answer, unblinded, as csv."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(Opinion.model_fields))
    writer.writerows([list(one.model_dump().values()) for one in score.opinions])
    return text.getvalue()
