"""How many bytes the predictions of a run can honestly have, by its cells.

A label map has a byte a pixel of the test's resolution, logits and boxes have less than `A_FILM` bytes a film: so many, for
the test films of each cell, is what a run's predictions can unpack to. More is refused before anything is unpacked. What a
run says of its films is held against these from `MODEST` bytes on, because drawing them takes longer than to read so much.
"""

from __future__ import annotations

from ..cells import PREDICTIONS, Cells
from ..entry import EntryRun
from .subject import Subject

A_FILM, A_CELL = 4 << 10, 64 << 10
MODEST = 32 << 20
"""Bytes of a film beside those of its pixels, of a cell beside those of its films, and of all cells of a folder."""


def unjustified(subject: Subject, run: EntryRun, home: Cells) -> str:
    """Why the predictions of a run's cells in one home (its own folder, or that of shared ones) are more than such cells
    have; empty where they are not, or another check says that the protocol is none. Refused where they cannot be read."""
    cls = subject.sources.task(run.results.task.name)
    if cls is None or run.results.preset not in cls.presets:
        return ""
    keys = [key for key, one in run.homes.items() if one.folder == home.folder]
    said, side = home.unpacked(keys), int(cls.presets[run.results.preset].resolution)
    films = [home.records[key].downstream.test_films for key in keys]
    if said > MODEST and (protocol := subject.protocol(run)) is not None and protocol.films is not None:
        there = len(protocol.films)
        films = [min(one, there) for one in films]
    most = sum(max(one, 0) * (side**2 + A_FILM) + A_CELL for one in films)
    if said <= most:
        return ""
    return (
        f"{PREDICTIONS} unpacks to {said / 2**20:,.1f} MiB; {len(keys)} cells of {sum(films):,} test films in all, at "
        f"{side} pixels, have no more than {most / 2**20:,.1f} MiB"
    )
