"""The table of a manifest: its columns read (`manifest_columns`), every row checked before a film is opened, and what
was noticed on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, unknown
from .. import people, splits
from ..finding_lists import flags_of_columns, flags_of_lists
from ..parts import films_in_words, read_parts
from ..reading.tables import is_blank, read_table
from .manifest_columns import FINDING, Columns, checked_ids, film_id
from .manifest_files import absent, missing_files
from .manifest_folder import table_of_folder
from .manifest_options import FIELD, ManifestOptions
from .manifest_split import split_asked, split_of

_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_UNCERTAIN = ("-1", "-1.0")
_POLICIES = {"zeros": 0, "ones": 1, "ignore": 0}


@dataclass(frozen=True)
class Row:
    """One film of the manifest. `masks`: organ to file; the key "" is the one file that all organs share."""

    id: str
    film: Path
    masks: Mapping[str, Path]
    values: Mapping[str, object]


@dataclass(frozen=True)
class Manifest:
    """A checked manifest: rows, organs in bit order, findings in order of `cases` columns. remarks: what was noticed,
    a line each. left_out: the ids of films that the user left out. views: "frontal" or "any" where the user says what
    becomes of films that their own headers call lateral. unsplit: what to say, last, of a set without split and fold.
    """

    rows: tuple[Row, ...]
    organs: tuple[str, ...]
    findings: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    views: str | None = None
    unsplit: tuple[str, ...] = ()


def read_manifest(path: Path, options: ManifestOptions) -> Manifest:
    """The rows of a manifest, all that can be checked without opening a film checked."""
    if not path.exists():
        raise absent(path)
    columns = Columns(table_of_folder(path, options) if path.is_dir() else read_table(path), options)
    split, folds = split_asked(options.split), _drawn("fold", options.fold)
    left_out = _leave_out(columns)
    findings = _findings(columns)
    ids = checked_ids(_ids(columns), columns.table.places, path)
    patients = _patients(columns, ids)
    organs = _organs(columns)
    films, masks = columns.films(), columns.masks(organs)
    if error := missing_files(films, masks, columns.root, columns.table.places):
        raise error  # before anything is drawn of films that are not there
    values: dict[str, list[object]] = {"id": list(ids), "patient": list(patients)}
    for name, parts in (("split", _split(columns, ids, patients, split)), ("fold", _folds(columns, patients, folds))):
        if parts is not None:
            if not options.allow_shared_patients:
                _check_patients(name, patients, parts, columns.remarks)
            values[name] = parts
    for name, flags in findings.items():
        if name in values or name in options.keep:
            raise InputError(f"manifest: a finding cannot be called {name!r}: it is the name of another column")
        values[name] = list(flags)
    for name in options.keep:
        values[name] = list(columns.column(name))
    rows = tuple(
        Row(ids[row], films[row], masks[row], {name: column[row] for name, column in values.items()})
        for row in range(len(ids))
    )
    remarks = tuple(dict.fromkeys([*columns.remarks, *columns.unused()]))
    unsplit = () if {"split", "fold"} & set(values) else (_way_to_split(columns),)
    return Manifest(rows, organs, tuple(findings), remarks, frozenset(left_out) - set(ids), columns.views, unsplit)


def _leave_out(columns: Columns) -> list[str]:
    """Take the films of `--only`, and with `--uncertain ignore` those without an uncertain finding; ids of the others."""
    out = set(columns.leave_out())
    if columns.options.uncertain == "ignore":
        values = [columns.column(name) for name in _finding_columns(columns)]
        unsure = {row for column in values for row, value in enumerate(column) if value in _UNCERTAIN}
        if unsure - out:
            columns.remarks.append(f"{films_in_words(len(unsure - out))} with an uncertain finding (-1) left out")
        out |= unsure
    if not out:
        return []
    if len(out) == len(columns.table.rows):
        raise InputError("manifest: no film is left by --only and --uncertain ignore")
    ids = _ids(columns)
    columns.keep_rows([row for row in range(len(ids)) if row not in out])
    return [ids[row] for row in out]


def _organs(columns: Columns) -> tuple[str, ...]:
    """The organs of the masks. InputError for masks of which nobody says whether they are of one organ or of several, with
    the ways to say either."""
    try:
        return columns.organs()
    except InputError as error:
        if one := _mask_template(columns):
            raise InputError(f"{error}; where they are of one organ: --mask 'lungs={one}'") from None
        raise


def _mask_template(columns: Columns) -> str:
    """The template of masks that no organ is named for; empty where there are none, or several."""
    options = columns.options
    if options.organs or len(options.masks) > 1:
        return ""
    if options.masks:
        return "" if "=" in options.masks[0] else options.masks[0]
    if not columns.has("mask"):
        return ""
    if not _is_folder(columns):
        return f"{{{columns.name('mask')}}}"
    return columns.table.rows[0]["mask"].replace(film_id(Path(columns.film_texts()[0])), "{stem}")


def _is_folder(columns: Columns) -> bool:
    """Whether the table is made of a folder, and not a file."""
    return not columns.table.path.is_file()


def _ids(columns: Columns) -> list[str]:
    """The ids of films: taken as the user says, from the column, or from the file's name."""
    source = columns.options.id_from
    if source is None and columns.has("id"):
        return ["" if is_blank(value) else value for value in columns.column("id")]
    if source is None:
        return [film_id(Path(text)) for text in columns.film_texts()]
    if "id" in columns.options.columns:
        raise InputError("manifest: give the id by --columns id=... or by --id-from, not both")
    values = columns.taken_from(source, "--id-from")
    if source == "path":
        values = [str(Path(value).with_name(film_id(Path(value)))) for value in values]
    return [value.strip("/.").replace("/", "_") for value in values]


