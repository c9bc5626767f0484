"""`cxrbench regress --update`: new numbers for `tests/regression`, and the rule by which old ones may move.

A number that moves beyond its tolerance is another number, and whoever compares with a published table must be able to see
that. So it moves only with a line in the changelog that was not there before:
- REAL numbers, and the fingerprints of downstream models, are the protocol's: the protocol has a higher version, and a line
  names it (`scr_official v2`);
- numbers of a provider's arms, and its fingerprint: the same, or, with the version unchanged, a line that names the provider
  and the protocol (`vae on nih_classification v1`; for a fingerprint the provider alone): then the generator changed.
What may move is held against the mean at the last such line, so that many small steps are no way round. Everything is
checked before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark import digest
from ...benchmark.errors import InputError
from ...benchmark.results.folder import load_run
from ...benchmark.results.rows import Results, SeedValue
from ...benchmark.schema import utc_now
from ..checks.subject import Sources
from .fingerprints import (
    PLAIN,
    KeptFingerprint,
    KeptFingerprints,
    check_subject,
    measure,
    moved_numbers,
    own_subjects,
    read_fingerprints,
    tolerances,
    version_of,
    write_fingerprints,
)
from .numbers import Change, Kept, Number, Place, System, numbers_of, read_kept, write_kept
from .rerun import is_kept, made_in, reproduced_runs
from .take import Fingerprints, take_all

LINE_DIGITS = 16


# --------------------------------------------------------------------------------------------------------- the changelog


@dataclass(frozen=True)
class Changelog:
    """The items of a changelog as plain text, each on one line."""

    items: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Changelog:
        """Items and paragraphs of a Markdown file; none where there is no file."""
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        blocks = re.split(r"\n\s*\n|\n(?=[-*#] |#)", text)
        return cls(tuple(" ".join(block.replace("`", "").split()) for block in blocks if block.strip()))

    def naming(self, *names: str) -> dict[str, str]:
        """The items that have all these names as words, by their digest."""
        found = [item for item in self.items if all(_has(item, name) for name in names)]
        return {digest.of_json(item)[:LINE_DIGITS]: item for item in found}


def _has(item: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", item) is not None


# --------------------------------------------------------------------------------------------------------------- numbers


def renew(
    numbers: Path,
    entries: Path,
    runs: Sequence[Path],
    changelog: Path,
    reason: str,
    sources: Sources | None = None,
) -> list[Path]:
    """Write the files of all reproduced entries and of the given finished runs; the paths of those that changed.

    InputError, and nothing is written, where a number moves that may not, or where two sources have one name.
    """
    old, log = read_kept(numbers), Changelog.read(changelog)
    new = _collected(entries, runs, sources)
    refused = [words for kept in new.values() if kept.name in old for words in _refusal(old[kept.name], kept, log)]
    if refused:
        raise InputError(f"nothing is written: {'; '.join(refused)}")
    written = []
    for name, kept in new.items():
        whole = _with_past(old.get(name), kept, log, reason)
        if whole is not None:
            written.append(write_kept(numbers, whole))
    return written


def _collected(entries: Path, runs: Sequence[Path], sources: Sources | None) -> dict[str, Kept]:
    found: dict[str, Kept] = {}
    here = take_all([])
    for one in reproduced_runs(entries, sources):
        results = one.run.results
        arms = dict.fromkeys(cell.arm for cell in results.cells)
        _add(found, _files(results, one.values(arms), one.entry.name, here))
    for folder in runs:
        results = load_run(folder)
        if not is_kept(results):
            raise InputError(f"{folder} is no run on a phantom at quick; only those can be made again by everyone")
        _add(found, _files(results, results.seed_values, None, here))
    return found


def _add(found: dict[str, Kept], files: Iterable[Kept]) -> None:
    """Join files of another source. REAL and placebos are shared, so the first source's stay; a system has one source."""
    for kept in files:
        other = found.setdefault(kept.name, kept)
        if other is kept:
            continue
        boards = {(one.data, one.version) for one in (other, kept)}
        if kept.provider is not None or len(boards) > 1:
            sources = " and ".join(f"{one.entry or 'a run'} ({one.data})" for one in (other, kept))
            raise InputError(f"nothing is written: {kept.name} would be the numbers of two sources, {sources}")


