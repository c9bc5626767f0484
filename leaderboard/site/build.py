"""Writes the site: an index, pages of boards and providers, the papers' tables; boards as JSON, CSV, Markdown and LaTeX.

A site that was built there before is replaced, where its files are others; anything else is left alone and refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...benchmark.errors import InputError
from ...benchmark.speed.rates import Throughput
from .. import kept, reached, read_before
from ..attempts import Attempt, Entrant
from ..curves import FindCurve, shipped
from ..guard import load_guarded
from ..published import tables
from ..standings import Board, Standing, boards
from ..twins import compared
from . import again, exports, foretells, pages, tells, throughput
from .sibling import Held, held_against
from .words import DIVISIONS, by_entry, rank, signed, slug, worth_films
from .writing import Writer, without_collecting

Pairs = Mapping[str, Sequence[str]]
Digests = Mapping[int, str | None]
"""Of boards (`again.board_digest`), by their ids."""

MARKER = "site.json"
FILES = ("index.html", "published.html", "cost.html", "site.css", "site.js", MARKER)
FOLDERS = ("boards", "providers", "films", throughput.FOLDER)
MOST_SAMPLES = 24
PICTURES = {"PNG": ".png", "JPEG": ".jpg"}
LARGEST_PICTURE = (2_000_000, 4096)
"""Bytes and pixels a side above which a sample is left out."""


@dataclass(frozen=True)
class Built:
    """What was written."""

    folder: Path
    boards: int
    entries: int
    pages: int
    left_out: tuple[str, ...] = ()
    """A line for each entry that cannot be read."""


def build(entries: Path, out: Path, rates: Sequence[Path] = ()) -> Built:
    """The site of all entries of a folder that can be read, and of rates that `cxrbench throughput` wrote. InputError for
    rates that cannot be read, or a folder that is not ours."""
    if not entries.is_dir():
        raise InputError(f"{entries} is not a folder; expected one with a folder for each entry (submissions/)")
    with without_collecting():
        found, left_out = load_guarded(entries)
        built = write_site(found, out, throughput.read_all(rates))
        for kind in (read_before.KIND, reached.KIND, again.KIND):
            kept.forget_old(kind)
    return replace(built, left_out=tuple(left_out))


def write_site(
    attempts: Sequence[Attempt], out: Path, rates: Sequence[Throughput] = (), find_curve: FindCurve = shipped
) -> Built:
    """The site of attempts, with a cost board where there are rates; worths by the curves that tasks ship."""
    _make_room(out)
    found = boards(attempts, find_curve)
    digests = {id(board): again.board_digest(board) for board in found}
    providers = by_entry(list(attempts), lambda attempt: attempt.entrant.name)
    writer = Writer(out, FOLDERS, FILES, costs=bool(rates))
    for name in ("site.css", "site.js"):
        writer.write(name, pages.asset(name).encode())
    writer.page(
        "index.html",
        "index.html.j2",
        here="index",
        boards=found,
        groups=by_films(found),
        providers=dict(sorted(providers.items())),
    )
    writer.page(foretells.PAGE, "foretells.html.j2", here="foretells", **foretells.foretells_page(found, digests))
    writer.page("published.html", "published.html.j2", here="published", tables=list(tables().values()))
    held: Held = {}
    for board in found:
        _write_board(writer, board, found, digests, held)
    _write_providers(writer, found, providers)
    _write_rates(writer, rates, providers)
    index = [
        {
            "board": board.title,
            "phantom": board.phantom,
            "page": f"boards/{board.key.slug}.html",
            "json": f"boards/{board.key.slug}.json",
            "entries": len(board.all),
        }
        for board in found
    ]
    writer.write(MARKER, json.dumps({"generator": "cxrbench leaderboard", "boards": index}, indent=1).encode())
    writer.end()
    return Built(out, len(found), len(providers), writer.count)


EXPORTS = {
    ".json": exports.board_json,
    ".csv": exports.board_csv,
    ".md": exports.board_markdown,
    ".tex": exports.board_latex,
}


def _write_board(writer: Writer, board: Board, found: Sequence[Board], digests: Digests, held: Held) -> None:
    """A board's page, what it can tell, and its table in other forms."""
    mine, named = digests[id(board)], board.key.slug
    page, tells_page = f"boards/{named}.html", f"boards/{tells.tells_name(board)}.html"

    def tables() -> tuple[None, again.Files]:
        files = {page: writer.rendered(page, "board.html.j2", **pages.board_page(board))}
        return None, files | {f"boards/{named}{ending}": export(board) for ending, export in EXPORTS.items()}

    def telling() -> tuple[None, again.Files]:
        return None, {tells_page: writer.rendered(tells_page, "tells.html.j2", **tells.tells_page(board, found, held))}

    files = again.made(writer.key("board", mine), tables)[1]
    if board.with_placebos:
        beside = [digests[id(other)] for other in held_against(board, found)]
        files = {**files, **again.made(writer.key("tells", mine, beside), telling)[1]}
    for name, content in files.items():
        writer.write(name, content)