def _patients(columns: Columns, ids: Sequence[str]) -> list[str]:
    """One name a person. InputError where parts are drawn or kept apart by patient and nothing says who is on a film."""
    options, places = columns.options, columns.table.places
    if options.patient_from is None and not columns.has("patient"):
        _check_needless(columns)
        return list(ids)
    if options.patient_from is not None and "patient" in options.columns:
        raise InputError("manifest: give the patient by --columns patient=... or by --patient-from, not both")
    if options.patient_from == "id":
        return list(ids)
    source = options.patient_from
    values = columns.column("patient") if source is None else columns.taken_from(source, "--patient-from", ids)
    names, remarks = people.one_name_each(values, places)
    columns.remarks += remarks
    return names


def _check_needless(columns: Columns) -> None:
    """There is no patient: said, or refused where it would have to be known."""
    options = columns.options
    near = people.near_names(columns.header)
    drawn = next(
        (f"--{name} {text}" for name, text in (("split", options.split), ("fold", options.fold)) if text), None
    )
    kept = next((f"a column '{name}'" for name in ("split", "fold") if columns.has(name)), None)
    guess = f"; did you mean '{near[0]}' (--columns 'patient={near[0]}')?" if near else ""
    if options.path and _is_folder(columns):
        fields = ", ".join(dict.fromkeys(FIELD.findall(options.path)))
        meant = f"did you mean {{patient}} for {{{near[0]}}}?" if near else "call that of the person {patient}."
        guess = f"; --path has {fields}: {meant}"
    if not near and people.names_in_paths(columns.film_texts()):
        guess = r"; the paths seem to name it (--patient-from 'path:(patient\d+)')."
    if drawn or (kept and near):
        raise InputError(
            f"manifest: {drawn or kept} needs a column 'patient', so that nobody is in train and in test{guess or '.'} "
            "Where every film is of another person say --patient-from id"
        )
    columns.remarks.append(f"no column 'patient': every film counts as a person of its own{guess}")


def _way_to_split(columns: Columns) -> str:
    """What a set without split and fold needs before a run, as the options that are yet to be given."""
    mapped = [f"split={name}" for name in columns.near("split")[:1]]
    given = columns.options.patient_from is not None or columns.has("patient")
    near = [] if given else people.near_names(columns.header)
    mapped += [f"patient={name}" for name in near[:1]]
    options = [f"--columns '{','.join(mapped)}'"] if mapped else []
    options += [] if columns.near("split") else ["--split patients:0.5"]
    if not given and not near:
        in_paths = people.names_in_paths(columns.film_texts())
        options.append(r"--patient-from 'path:(patient\d+)'" if in_paths else "--patient-from id")
    return f"no split yet: a run needs one; import again with {' '.join(options)} --force"


def _finding_columns(columns: Columns) -> list[str]:
    named = [name for name in (*columns.options.columns, *columns.header) if name.startswith(FINDING)]
    return list(dict.fromkeys(named))


