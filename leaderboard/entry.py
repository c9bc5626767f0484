"""An entry of the leaderboard: the folder `submissions/<name>/` and what its files may say.

    submission.toml                         who, what, with which licence (`Submission`)
    results/<task>-<data>-<preset>.json     what a run found (`benchmark.results.Results`), one file a run
    records/<key>/record.json               a cell as `run` wrote it, its curves thinned
    records/<key>/predictions.npz           what its model said about the test films
    records/<key>/scores.parquet            its case scores; left out where anyone can draw the films (phantoms)
    digests.json                            sha256 of every file below results/ and records/
    README.md, samples/*.png                optional

REAL cells are the same for every provider of a board: those that several entries share lie in `submissions/shared/<key>/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationError

from ..benchmark import digest
from ..benchmark.contracts.task import ArmName
from ..benchmark.results.rows import SCHEMA as RESULTS_SCHEMA
from ..benchmark.results.rows import CellRow, Results, Status
from ..benchmark.runs.record import SCHEMA as RECORD_SCHEMA
from ..benchmark.runs.record import Record
from ..benchmark.schema import Strict
from .untrusted import Refused, files_below, first_error, read_model, read_text, read_toml, shown, text_problem

SCHEMA = 1
SUBMISSION, DIGESTS, README = "submission.toml", "digests.json", "README.md"
RECORD, PREDICTIONS, SCORES = "record.json", "predictions.npz", "scores.parquet"
SAMPLES, SHARED, REVIEWED = "samples", "shared", "reviewed.toml"
RANKED_SEEDS = 5
MAX_SAMPLES, MAX_RUNS = 24, 16
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
KEY = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(
    r"submission\.toml|digests\.json|README\.md|samples/[a-z0-9][a-z0-9_-]{0,63}\.png|"
    r"results/[a-z0-9][a-z0-9_.-]{0,127}\.json|records/[0-9a-f]{64}/(record\.json|predictions\.npz|scores\.parquet)"
)
_URL = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~:/?#@!$&()*+,;=%-]*)?")


def _plain(text: str) -> str:
    if text != text.strip():
        raise ValueError("begins or ends with a space")
    if set("<>") & set(text):
        raise ValueError("holds an angle bracket; plain text is expected")
    if problem := text_problem(text):
        raise ValueError(problem)
    return text


def _matching(pattern: re.Pattern[str], words: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"expected {words}")
        return text

    return AfterValidator(check)


Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_plain)]
Url = Annotated[str, Field(max_length=300), _matching(_URL, "an address that begins with https://")]
Sha256 = Annotated[str, _matching(KEY, "64 hexadecimal digits")]


class Paper(Strict):
    """The paper that describes the system."""

    title: Line
    url: Url


class Code(Strict):
    """Where its source is: `commit` as git prints it."""

    url: Url
    commit: Annotated[str, _matching(re.compile(r"[0-9a-f]{40}"), "40 hexadecimal digits of a commit")]


class Submission(Strict):
    """The content of `submission.toml`."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Annotated[str, _matching(NAME, "small letters, digits, '_' and '-', at most 48")]
    version: Line
    description: Line
    authors: list[Line] = Field(min_length=1, max_length=100)
    licence: Line
    contact: Line
    division: Literal["claimed", "reproduced"]
    training_data: list[Line] = Field(min_length=1, max_length=50)
    command: Line
    hardware: Line
    code: Code | None = None
    paper: Paper | None = None


class Digests(Strict):
    """The content of `digests.json`: sha256 by path."""

    schema_version: Literal[1] = Field(alias="schema")
    files: dict[str, Sha256]


class Board(NamedTuple):
    """What must be the same for numbers to be ranked together."""

    task: str
    version: int
    data: str
    preset: str


