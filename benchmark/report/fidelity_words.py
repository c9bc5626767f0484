"""The fidelity of a run's films in words: the lines of a table, and what stands below it."""

from __future__ import annotations

from collections.abc import Sequence

from ..fidelity.compare import ALL, InSpace, Share
from ..results.fidelity_rows import FidelityRow
from ..results.rows import Results

HEADINGS = (
    *("space, films", "size", "value (floor)", "ratio", "95 % interval"),
    *("precision", "recall", "density", "coverage"),
)


def fidelity_tables(results: Results) -> list[tuple[Sequence[str], list[tuple[str, ...]]]]:
    """The table, in the form of those of further sets; none where there is no number."""
    lines = [_line(row, one) for row in results.fidelity for one in row.spaces]
    return [(HEADINGS, lines)] if lines else []


def _line(row: FidelityRow, one: InSpace) -> tuple[str, ...]:
    fd = one.frechet
    shares: list[Share] = [one.precision, one.recall, one.density, one.coverage]
    return (
        one.title,
        row.size,
        f"{fd.distance:.3g} ({fd.floor:.3g})",
        f"{fd.ratio:.2f}",
        f"{fd.low:.2f} to {fd.high:.2f}",
        *(f"{share.value:.2f} ({share.real:.2f})" for share in shares),
    )


def fidelity_notes(results: Results) -> list[str]:
    """What the table means, and why a size has no line."""
    said = [f"fidelity of the films of {row.size}: {row.note}" for row in results.fidelity if row.note]
    said += [
        f"{row.size}: films that were made again from the seed after the run ({row.made_again})"
        for row in results.fidelity
        if row.made_again and row.spaces
    ]
    said += [
        f"{row.size}: {100 * row.repeats:.0f} % of the films are shown more than once"
        for row in results.fidelity
        if row.repeats is not None and row.repeats > (row.repeats_real or 0.0) + 0.02
    ]
    said += [f"{row.size}: {words}" for row in results.fidelity for words in _further(row)]
    if fidelity_tables(results):
        said += [
            "value is the Fréchet distance of the synthetic films (of the first seed) from real ones, floor that of real "
            "films from other real ones; ratio is value / floor, and 1 is as near as real films are",
            "precision, recall, density and coverage are of the synthetic films; in brackets the same of real films; "
            "cxrbench audit says more",
        ]
    return said


def _further(row: FidelityRow) -> list[str]:
    """Diversity, and what a REAL model says of the annotations, each beside that of real films."""
    said = []
    if row.alike is not None:
        one = row.alike
        said.append(
            f"MS-SSIM of pairs of films {one.value:.2f} ({one.low:.2f} to {one.high:.2f}), of real films {one.real:.2f}; "
            "higher: more alike"
        )
    said += [
        f"{one.metric} of a REAL model on the films' own annotations {one.value:.3f} ({one.low:.3f} to {one.high:.3f}, "
        f"{one.films} films), on held-out real films {one.real:.3f} ({one.real_films} films)"
        for one in row.agreement
        if one.structure == ALL
    ]
    return said
