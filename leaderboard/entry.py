"""An entry of the leaderboard: the folder `submissions/<name>/` and what its files may say.

    submission.toml                 who, what, with which licence (`Submission`)
    runs/<run>/results.json         what a run found (`benchmark.results.Results`); <run> is task-data-preset
    runs/<run>/records.jsonl        its cells, in the order of the results, and
    runs/<run>/predictions.npz      what their models said about the test films, and
    runs/<run>/scores.parquet       their case scores, left out where anyone can draw the films (`cells`)
    digests.json                    sha256 of every file below runs/
    README.md, samples/*.png        optional

Cells of REAL and of placebos (`arms`) are the same for every provider of a board: those that entries share lie in
`submissions/shared/<board>/`, where <board> is task-data-preset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationError

from ..benchmark import digest
from ..benchmark.contracts.fitted_elsewhere import seen_besides
from ..benchmark.results.folder import too_large
from ..benchmark.results.rows import SCHEMA as RESULTS_SCHEMA
from ..benchmark.results.rows import CellRow, Results, Status
from ..benchmark.runs.record import Record
from ..benchmark.schema import Strict
from .arms import REAL, WITHOUT_PLACEBOS, has_placebos, is_shared, label_of, placebo_of
from .arrays import stamp
from .cells import CELL_FILES, KEY, Cells, read_cells
from .untrusted import (
    Refused,
    files_below,
    first_error,
    read_model,
    read_text,
    read_toml,
    shown,
    text_problem,
    unexpected,
)

SCHEMA = 2
SUBMISSION, DIGESTS, README = "submission.toml", "digests.json", "README.md"
RUNS, RESULTS, SAMPLES, SHARED, REVIEWED = "runs", "results.json", "samples", "shared", "reviewed.toml"
RANKED_SEEDS = 5
MAX_SAMPLES, MAX_RUNS = 24, 16
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
RUN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_FILE = re.compile(
    r"submission\.toml|digests\.json|README\.md|samples/[a-z0-9][a-z0-9_-]{0,63}\.png|"
    rf"runs/{RUN.pattern}/(results\.json|records\.jsonl|predictions\.npz|scores\.parquet)"
)
_BEFORE = re.compile(r"results/[^/]+\.json|records/[0-9a-f]{64}/(record\.json|predictions\.npz|scores\.parquet)")
BEFORE = "is of schema 1; `cxrbench submission convert` writes it anew, with the same numbers"
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
    """The content of `submission.toml`. `control`: a system whose worth is known beforehand, a mark of the scale."""

    schema_version: Literal[2] = Field(alias="schema")
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
    control: bool = False
    reproduces: Annotated[str, _matching(NAME, "the name of an entry")] | None = None
    """The claimed entry that this one is the twin of: its code, run by a maintainer."""
    code: Code | None = None
    paper: Paper | None = None


class Digests(Strict):
    """The content of `digests.json`: sha256 by path."""

    schema_version: Literal[2] = Field(alias="schema")
    files: dict[str, Sha256]


class Board(NamedTuple):
    """What must be the same for numbers to be ranked together."""

    task: str
    version: int
    data: str
    preset: str


@dataclass(frozen=True)
class EntryRun:
    """One run of an entry: its folder, and by key where each cell that is there lies (with the run, or with those that
    entries share)."""

    path: Path
    results: Results
    homes: Mapping[str, Cells] = field(default_factory=dict)

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records of the cells that are there by key, in the order of the results."""
        return {key: home.records[key] for key, home in self.homes.items()}

    @property
    def board(self) -> Board:
        """The board it stands on."""
        found = self.results
        return Board(found.task.name, found.task.version, found.data.name, found.preset)

    @property
    def unranked(self) -> tuple[str, ...]:
        """Why it is shown without a rank, as far as its own plan says; empty where it may be ranked."""
        found, reasons = self.results, []
        if found.provider.rest:
            reasons.append("a control: it is given real training films outside of the size")
        where = None if found.headline is None else found.headline[0]
        if seen := seen_besides(row.sentence for row in found.checks if row.size == where):
            reasons.append(seen)
        if found.seeds != list(range(len(found.seeds))):
            reasons.append(f"its seeds are not 0 to {len(found.seeds) - 1}: a choice of seeds is not ranked")
        if len(found.seeds) < RANKED_SEEDS:
            reasons.append(f"{len(found.seeds)} of at least {RANKED_SEEDS} seeds")
        absent = [cell for cell in found.cells if cell.status is not Status.DONE]
        lacking = _not_planned(found)
        if absent or lacking:
            reasons.append(f"{len(absent) + lacking} of {len(found.cells) + lacking} cells are missing")
        if REAL not in found.arms or len(found.arms) < 2:
            reasons.append("there is nothing to compare: REAL and an arm with synthetic films are needed")
        elif not has_placebos(found):
            reasons.append(WITHOUT_PLACEBOS)
        return tuple(reasons)