@dataclass(frozen=True)
class EntryRun:
    """One run of an entry. `records` and the `folders` they lie in by key, where they were read."""

    path: Path
    results: Results
    records: Mapping[str, Record] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def board(self) -> Board:
        """The board it stands on."""
        found = self.results
        return Board(found.task.name, found.task.version, found.data.name, found.preset)

    @property
    def unranked(self) -> tuple[str, ...]:
        """Why it is shown without a rank, as far as its own plan says; empty where it may be ranked."""
        found, reasons = self.results, []
        if found.seeds != list(range(len(found.seeds))):
            reasons.append(f"its seeds are not 0 to {len(found.seeds) - 1}: a choice of seeds is not ranked")
        if len(found.seeds) < RANKED_SEEDS:
            reasons.append(f"{len(found.seeds)} of at least {RANKED_SEEDS} seeds")
        absent = [cell for cell in found.cells if cell.status is not Status.DONE]
        lacking = _not_planned(found)
        if absent or lacking:
            reasons.append(f"{len(absent) + lacking} of {len(found.cells) + lacking} cells are missing")
        if ArmName.REAL not in found.arms or len(found.arms) < 2:
            reasons.append("there is nothing to compare: REAL and an arm with synthetic films are needed")
        return tuple(reasons)


def _not_planned(results: Results) -> int:
    """How many cells of seeds x sizes with their folds x arms are not in the plan."""
    there = {place_of(cell) for cell in results.cells}
    full = {
        (seed, size.size, fold, arm)
        for seed in results.seeds
        for size in results.sizes
        for fold in size.folds
        for arm in results.arms
    }
    return len(full - there)


def place_of(cell: CellRow) -> tuple[int, str, str, str]:
    """Seed, size, fold and arm of a planned cell."""
    return cell.seed, cell.size, cell.fold, cell.arm