def _findings(columns: Columns) -> dict[str, list[int]]:
    """Finding to 0/1 a row, from `finding_<Name>` columns or from a column of lists of names."""
    if columns.options.uncertain is not None and columns.options.uncertain not in _POLICIES:
        raise unknown("--uncertain", columns.options.uncertain, _POLICIES)
    names, places = _finding_columns(columns), columns.table.places
    if names:
        found = {name.removeprefix(FINDING): _flags(columns, name) for name in names}
        findings, remarks = flags_of_columns(found, places)
    elif columns.has("findings"):
        findings, remarks = flags_of_lists(columns.column("findings"), places)
    else:
        return {}
    columns.remarks += remarks
    return findings


def _flags(columns: Columns, name: str) -> list[int]:
    """A column of 0 and 1; -1 and nothing by the policy, which is said with their numbers."""
    policy, values = columns.options.uncertain, columns.column(name)
    flags, taken = [], Counter[str]()
    for row, value in enumerate(values):
        kind = "uncertain (-1)" if value in _UNCERTAIN else "blank" if is_blank(value) else ""
        if kind and policy is not None:
            taken[kind] += 1
            flags.append(_POLICIES[policy] if value in _UNCERTAIN else 0)
        elif value.lower() in _FLAGS:
            flags.append(_FLAGS[value.lower()])
        else:
            way = f" ({kind}; --uncertain zeros, ones or ignore says what -1 is, and blank is then 0)" if kind else ""
            where = columns.table.places([row])
            raise InputError(f"manifest: {where}: column '{columns.name(name)}' must be 0 or 1, found {value!r}{way}")
    for kind, count in sorted(taken.items()):
        meant = 0 if kind == "blank" else _POLICIES[str(policy)]
        columns.remarks.append(f"finding {name.removeprefix(FINDING)}: {count} {kind} taken for {meant}")
    return flags


def _split(
    columns: Columns, ids: Sequence[str], patients: Sequence[str], asked: float | Path | None
) -> list[object] | None:
    if asked is not None:
        drawn, said = split_of(asked, ids, patients, columns.options.seed)
        columns.remarks += said
        return drawn
    if not columns.has("split"):
        if columns.options.split_values:
            raise InputError("manifest: --split-values is for a column 'split', and there is none")
        return None
    values = columns.column("split")
    parts, remarks = read_parts(values, [is_blank(value) for value in values], columns.options.split_values)
    columns.remarks += remarks
    return list(parts)


def _folds(columns: Columns, patients: Sequence[str], count: float | None) -> list[object] | None:
    if count is not None:
        if count != int(count):
            raise InputError(f"manifest: the number of folds must be whole, found {count}")
        return list(splits.patient_folds(patients, int(count), columns.options.seed))
    if not columns.has("fold"):
        return None
    values = [value.removesuffix(".0") for value in columns.column("fold")]
    wrong = [row for row, value in enumerate(values) if not value.isdecimal()]
    if wrong:
        where = columns.table.places(wrong)
        raise InputError(
            f"manifest: column 'fold' must hold whole numbers from 0, found {values[wrong[0]]!r} in {where}"
        )
    return [int(value) for value in values]


def _drawn(option: str, text: str | None) -> float | None:
    """The number of "patients:0.5"; None where nothing is drawn."""
    if text is None:
        return None
    unit, _, number = text.partition(":")
    try:
        if unit == "patients":
            return float(number)
    except ValueError:
        pass
    raise InputError(f"manifest: --{option} must look like patients:3, found {text!r}")


def _check_patients(column: str, patients: Sequence[str], parts: Sequence[object], remarks: Sequence[str]) -> None:
    """Refuse a patient in two parts: a test film of a person seen in training is a leak. The error says which
    spellings were taken for one person.
    """
    part_of: dict[str, object] = {}
    used = [(patient, part) for patient, part in zip(patients, parts, strict=True) if part != "none"]
    shared = sorted({patient for patient, part in used if part_of.setdefault(patient, part) != part})
    if shared:
        raise InputError(
            f"manifest: {len(shared)} patients are in more than one {column}, the first: {shared[0]}; "
            f"correct the "
            f"column, draw one by --{column} patients:{'0.5' if column == 'split' else '3'}, "
            f"or say --allow-shared-patients{''.join(f'; {text}' for text in remarks if people.IS_ONE in text)}"
        )