def _not_planned(results: Results) -> int:
    """How many cells are not in the plan: of seeds x folds x arms of each size, an arm with its placebo."""
    there = {place_of(cell) for cell in results.cells}
    arms: dict[str, set[str]] = {}
    for cell in results.cells:
        arms.setdefault(cell.size, set()).add(cell.arm)
    if has_placebos(results):
        for found in arms.values():
            found |= {placebo_of(arm) for arm in found if not is_shared(arm)}
    full = {
        (seed, size.size, fold, arm)
        for seed in results.seeds
        for size in results.sizes
        for fold in size.folds
        for arm in arms.get(size.size, ())
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

    def unranked(self, run: EntryRun) -> tuple[str, ...]:
        """Why one of its runs is shown without a rank: what its plan says, and seeds that its own name did not give. What
        the maintainers run may have the seeds of the cells alone."""
        of = run.results.provider.entry
        if of == self.name or (not of and self.submission.division == "reproduced"):
            return run.unranked
        whose = f"those of {shown(of)}" if of else "free to choose"
        return (*run.unranked, f"the seeds of its fits are {whose}: run it with --entry {self.name}")


def board_name(task: str, data: str, preset: str) -> str:
    """The folder of a board's cells: its names, in small letters."""
    return re.sub(r"[^a-z0-9_.-]", "_", f"{task}-{data}-{preset}".lower())


def run_name(results: Results) -> str:
    """The folder of a run: its board, and who labelled its films where that is not the provider."""
    name = board_name(results.task.name, results.data.name, results.preset)
    label = results.provider.label_by
    return name if label == "native" else re.sub(r"[^a-z0-9_.-]", "_", f"{name}-{label.lower()}")


def entry_files(folder: Path) -> dict[str, Path]:
    """The files of an entry by path; Refused for a name or file that the format does not know."""
    if not NAME.fullmatch(folder.name) or folder.name == SHARED:
        raise Refused(f"the folder name {shown(folder.name)} is not allowed: small ASCII letters, digits, '_', '-'")
    files = files_below(folder)
    if any(map(_BEFORE.fullmatch, files)):
        raise Refused(f"the entry {BEFORE}")
    for name in files:
        if not _FILE.fullmatch(name):
            raise Refused(unexpected(name))
    if SUBMISSION not in files:
        raise Refused(f"{SUBMISSION} is missing; `cxrbench submission new` writes one")
    if sum(name.startswith(f"{SAMPLES}/") for name in files) > MAX_SAMPLES:
        raise Refused(f"more than {MAX_SAMPLES} samples")
    if len(runs := run_names(files)) > MAX_RUNS:
        raise Refused(f"more than {MAX_RUNS} runs")
    if lacking := [run for run in runs if f"{RUNS}/{run}/{RESULTS}" not in files]:
        raise Refused(f"{RUNS}/{lacking[0]}: {RESULTS} is missing; pack the run again")
    return files


def run_names(files: Mapping[str, Path]) -> list[str]:
    """The folders of an entry's runs."""
    return list(dict.fromkeys(name.split("/")[1] for name in files if name.startswith(f"{RUNS}/")))


def read_submission(path: Path) -> Submission:
    """`submission.toml`; Refused says which key is wrong."""
    said = read_toml(path)
    if said.get("schema") == 1:
        raise Refused(f"the entry {BEFORE}")
    try:
        return Submission.model_validate(said, strict=True)
    except ValidationError as error:
        raise Refused(f"{SUBMISSION}: {first_error(error)}") from None


def load_entry(folder: Path) -> Entry:
    """An entry as its files say, checked against the format alone (`checks.check_entry` checks what it claims).

    Predictions and case scores are left unread. Refused (an InputError), in one line, for anything unexpected.
    """
    folder = Path(folder)
    files = entry_files(folder)
    submission = read_submission(files[SUBMISSION])
    if submission.name != folder.name:
        raise Refused(f"{SUBMISSION} has the name {submission.name}, but the folder is {folder.name}")
    runs = tuple(_run(folder / RUNS / name) for name in run_names(files))
    readme = read_text(files[README]) if README in files else None
    if readme is not None and (problem := text_problem(readme, lines=True)):
        raise Refused(f"{README} {problem}")
    digests = read_model(files[DIGESTS], Digests, SCHEMA) if DIGESTS in files else None
    samples = tuple(path for name, path in files.items() if name.startswith(f"{SAMPLES}/"))
    return Entry(submission.name, folder, submission, runs, digests, files, readme, samples)


def _run(folder: Path) -> EntryRun:
    results = read_model(folder / RESULTS, Results, RESULTS_SCHEMA)
    if folder.name != run_name(results):
        raise Refused(f"{RUNS}/{folder.name} holds the run {shown(run_name(results))}; name it so")
    if problem := too_large(results):
        raise Refused(f"{RUNS}/{folder.name}: {RESULTS} {problem}")
    planned = [cell.key for cell in results.cells]
    if odd := [key for key, times in Counter(planned).items() if times > 1 or not KEY.fullmatch(key)]:
        raise Refused(f"{RUNS}/{folder.name}: {shown(odd[0])} is no key of a cell, or is given twice")
    own = read_cells(folder)
    if list(own.records) != [key for key in planned if key in own.records]:
        raise Refused(f"{RUNS}/{folder.name}: its records are not of cells of {RESULTS}, in the order of those")
    without = {cell.key for cell in results.cells if is_shared(cell.arm) and cell.status is Status.DONE}
    others = without - own.records.keys()
    shared = shared_cells(folder.parents[2], results) if others else own
    homes = {key: shared if key in others else own for key in planned}
    return EntryRun(folder, results, {key: home for key, home in homes.items() if key in home.records})


def shared_cells(root: Path, results: Results) -> Cells:
    """The cells without a provider that entries of a run's board share; none where there are none. Refused where they are
    not as they should be."""
    return read_shared(root / SHARED / board_name(results.task.name, results.data.name, results.preset))


def read_shared(folder: Path) -> Cells:
    """The cells of a folder of shared ones; none where it is not there. Entries of one board share them: what one process
    reads for many is read once, as long as no file of it is another."""
    if not (folder.is_symlink() or folder.exists()):
        return Cells(folder)
    files = files_below(folder)
    if not set(files) <= set(CELL_FILES):
        raise Refused(f"{SHARED}/{shown(folder.name)}: expected {', '.join(CELL_FILES)} alone")
    return _shared(folder, tuple((name, *stamp(path)) for name, path in files.items()))


@lru_cache(maxsize=64)
def _shared(folder: Path, stamps: tuple[tuple[str, int, int, int], ...]) -> Cells:
    found = read_cells(folder)
    cells = [record.cell for record in found.records.values()]
    if any(cell.provider is not None or not is_shared(label_of(cell)) for cell in cells):
        raise Refused(f"{SHARED}/{shown(folder.name)}: a cell of a provider; REAL and placebos alone are shared")
    return found


def load_entries(root: Path) -> list[Entry]:
    """All entries of a `submissions` folder by name; Refused for the first that cannot be read."""
    return [load_entry(folder) for folder in entry_folders(root)]


def strays(root: Path) -> list[str]:
    """What lies in a `submissions` folder and belongs to no entry: a sentence for each."""
    found = [
        f"{shown(path.name)} is no entry; only folders of entries, README.md and {REVIEWED} belong here"
        for path in sorted(root.iterdir())
        if path.name.startswith(".") or not (path.is_dir() or path.name in ("README.md", REVIEWED))
    ]
    used = {place for folder in entry_folders(root) for place in _places(folder)}
    boards = sorted((root / SHARED).iterdir()) if (root / SHARED).is_dir() else []
    return found + [words for path in boards if (words := _stray_cells(path, used))]


def _stray_cells(folder: Path, used: set[tuple[str, str]]) -> str:
    """What is wrong with a folder of shared cells; empty where all of them are used."""
    name = f"{SHARED}/{shown(folder.name)}"
    if KEY.fullmatch(folder.name):
        return f"{name} {BEFORE}"
    try:
        there = read_shared(folder).records
    except Refused as error:
        return str(error)
    unused = [key for key in there if (folder.name, key) not in used]
    if not there:
        return f"{name} has no cells"
    return f"{name}: {len(unused)} of its {len(there)} cells are of no entry" if unused else ""


def shared_places(entry: Entry) -> set[tuple[str, str]]:
    """Folder and key of every shared cell that an entry uses."""
    places = ((home.folder, key) for run in entry.runs for key, home in run.homes.items())
    return {(folder.name, key) for folder, key in places if folder.parent.name == SHARED}


def _places(folder: Path) -> set[tuple[str, str]]:
    try:
        return shared_places(load_entry(folder))
    except Refused:
        return set()  # the check of that entry says why


def entry_folders(root: Path) -> list[Path]:
    """The folders of entries below `submissions/`: all but the shared cells and hidden ones."""
    return [
        path
        for path in sorted(root.iterdir())
        if (path.is_dir() or path.is_symlink()) and path.name != SHARED and not path.name.startswith(".")
    ]