def _write_rates(writer: Writer, rates: Sequence[Throughput], providers: Collection[str]) -> None:
    if not rates:
        return
    writer.page("cost.html", "throughput.html.j2", here="cost", **throughput.page(rates, providers))
    for one, name in zip(rates, throughput.names(rates), strict=True):
        writer.write(f"{throughput.FOLDER}/{name}.json", one.to_json().encode())


def by_films(found: Sequence[Board]) -> list[tuple[str, list[tuple[str, list[Board]]]]]:
    """Boards on real films, then those on phantoms, each in groups of one task."""
    parts = [
        ("Real films", [one for one in found if not one.phantom]),
        ("Phantoms", [one for one in found if one.phantom]),
    ]
    return [(name, by_task(mine)) for name, mine in parts if mine]


def by_task(found: Sequence[Board]) -> list[tuple[str, list[Board]]]:
    """Boards in groups of one task."""
    groups: dict[str, list[Board]] = {}
    for board in found:
        groups.setdefault(board.key.task, []).append(board)
    return list(groups.items())


def _make_room(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected a folder for the site")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise InputError(f"{out} holds files that are not of a leaderboard; give an empty or new folder")


# ------------------------------------------------------------------------------------------------------- providers


def _write_providers(writer: Writer, found: Sequence[Board], providers: dict[str, list[Attempt]]) -> None:
    places: dict[str, list[tuple[Board, Standing]]] = {}
    systems: dict[str, list[tuple[Board, Standing]]] = {}
    for board in found:
        for one in board.all:
            places.setdefault(one.attempt.entrant.name, []).append((board, one))
            systems.setdefault(one.attempt.provider.name, []).append((board, one))
    histories, pairs = _Histories(writer, systems), _pairs(providers)
    frames = {id(board): again.board_frame(board) for board in found}

    def write(name: str) -> None:
        attempts = providers[name]
        entrant, generators = attempts[0].entrant, _generators(attempts)
        page = f"providers/{slug(name)}.html"
        pictures = list(map(_bytes, entrant.samples[:MOST_SAMPLES]))

        def make() -> tuple[Any, again.Files]:
            bodies = [writer.rendered(page, "place.html.j2", one=pages.reached(*place)) for place in places[name]]
            return _samples(entrant, pictures), {str(number): body for number, body in enumerate(bodies)}

        there = [[frames[id(board)], one.attempt.known] for board, one in places[name]]
        seals = [raw and hashlib.sha256(raw).hexdigest() for raw in pictures]
        samples, bodies = again.made(
            writer.key("provider", there, seals) if all(known for _, known in there) else None, make
        )
        for number, file, _ in samples:
            writer.write(file, pictures[number] or b"")
        writer.page(
            page,
            "provider.html.j2",
            entrant=entrant,
            divisions=DIVISIONS,
            facts=_facts(entrant, attempts),
            places=[
                pages.OnBoard(*place, Markup(bodies[str(number)].decode())) for number, place in enumerate(places[name])
            ],
            samples=[(f"../{file}", side) for _, file, side in samples],
            generators=generators,
            twins=_twins(name, providers, pairs),
            history=histories.of(name, generators),
        )

    for attempts in providers.values():
        histories.make(_generators(attempts))
    writer.each(list(providers), write)


def _generators(attempts: Sequence[Attempt]) -> list[str]:
    return list(dict.fromkeys(attempt.provider.name for attempt in attempts))


def _twins(name: str, providers: Mapping[str, list[Attempt]], pairs: Pairs) -> list[tuple[str, str, str]]:
    """(name, page, how the gains differ) of an entry's twins, or of the claim that it is the twin of."""
    found = []
    for other in pairs.get(name, ()):
        mine, theirs = providers[name], providers[other]
        comparison = compared(*((mine, theirs) if theirs[0].entrant.reproduces == name else (theirs, mine)))
        words = comparison.sentence if comparison else "no gain of both to compare"
        found.append((other, f"{slug(other)}.html", words))
    return found


def _pairs(providers: Mapping[str, list[Attempt]]) -> Pairs:
    """The entries that each entry reproduces or is reproduced by, in the order of the site."""
    found: dict[str, set[str]] = {}
    for name, attempts in providers.items():
        other = attempts[0].entrant.reproduces
        if other in providers:
            found.setdefault(name, set()).add(other)
            found.setdefault(other, set()).add(name)
    order = {name: number for number, name in enumerate(providers)}
    return {name: sorted(others, key=order.__getitem__) for name, others in found.items()}


def _facts(entrant: Entrant, attempts: Sequence[Attempt]) -> list[tuple[str, str]]:
    return [
        ("authors", ", ".join(entrant.authors)),
        ("licence", entrant.licence),
        ("contact", entrant.contact),
        ("generator", ", ".join(dict.fromkeys(attempt.provider.name for attempt in attempts))),
        ("fitted on", ", ".join(entrant.training_data)),
        ("hardware", entrant.hardware),
        ("command", entrant.command),
        ("run on", max(attempt.created for attempt in attempts)[:10]),
    ]


MOST_HISTORY = 50


class _Histories:
    """Every attempt of the same generators, newest first, the newest `MOST_HISTORY`, as rows of a table: most entries of a
    large board share them, so that a row is written once."""

    def __init__(self, writer: Writer, places: Mapping[str, Sequence[tuple[Board, Standing]]]) -> None:
        self._template = writer.environment.get_template("history.html.j2")
        self._places = places
        self._rows: dict[tuple[str, ...], list[tuple[str, Markup, dict[str, str]]]] = {}
        self._row_of: dict[int, tuple[str, Markup, dict[str, str]]] = {}

    def make(self, generators: Sequence[str]) -> list[tuple[str, Markup, dict[str, str]]]:
        """The rows of generators: the entry, its row on the pages of others, and what is in it."""
        key = tuple(generators)
        if key not in self._rows:
            places = [place for generator in key for place in self._places[generator]]
            newest = sorted(places, key=lambda place: place[1].attempt.created, reverse=True)[:MOST_HISTORY]
            self._rows[key] = [self._row(board, one) for board, one in newest]
        return self._rows[key]

    def of(self, name: str, generators: Sequence[str]) -> Markup:
        """The rows for an entry's page."""
        return Markup("\n").join(
            self._shown(row, here=True) if entry == name else other for entry, other, row in self.make(generators)
        )

    def _shown(self, row: dict[str, str], *, here: bool) -> Markup:
        return Markup(self._template.render(row=row, here=here))

    def _row(self, board: Board, one: Standing) -> tuple[str, Markup, dict[str, str]]:
        """The row of a standing, which several sets of generators have."""
        if id(one) not in self._row_of:
            self._row_of[id(one)] = self._new_row(board, one)
        return self._row_of[id(one)]

    def _new_row(self, board: Board, one: Standing) -> tuple[str, Markup, dict[str, str]]:
        entrant = one.attempt.entrant
        row = {
            "date": one.attempt.created[:10],
            "name": one.attempt.title,
            "version": entrant.version,
            "page": f"{slug(entrant.name)}.html",
            "division": DIVISIONS[entrant.division][0].lower(),
            "board": board.title,
            "rank": rank(one),
            "gain": signed(one.headline.gain.value, board.protocol.primary),
            "worth": worth_films(one.headline.worth),
        }
        return entrant.name, self._shown(row, here=False), row


def _samples(entrant: Entrant, pictures: Sequence[bytes | None]) -> list[tuple[int, str, tuple[int, int]]]:
    """The pictures of an entry that are shown, under names of ours: number, file, size. Only PNG and JPEG, by content."""
    found = []
    for number, raw in enumerate(pictures):
        shown = None if raw is None else _picture(raw)
        if shown is not None:
            kind, side = shown
            found.append((number, f"films/{slug(entrant.name)}-{number:02d}{kind}", side))
    return found


def _bytes(path: Path) -> bytes | None:
    """What a plain file holds that may be a picture to show; None for anything else."""
    try:
        mode = os.lstat(path)
        if not stat.S_ISREG(mode.st_mode) or mode.st_size > LARGEST_PICTURE[0]:
            return None
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return None


def _picture(raw: bytes) -> tuple[str, tuple[int, int]] | None:
    """Ending and size of a picture that may be shown, from its header alone; None for anything else."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(raw), formats=list(PICTURES)) as image:
            if max(image.size) > LARGEST_PICTURE[1] or image.format is None:
                return None
            return PICTURES[image.format], image.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
