"""NIH ChestX-ray14 from the official download: Wang et al., CVPR 2017; 112,120 films of 30,805 patients.

Films in folders or in the tar.gz files as they come, labels of 2017 or 2020, the official lists and the boxes.
Whoever uses it names the owner: NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import digest
from ...errors import InputError
from ...home import home
from ...progress import Progress
from .. import splits
from ..dataset import Dataset, DatasetInfo
from ..findings import FINDINGS
from . import nih_films
from .nih_films import Decoded, Done, Draft, FilmFile
from .nih_tables import BOX_SIDE, WHERE, Tables, read_tables

NAME = "nih_cxr14"
FILM_SIDE = 1024
_NAMED = 10  # so many left out films are named in the provenance
_TABLES = 0.01  # share of the tables in the time of a whole import
_NUMBER = re.compile(r"images_0*(\d+)\.")


@dataclass(frozen=True)
class Imported:
    """The dataset; how many of its films were not stored as grey; the files left out as damaged, by id."""

    dataset: Dataset
    converted: int
    skipped: dict[str, Done]


@contextmanager
def import_nih(
    source: Path,
    resolution: int = 256,
    *,
    allow_partial: bool = False,
    skip_bad: bool = False,
    name: str = NAME,
    progress: Progress | None = None,
    official: splits.OfficialLists = splits.NIH_LISTS,
) -> Iterator[Imported]:
    """The films below `source` at `resolution` (area mean) with findings, official split and boxes.

    The images are a memory map of a draft below `home()`, from which an interrupted import goes on: keep the
    dataset inside the block; the draft is removed when the block ends without an error.
    allow_partial: take the films that are there (tables and lists must be whole all the same); the provenance
    then says "partial". skip_bad: leave out empty, truncated and damaged files. official: other counts and
    digests serve tests. InputError names file, line or id of whatever is not as published.
    """
    progress = progress or Progress()
    if not 16 <= resolution <= FILM_SIDE:
        raise InputError(f"nih: the resolution must be 16 to {FILM_SIDE} pixels, found {resolution}")
    if not source.is_dir():
        raise InputError(f"nih: {source} is no folder; {WHERE}")
    tables = read_tables(source, official)
    rows = {str(film): row for row, film in enumerate(tables.cases["id"])}
    download = _find(source, rows)
    if not allow_partial:
        _check_listing(download, official)
    draft = Draft(_draft_folder(source, resolution, official), rows, resolution)
    try:
        _decode(download, draft, skip_bad, progress.part("", _TABLES, 1.0))
    finally:
        if not draft.films:
            draft.discard()
    done = download.done(draft)
    if not allow_partial:
        _check_count(len(done), official.films)
    present = [film for film, one in done.items() if not one.fault]
    if not present:
        raise InputError(f"nih: none of the films in {source} can be read; {WHERE}")
    progress.update(1.0, "writing")
    skipped = {film: one for film, one in done.items() if one.fault}
    about = _provenance(tables.labels, [done[film] for film in present], skipped, official.films)
    dataset = _dataset(draft, tables, present, DatasetInfo(name=name, resolution=resolution, provenance=about))
    yield Imported(dataset, sum(done[film].converted for film in present), skipped)
    draft.discard()


@dataclass(frozen=True)
class _Download:
    """What a download has: films in folders by id, and the archives that the others may be in."""

    rows: Mapping[str, int]
    films: Mapping[str, FilmFile]
    archives: Sequence[Path]

    def done(self, draft: Draft) -> dict[str, Done]:
        """The films of this download that the draft has, in the order of the rows: not those of a file that
        changed or is not there any more.
        """
        stamps = {nih_films.archive_stamp(path) for path in self.archives}
        found = {film: draft.films[film] for film in self.rows if film in draft.films}
        return {
            film: done
            for film, done in found.items()
            if (done.stamp == self.films[film].stamp if film in self.films else done.stamp in stamps)
        }


def _find(source: Path, rows: Mapping[str, int]) -> _Download:
    films = nih_films.folder_films(source, rows)
    archives = nih_films.archives(source) if len(films) < len(rows) else []
    if not films and not archives:
        raise InputError(
            f"nih: no films in {source}: expected folders images or images_001, images_002, ... or the files "
            f"images_001.tar.gz, ...; {WHERE}"
        )
    return _Download(rows, films, archives)


def _check_listing(download: _Download, official: splits.OfficialLists) -> None:
    """InputError for what is missing, as far as can be said before the archives are read."""
    if not download.archives:
        _check_count(len(download.films), official.films)
    elif not download.films:
        numbers = {int(match.group(1)) for path in download.archives if (match := _NUMBER.match(path.name))}
        missing = sorted(set(range(1, official.archives + 1)) - numbers)
        if missing:
            names = ", ".join(f"images_{number:03d}.tar.gz" for number in missing)
            raise InputError(
                f"nih: expected {official.archives} archives, missing: {names}; complete the download, or import "
                "the films that are there with --allow-partial"
            )


def _check_count(found: int, expected: int) -> None:
    if found < expected:
        raise InputError(
            f"nih: expected {expected:,} films, found {found:,}; complete the download, or import the films that "
            "are there with --allow-partial"
        )


def _draft_folder(source: Path, resolution: int, official: splits.OfficialLists) -> Path:
    code = digest.of_code(Path(nih_films.__file__))
    key = digest.of_json([str(source.resolve()), resolution, official.films_digest, code])
    return home() / "imports" / f"nih-{resolution}-{key[:16]}"


def _decode(download: _Download, draft: Draft, skip_bad: bool, progress: Progress) -> None:
    """Decode the films that the draft does not have yet: those in folders, then one archive after another."""
    done = download.done(draft)
    for film, before in done.items():
        if before.fault and not skip_bad:
            raise _damaged(film, before.place, before.fault)
    waiting = [file for file in download.films.values() if not draft.has(file)]
    expected = len(download.rows) - len(done) if download.archives else len(waiting)
    count = 0

    def decode(files: Iterable[FilmFile]) -> None:
        nonlocal count
        block: list[tuple[FilmFile, Decoded]] = []
        try:
            for file, film in nih_films.decode_stream(files, draft.resolution):
                block.append((file, film))
                if film.fault and not skip_bad:
                    raise _damaged(file.id, file.place, film.fault)
                if len(block) == nih_films.BLOCK:
                    draft.write(block)
                    block = []
                count += 1
                progress.update(count / expected, f"films {count}/{expected}")
        finally:  # an error or Ctrl-C loses nothing
            if block:
                draft.write(block)

    decode(waiting)
    for archive in download.archives:
        mark = nih_films.archive_stamp(archive)
        if mark not in draft.ended:
            wanted = download.rows.keys() - download.films.keys() - done.keys()
            decode(nih_films.archive_films(archive, download.rows, wanted))
            draft.end(mark)


def _damaged(film: str, place: str, fault: str) -> InputError:
    return InputError(f"nih: film {film} ({place}) is {fault}; download it again, or leave it out with --skip-bad")


def _provenance(labels: str, films: Sequence[Done], skipped: Mapping[str, Done], expected: int) -> str:
    """One line that names the set, what is missing of it, the labels and the owner."""
    text = "NIH ChestX-ray14"
    if len(films) < expected:
        text += f", partial: {len(films):,} of {expected:,} films"
    if skipped:
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        text += f" ({len(skipped)} unreadable left out: {', '.join(list(skipped)[:_NAMED])}{more})"
    sides = sorted({film.side for film in films} - {FILM_SIDE})
    if sides:
        text += f", from files of {' and '.join(str(side) for side in sides)} pixels"
    return f"{text}, labels {labels}; NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC"


def _dataset(draft: Draft, tables: Tables, present: Sequence[str], info: DatasetInfo) -> Dataset:
    rows = np.array([draft.rows[film] for film in present])
    boxes = tables.boxes
    if boxes is not None:
        boxes = boxes[boxes["id"].isin(set(present))].reset_index(drop=True)
        boxes[["x", "y", "w", "h"]] *= info.resolution / BOX_SIDE
    return Dataset(
        info=info.model_copy(update={"findings": FINDINGS}),
        images=draft.present(rows),
        cases=tables.cases.iloc[rows].reset_index(drop=True),
        boxes=boxes,
    )