def _files(results: Results, values: Sequence[SeedValue], entry: str | None, here: Fingerprints) -> Iterator[Kept]:
    """The files of a run: what knows no provider, and the arms of its provider. `here` names this machine."""
    environments = [row.environment for row in results.environments]
    for real in (True, False):
        if numbers := numbers_of(results, values, real=real):
            provider = results.provider
            settings = {"name": provider.name, "spec": provider.spec, "label_by": provider.label_by}
            yield Kept(
                task=results.task.name,
                version=results.task.version,
                data=results.data.name,
                data_digest=results.data.digest,
                data_truth=results.data.truth,
                preset=results.preset,
                provider=None if real else System(**settings, settings=provider.settings),
                entry=entry,
                seeds=results.seeds,
                environments=environments,
                processor=here.processor if made_in(environments, [here.environment]) else None,
                lines=[],
                history=[],
                numbers=numbers,
            )


def _protocol(kept: Kept) -> str:
    return f"{kept.task} v{kept.version}"


def _refusal(old: Kept, new: Kept, log: Changelog) -> Iterator[str]:
    """Why new numbers may not take the place of old ones; nothing where they may."""
    if new.version < old.version:
        yield f"{new.name}: v{new.version} is older than the kept v{old.version}"
        return
    if lost := sorted(set(old.seeds) - set(new.seeds)):
        yield f"{new.name}: seed {lost[0]} is kept, and not among the new seeds"
    moved = list(_moved(old, new))
    if not moved and new.version == old.version:
        return
    if not _told(old, new, log):
        what = f"{len(moved)} of {len(old.numbers)} numbers moved ({moved[0]})" if moved else "the version is another"
        yield f"{new.name}: {what}; that needs {_needed(old, new)}"


def _needed(old: Kept, new: Kept) -> str:
    if new.version > old.version:
        return f"a line of the changelog that names {_protocol(new)}"
    higher = f"a higher version of {old.task} and a line of the changelog that names it"
    if new.provider is None:
        return higher
    return f"{higher}, or a new line that names {new.provider.name} and {_protocol(new)}"


def _told(old: Kept, new: Kept, log: Changelog) -> bool:
    """Whether the changelog allows numbers to move."""
    if new.version > old.version:
        return bool(log.naming(_protocol(new)))
    if new.provider is None:
        return False
    return bool(set(log.naming(new.provider.name, _protocol(new))) - set(old.lines))


def _moved(old: Kept, new: Kept) -> Iterator[str]:
    found = new.by_place
    for number in old.numbers:
        again = found.pop(number.place, None)
        if again is None:
            yield f"{number.place} is gone"
        elif not number.allows(again.mean, number.anchor):
            yield f"{number.place}: {number.anchor:.6g} +- {number.tolerance:.2g} to {again.mean:.6g}"
    yield from (f"{place} is new" for place in found)


def _with_past(old: Kept | None, new: Kept, log: Changelog, reason: str) -> Kept | None:
    """The new file with its history, and with the anchors of the old one where nothing was allowed to move; None where it
    says what the old one says."""
    names = [_protocol(new)] if new.provider is None else [new.provider.name, _protocol(new)]
    numbers, lines, past = new.numbers, sorted(log.naming(*names)), [] if old is None else old.history
    if old is not None:
        free: dict[str, Any] = {"history": [], "lines": [], "processor": None}  # an update elsewhere moves nothing
        anchored = [_anchored(number, old.by_place) for number in numbers]
        if old.model_copy(update=free) == new.model_copy(update=free | {"numbers": anchored}):
            return None
        if new.version == old.version and not list(_moved(old, new)):
            numbers, lines = anchored, old.lines
    return new.model_copy(update={"numbers": numbers, "lines": lines, "history": [*past, _change(new.version, reason)]})