@dataclass(frozen=True)
class Entry:
    """A submission that could be read. All its texts are plain, but not ours: whoever shows them escapes them."""

    name: str
    folder: Path
    submission: Submission
    runs: tuple[EntryRun, ...]
    digests: Digests | None
    files: Mapping[str, Path]
    readme: str | None = None
    samples: tuple[Path, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 over the names and bytes of all its files: what a maintainer's review is about."""
        return digest.of_json([[name, digest.of_file(path)] for name, path in self.files.items()])


def run_file(results: Results) -> str:
    """The name of a run's file: the board's names, in small letters."""
    label = "" if results.provider.label_by == "native" else f"-{results.provider.label_by}"
    text = f"{results.task.name}-{results.data.name}-{results.preset}{label}".lower()
    return f"{re.sub(r'[^a-z0-9_.-]', '_', text)}.json"


def entry_files(folder: Path) -> dict[str, Path]:
    """The files of an entry by path; Refused for a name or file that the format does not know."""
    from .untrusted import unexpected

    if not NAME.fullmatch(folder.name) or folder.name == SHARED:
        raise Refused(f"the folder name {shown(folder.name)} is not allowed: small ASCII letters, digits, '_', '-'")
    files = files_below(folder)
    for name in files:
        if not _FILE.fullmatch(name):
            raise Refused(unexpected(name))
    if SUBMISSION not in files:
        raise Refused(f"{SUBMISSION} is missing; `cxrbench submission new` writes one")
    if sum(name.startswith(f"{SAMPLES}/") for name in files) > MAX_SAMPLES:
        raise Refused(f"more than {MAX_SAMPLES} samples")
    if sum(name.startswith("results/") for name in files) > MAX_RUNS:
        raise Refused(f"more than {MAX_RUNS} runs")
    return files


def read_submission(path: Path) -> Submission:
    """`submission.toml`; Refused says which key is wrong."""
    try:
        return Submission.model_validate(read_toml(path), strict=True)
    except ValidationError as error:
        raise Refused(f"{SUBMISSION}: {first_error(error)}") from None


def read_record(folder: Path) -> Record:
    """The record of a cell, held against the folder it lies in."""
    record = read_model(folder / RECORD, Record, RECORD_SCHEMA)
    if record.key != folder.name:
        raise Refused(f"records/{shown(folder.name)}: its record has the key {shown(record.key)}")
    return record


def load_entry(folder: Path, *, records: bool = False) -> Entry:
    """An entry as its files say, checked against the format alone (`checks.check_entry` checks what it claims).

    `records`: read the record of every cell too. Refused (an InputError), in one line, for anything unexpected.
    """
    folder = Path(folder)
    files = entry_files(folder)
    submission = read_submission(files[SUBMISSION])
    if submission.name != folder.name:
        raise Refused(f"{SUBMISSION} has the name {submission.name}, but the folder is {folder.name}")
    runs = tuple(_run(folder, path, files, records) for name, path in files.items() if name.startswith("results/"))
    readme = read_text(files[README]) if README in files else None
    if readme is not None and (problem := text_problem(readme, lines=True)):
        raise Refused(f"{README} {problem}")
    digests = read_model(files[DIGESTS], Digests, SCHEMA) if DIGESTS in files else None
    samples = tuple(path for name, path in files.items() if name.startswith(f"{SAMPLES}/"))
    return Entry(submission.name, folder, submission, runs, digests, files, readme, samples)


def _run(folder: Path, path: Path, files: Mapping[str, Path], records: bool) -> EntryRun:
    results = read_model(path, Results, RESULTS_SCHEMA)
    if path.name != run_file(results):
        raise Refused(f"results/{path.name} holds the results of {shown(run_file(results))}; name it so")
    folders: dict[str, Path] = {}
    for cell in results.cells:
        if cell.key in folders or not KEY.fullmatch(cell.key):
            raise Refused(f"results/{path.name}: {shown(cell.key)} is no key of a cell, or is given twice")
        if f"records/{cell.key}/{RECORD}" in files:
            folders[cell.key] = folder / "records" / cell.key
        elif cell.arm == ArmName.REAL and (shared := shared_cell(folder, cell.key)) is not None:
            folders[cell.key] = shared
    found = {key: read_record(place) for key, place in folders.items()} if records else {}
    return EntryRun(path, results, found, folders)


def shared_cell(folder: Path, key: str) -> Path | None:
    """The folder of a REAL cell that entries share; None where there is none. Refused where it is not as it should be."""
    place = folder.parent / SHARED / key
    if not KEY.fullmatch(key) or not (place.is_symlink() or place.exists()):
        return None
    names = set(files_below(place))
    if RECORD not in names or not names <= {RECORD, PREDICTIONS, SCORES}:
        raise Refused(f"{SHARED}/{key}: expected {RECORD}, {PREDICTIONS} and perhaps {SCORES} alone")
    return place


def load_entries(root: Path, *, records: bool = False) -> list[Entry]:
    """All entries of a `submissions` folder by name; Refused for the first that cannot be read."""
    return [load_entry(folder, records=records) for folder in entry_folders(root)]


def strays(root: Path) -> list[str]:
    """What lies in a `submissions` folder and belongs to no entry: a sentence for each."""
    found = [
        f"{shown(path.name)} is no entry; only folders of entries, README.md and {REVIEWED} belong here"
        for path in sorted(root.iterdir())
        if path.name.startswith(".") or not (path.is_dir() or path.name in ("README.md", REVIEWED))
    ]
    used = {key for folder in entry_folders(root) for key in _shared_keys(folder)}
    cells = sorted((root / SHARED).iterdir()) if (root / SHARED).is_dir() else []
    return found + [f"{SHARED}/{shown(path.name)} is a cell of no entry" for path in cells if path.name not in used]


def _shared_keys(folder: Path) -> set[str]:
    try:
        runs = load_entry(folder).runs
    except Refused:
        return set()  # the check of that entry says why
    return {key for run in runs for key, place in run.folders.items() if place.parent.name == SHARED}


def entry_folders(root: Path) -> list[Path]:
    """The folders of entries below `submissions/`: all but the shared cells and hidden ones."""
    return [
        path
        for path in sorted(root.iterdir())
        if (path.is_dir() or path.is_symlink()) and path.name != SHARED and not path.name.startswith(".")
    ]