def _anchored(number: Number, old: Mapping[Place, Number]) -> Number:
    before = old.get(number.place)
    return number if before is None else number.model_copy(update={"anchor": before.anchor})


def _change(version: int, reason: str) -> Change:
    from ... import __version__

    return Change(created=utc_now(), cxrbench=__version__, version=version, reason=reason)


# ---------------------------------------------------------------------------------------------------------- fingerprints


def renew_fingerprints(folder: Path, subjects: Sequence[str], changelog: Path, reason: str) -> Path | None:
    """Take the fingerprints of the given subjects and write them beside those that are kept; of all that are kept and all of
    this package where none is given, or where the kept ones were taken elsewhere: a digest of weights is of one machine.
    None where nothing moved.

    InputError, and nothing is written, where the training of a system moved whose numbers are kept, and no line says so.
    """
    old, log, kept_numbers = read_fingerprints(folder), Changelog.read(changelog), read_kept(folder)
    before = old.subjects if old else {}
    named = list(dict.fromkeys(check_subject(one) for one in subjects))
    every = list(dict.fromkeys([*before, *own_subjects(), *named]))
    best, found = _measured(named or every, log)
    if named and old is not None and _taken_in(best) != _taken_in(old):
        best, found = _measured(every, log)
    moved = {name: list(moved_numbers(before[name], best.subjects[name])) for name in found if name in before}
    refused = [
        f"{name}: {words[0]}"
        for name, words in moved.items()
        if words and _has_numbers(name, kept_numbers) and not _fingerprint_told(name, before[name], found[name])
    ]
    if refused:
        raise InputError(
            f"nothing is written: {len(refused)} trainings moved whose numbers are kept, and no new line of the changelog "
            f"names them (a task: with a higher version): {'; '.join(refused[:3])}"
        )
    whole = KeptFingerprints(
        films=best.films,
        environment=best.environment,
        processor=best.processor,
        history=[*(old.history if old else ()), _change(1, reason)],
        subjects=before | found,
    )
    if old is not None and whole.model_copy(update={"history": old.history}) == old:
        return None
    return write_fingerprints(folder, whole)


def _taken_in(fingerprints: Fingerprints | KeptFingerprints) -> tuple[object, ...]:
    return fingerprints.films, fingerprints.environment, fingerprints.processor


def _measured(subjects: Sequence[str], log: Changelog) -> tuple[Fingerprints, dict[str, KeptFingerprint]]:
    """Fingerprints, and what is kept of them: with tolerances from plainer instructions."""
    best, *plain = (measure(subjects, instructions) for instructions in ({}, *PLAIN))
    if failed := [f"{name}: {one.error}" for name, one in best.subjects.items() if one.error]:
        raise InputError(f"nothing is written: {failed[0]}")
    found = {}
    for name, one in best.subjects.items():
        allowed = tolerances(one, [other.subjects[name] for other in plain])
        found[name] = KeptFingerprint(
            version=version_of(name),
            lines=sorted(log.naming(*_names(name))),
            digest=one.digest,
            numbers={key: (value, allowed[key]) for key, value in one.numbers.items()},
        )
    return best, found


def _names(subject: str) -> list[str]:
    """The words by which a line of the changelog names a subject."""
    name, version = subject.partition(":")[2].split()[0], version_of(subject)
    return [name if version is None else f"{name} v{version}"]


def _has_numbers(subject: str, kept: Mapping[str, Kept]) -> bool:
    kind, _, words = subject.partition(":")
    name = words.split()[0]
    return any(
        one.task == name if kind == "task" else one.provider is not None and one.provider.name == name
        for one in kept.values()
    )


def _fingerprint_told(subject: str, old: KeptFingerprint, new: KeptFingerprint) -> bool:
    higher = new.version is None or old.version is None or new.version > old.version
    return higher and bool(set(new.lines) - set(old.lines))
